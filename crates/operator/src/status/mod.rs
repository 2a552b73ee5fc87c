//! `status`: one screen that answers "is it flowing, how late, what failed, is anything lost".

mod aws;
pub(crate) mod engine;
mod meter;
mod minutes;
mod pause;
pub(crate) mod report;
mod routes;
mod screen;
pub(crate) mod sentence;

use std::io::{ErrorKind, IsTerminal as _, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use aws_config::SdkConfig;
use commands::Status;
use deployment::Deployment;
use terminal::exit::Failure;

use crate::environment::{self, Environment, Host};
use crate::interrupt::{self, interrupted};
use crate::progress;
use report::Report;

/// Between two looks of `--watch`.
const LOOK_EVERY: Duration = Duration::from_secs(2);

/// The same on AWS: its metrics are told once a minute and each question costs, and the log of the
/// whole account may be asked five times a second.
const LOOK_EVERY_ON_AWS: Duration = Duration::from_secs(30);

/// How far back the loss meter counts on AWS, unless it is said.
const LOSS_SINCE: Duration = Duration::from_hours(24);

/// Moves the cursor home and clears what is below. Source: ECMA-48, CUP and ED.
const HOME_AND_CLEAR: &str = "\x1b[H\x1b[J";

pub(crate) async fn run(given: Status) -> anyhow::Result<ExitCode> {
    if given.routes {
        return routes::run(&given).await;
    }
    if let Some(back) = given.history {
        return minutes::run(&given, back).await;
    }
    if given.watch {
        return Box::pin(watch(&given)).await;
    }
    let report = Box::pin(look(&given)).await?;
    let text = if given.output.json() {
        serde_json::to_string_pretty(&report)? + "\n"
    } else {
        screen::render(&report)
    };
    print!("{}", text);
    Ok(ExitCode::SUCCESS)
}

/// What fails meanwhile is shown, and asked again: it is what one watches for.
async fn watch(given: &Status) -> anyhow::Result<ExitCode> {
    // To be interrupted is how it ends well.
    let _guard = interrupt::guard();
    let _between_looks = progress::quiet();
    loop {
        let looked = Box::pin(look(given)).await;
        let on_aws = looked.as_ref().is_ok_and(|report| report.host == "aws");
        let pause = if on_aws { LOOK_EVERY_ON_AWS } else { LOOK_EVERY };
        let text = match looked {
            Ok(report) if given.output.json() => serde_json::to_string(&report)? + "\n",
            Ok(report) => screen::render(&report),
            Err(error) if given.output.json() => {
                serde_json::json!({ "error": format!("{error:#}") }).to_string() + "\n"
            }
            Err(error) => format!("error: {error:#}\n"),
        };
        let mut out = std::io::stdout().lock();
        let clear = if out.is_terminal() && !given.output.json() { HOME_AND_CLEAR } else { "" };
        match out.write_all(format!("{clear}{text}").as_bytes()).and_then(|()| out.flush()) {
            // Nobody watches any more.
            Err(error) if error.kind() == ErrorKind::BrokenPipe => return Ok(ExitCode::SUCCESS),
            written => written.context("writing to standard output")?,
        }
        drop(out);
        tokio::select! {
            () = interrupted() => return Ok(ExitCode::SUCCESS),
            () = tokio::time::sleep(pause) => {}
        }
    }
}

async fn look(given: &Status) -> anyhow::Result<Report> {
    let environment = environment::connect(&given.environment).await?;
    match &environment.host {
        Host::Engine { api, .. } => {
            if given.since.is_some() {
                let so = "--since is for AWS: an engine counts since its data directory was made";
                return Err(Failure::Usage.of(anyhow::anyhow!(so)));
            }
            engine::report(&environment, api).await.map(|(report, _origins)| report)
        }
        Host::Aws { sdk, deployment } => {
            let loss_since = given.since.unwrap_or(LOSS_SINCE);
            Box::pin(aws::report(&environment, sdk, deployment, loss_since)).await
        }
    }
}

/// The status of an environment on AWS, as it is where nobody says how far back to count.
pub(crate) async fn on_aws(
    environment: &Environment,
    sdk: &SdkConfig,
    deployment: &Deployment,
) -> anyhow::Result<Report> {
    Box::pin(aws::report(environment, sdk, deployment, LOSS_SINCE)).await
}
