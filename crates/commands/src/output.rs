//! How a result is printed, said in the same way to every command that shows something.

use clap::ValueEnum;

/// By which clock times are told
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Times {
    /// Tell times by this machine's clock, or that of `TZ`, each with its offset, instead of in UTC; JSON
    /// stays in UTC
    #[arg(long)]
    local: bool,
}

impl Times {
    /// Whether they are told by the local clock.
    #[must_use]
    pub fn local(self) -> bool {
        self.local
    }
}

/// How it is printed
#[derive(Debug, Clone, Copy, Default, clap::Args)]
pub struct Output {
    /// How it is printed: `wide` cuts nothing to the terminal's width, `json` is for programs
    #[arg(long = "output", short = 'o', value_name = "FORMAT", conflicts_with_all = ["wide", "json"])]
    format: Option<Format>,

    /// Do not cut what is wider than the terminal, as `-o wide`
    #[arg(long, conflicts_with = "json")]
    wide: bool,

    /// Print JSON, as `-o json`
    #[arg(long)]
    json: bool,

    #[command(flatten)]
    times: Times,
}

/// A way to print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Wide,
    Json,
}

impl Output {
    /// Whether it is for a program.
    #[must_use]
    pub fn json(self) -> bool {
        self.json || self.format == Some(Format::Json)
    }

    /// Whether times are told by the local clock: to people only.
    #[must_use]
    pub fn local(self) -> bool {
        self.times.local() && !self.json()
    }

    /// Whether nothing is cut.
    #[must_use]
    pub fn wide(self) -> bool {
        self.wide || self.format == Some(Format::Wide)
    }
}
