//! Which environment a command is about.

use std::path::PathBuf;

use clap::builder::{NonEmptyStringValueParser, PathBufValueParser};

/// Which environment, and where its files are
#[derive(Debug, clap::Args)]
pub struct EnvironmentArgs {
    /// Environment, such as `local` or `dev`: a folder of `environments/`. With --data-dir or --api
    /// the engine says which, and a name is compared with that
    #[arg(value_name = "ENV", value_parser = NonEmptyStringValueParser::new(), required_unless_present_any = ["data_dir", "api"])]
    pub environment: Option<String>,

    /// Configuration file [default: the engine's own, or environments/ENV/terraform.tfvars.json]
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// Data directory of an engine on this machine [default: .webhook-queue/ENV]
    #[arg(long, value_name = "DIR")]
    pub data_dir: Option<PathBuf>,

    /// Where an engine's API listens, instead of its data directory; its access key id is in
    /// `AWS_ACCESS_KEY_ID`
    #[arg(long, value_name = "HOST:PORT", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "data_dir")]
    pub api: Option<String>,
}

impl EnvironmentArgs {
    /// What was typed alone, where it is not the environment: an engine says itself which that is.
    fn taken_for_env(&mut self) -> Option<String> {
        let is_engine = self.data_dir.is_some() || self.api.is_some();
        self.environment.take_if(|_| is_engine)
    }
}

/// Defines an environment with the one thing of it that a command is about, behind it. `clap` has
/// `allow_missing_positional` for this, which takes ENV for the thing as soon as an option or `--` stands
/// between the two.
macro_rules! environment_and {
    ($(#[$doc:meta])* $name:ident, $typed:ident, $field:ident: $type:ty, $parser:ident, $value_name:literal) => {
        #[derive(Debug, clap::Args)]
        struct $typed {
            #[command(flatten)]
            environment: EnvironmentArgs,

            $(#[$doc])*
            #[arg(value_name = $value_name, value_parser = $parser::new(), required_unless_present_any = ["data_dir", "api"])]
            $field: Option<$type>,
        }

        #[derive(Debug)]
        pub struct $name {
            pub environment: EnvironmentArgs,
            pub $field: $type,
        }

        impl clap::Args for $name {
            fn augment_args(command: clap::Command) -> clap::Command {
                $typed::augment_args(command)
            }

            fn augment_args_for_update(command: clap::Command) -> clap::Command {
                $typed::augment_args_for_update(command)
            }
        }

        impl clap::FromArgMatches for $name {
            fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
                let $typed { mut environment, $field } = $typed::from_arg_matches(matches)?;
                let $field = $field.or_else(|| environment.taken_for_env().map(Into::into));
                let missing = || {
                    let so = concat!("<", $value_name, "> is missing\n");
                    clap::Error::raw(clap::error::ErrorKind::MissingRequiredArgument, so)
                };
                Ok(Self { environment, $field: $field.ok_or_else(missing)? })
            }

            fn update_from_arg_matches(
                &mut self,
                matches: &clap::ArgMatches,
            ) -> Result<(), clap::Error> {
                *self = Self::from_arg_matches(matches)?;
                Ok(())
            }
        }
    };
}

environment_and! {
    /// The event's id, or the beginning of it that no other event's has; or an ordering key
    EventOrKey, TypedEventOrKey, id: String, NonEmptyStringValueParser, "ID|KEY"
}

environment_and! {
    /// The event
    Event, TypedEvent, event_id: String, NonEmptyStringValueParser, "EVENT-ID"
}

environment_and! {
    /// The text
    Text, TypedText, text: String, NonEmptyStringValueParser, "TEXT"
}

environment_and! {
    /// Event id, as `dlq list` shows it
    DeadLetter, TypedDeadLetter, event_id: String, NonEmptyStringValueParser, "ID"
}

environment_and! {
    /// File to write; it must not exist. `-` is standard output
    FileToWrite, TypedFileToWrite, file: PathBuf, PathBufValueParser, "FILE"
}

environment_and! {
    /// File with a JSON object a line; `-` is standard input
    FileToRead, TypedFileToRead, file: PathBuf, PathBufValueParser, "FILE"
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    #[derive(Debug, clap::Parser)]
    struct Cli {
        #[command(subcommand)]
        command: crate::Command,
    }

    /// ENV and the event as they were understood.
    fn show(typed: &str) -> Result<(Option<String>, String), clap::error::ErrorKind> {
        let words = ["x", "show"].into_iter().chain(typed.split(' ').filter(|it| !it.is_empty()));
        match Cli::try_parse_from(words).map_err(|error| error.kind())?.command {
            crate::Command::Show(show) => Ok((show.of.environment.environment, show.of.id)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_option_between_environment_and_event_changes_nothing() {
        let both = || Ok((Some("local".to_owned()), "e-1".to_owned()));
        for typed in [
            "local e-1",
            "local --json e-1",
            "--json local e-1",
            "local e-1 --data-dir d",
            "local --data-dir d e-1",
            "--data-dir=d local e-1",
            "local -- e-1",
            "-- local e-1",
            "--api h:1 local e-1",
        ] {
            assert_eq!(show(typed), both(), "{typed}");
        }
        for typed in ["--data-dir d e-1", "e-1 --data-dir d", "--api h:1 -- e-1"] {
            assert_eq!(show(typed), Ok((None, "e-1".to_owned())), "{typed}");
        }
        assert_eq!(show("local -- --all"), Ok((Some("local".to_owned()), "--all".to_owned())));
        assert_eq!(show("--data-dir d -- -x"), Ok((None, "-x".to_owned())));
        for typed in ["", "e-1", "--data-dir d", "--json e-1"] {
            let missing = clap::error::ErrorKind::MissingRequiredArgument;
            assert_eq!(show(typed), Err(missing), "{typed}");
        }
    }
}
