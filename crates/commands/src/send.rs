//! `send`

use std::path::PathBuf;

use clap::builder::NonEmptyStringValueParser;
use url::Url;

use crate::audit::AuditArgs;
use crate::environment::EnvironmentArgs;
use crate::why::parse_why;

/// Post webhooks to an environment, as the SaaS would
///
/// Without --body, each event is a JSON object that says that it is a test event, with its key and an id.
/// Headers that the route needs are made up unless --header sets them: the one that it orders by is the
/// key. Nothing is signed: of a route that verifies its provider, give an event that he has signed.
///
/// Who will get it is said, and asked for unless that is this machine.
#[derive(Debug, clap::Args)]
#[command(
    after_help = crate::program::help("Examples:\n  {program} send local\n  {program} send local --count 10 --keys 3\n  {program} send local --body event.json --header 'x-workflow-id: order-7'\n  echo '{}' | {program} send local --body -\n  {program} send dev --dry-run\n  {program} send dev --url https://api.example.com --count 4 --keys 2")
)]
pub struct Send {
    #[command(flatten)]
    pub environment: EnvironmentArgs,

    /// Route to post to [default: the only one]
    #[arg(long, value_name = "NAME", value_parser = NonEmptyStringValueParser::new())]
    pub route: Option<String>,

    /// File with the body, or `-` for standard input
    #[arg(long, value_name = "FILE")]
    pub body: Option<PathBuf>,

    /// Header to send; may be given several times
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = parse_header)]
    pub headers: Vec<(String, String)>,

    /// How many events to send
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub count: u32,

    /// How many ordering keys they are spread over
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub keys: u32,

    /// Address of the API, with or without the route's path [default: the engine's on this machine, or
    /// the deployed one]. The environment itself is asked nothing then, and has no line in its audit log
    #[arg(long)]
    pub url: Option<Url>,

    /// Show the first event and who would get it, and send nothing
    #[arg(long)]
    pub dry_run: bool,

    /// Send it, also where it is delivered to another machine
    #[arg(long)]
    pub yes: bool,

    /// Why; it stands in the audit log
    #[arg(long, value_name = "TEXT", value_parser = parse_why)]
    pub why: Option<String>,

    #[command(flatten)]
    pub audit: AuditArgs,

    /// Print a JSON object per event
    #[arg(long)]
    pub json: bool,
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("expected NAME: VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}
