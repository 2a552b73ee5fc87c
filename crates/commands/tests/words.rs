//! What every command makes of what is typed.

use clap::builder::ValueParser;
use clap::error::ErrorKind;
use clap::{Arg, CommandFactory as _};

#[derive(Debug, clap::Parser)]
struct Cli {
    #[command(subcommand)]
    command: commands::Command,
}

/// Every command that does something, with the words that call it.
fn leaves(command: &clap::Command, words: &[String]) -> Vec<(clap::Command, Vec<String>)> {
    let words: Vec<String> = words.iter().cloned().chain([command.get_name().to_owned()]).collect();
    if !command.has_subcommands() {
        return vec![(command.clone(), words)];
    }
    let commands = command.get_subcommands().filter(|it| it.get_name() != "help");
    commands.flat_map(|it| leaves(it, &words)).collect()
}

fn is_text(argument: &Arg) -> bool {
    let paths = ValueParser::path_buf().type_id();
    let is_text = argument.get_value_parser().type_id() == ValueParser::string().type_id();
    (is_text || argument.get_value_parser().type_id() == paths)
        && argument.get_num_args().is_some_and(|it| it.takes_values())
}

/// `"$ID"` of a variable that is not set is no id, and least of all the beginning of every one.
#[test]
fn no_command_takes_nothing_for_something() {
    let mut cli = Cli::command();
    cli.build();
    let mut tried = 0;
    for (command, mut words) in leaves(&cli, &[]) {
        words[0] = "x".to_owned();
        for argument in command.get_arguments().filter(|it| is_text(it)) {
            let mut typed = words.clone();
            if let Some(option) = argument.get_long() {
                typed.extend([format!("--{option}"), String::new()]);
            } else {
                let before = argument.get_index().unwrap() - 1;
                typed.extend(std::iter::repeat_n("y".to_owned(), before).chain([String::new()]));
            }
            let refused = Cli::command().try_get_matches_from(&typed).map_err(|it| it.kind());
            let is_refused =
                matches!(refused, Err(ErrorKind::InvalidValue | ErrorKind::ValueValidation));
            assert!(is_refused, "{typed:?}: {:?}", refused.err());
            tried += 1;
        }
    }
    assert!(tried > 100, "{tried}");
}
