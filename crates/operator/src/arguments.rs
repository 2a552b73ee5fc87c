//! `arguments`: what the commands here take, for the shell completion that xtask writes. xtask passes
//! arguments on unread, so that it builds without the AWS SDK.

use std::process::ExitCode;

use clap::{Arg, ArgAction, Command};
use serde_json::{Value, json};

use crate::people;

/// Print the commands and their arguments as JSON
#[derive(Debug, clap::Args)]
#[command(hide = true)]
pub(crate) struct Arguments;

impl Arguments {
    pub(crate) fn run(cli: &mut Command) -> anyhow::Result<ExitCode> {
        cli.build();
        people::print(&format!("{}\n", tree(cli)))?;
        Ok(ExitCode::SUCCESS)
    }
}

fn tree(command: &Command) -> Value {
    let shown = command.get_subcommands().filter(|command| !command.is_hide_set());
    json!({
        "name": command.get_name(),
        "about": command.get_about().map(ToString::to_string),
        "arguments": command.get_arguments().filter(|it| !it.is_hide_set()).map(argument).collect::<Vec<_>>(),
        "commands": shown.map(tree).collect::<Vec<_>>(),
    })
}

fn argument(argument: &Arg) -> Value {
    let value_name = argument.get_value_names().and_then(|names| names.first());
    let values = argument.get_possible_values();
    json!({
        "id": argument.get_id().as_str(),
        "long": argument.get_long(),
        "short": argument.get_short(),
        "help": argument.get_help().map(ToString::to_string),
        "value_name": value_name.map(ToString::to_string),
        "takes_values": argument.get_action().takes_values(),
        "repeats": matches!(argument.get_action(), ArgAction::Append),
        "required": argument.is_required_set(),
        "values": values.iter().map(clap::builder::PossibleValue::get_name).collect::<Vec<_>>(),
    })
}
