//! `webhook-gateway`: the data path of an HTTP API that was deployed to an AWS emulator. Arguments,
//! signals and exit codes; the rest is the library's.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Parser;
use engine::Gateway;
use tokio::signal::unix::{SignalKind, signal};
use url::Url;

/// Serve the webhook routes of an HTTP API that was deployed to an AWS emulator
///
/// Emulators keep `SQS-SendMessage` integrations, but do not run them. This reads routes and
/// integrations back from the emulator for every request, evaluates their request parameters and
/// sends to the queue that they name. `cargo xtask deploy local` starts it.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Example:\n  webhook-gateway --emulator http://127.0.0.1:4566 --api-id a1b2c3d4"
)]
struct Arguments {
    /// URL of the emulator
    #[arg(long, value_name = "URL")]
    emulator: Url,

    /// Id of the HTTP API
    #[arg(long, value_name = "ID")]
    api_id: String,

    /// Where webhooks are accepted
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

#[tokio::main]
async fn main() -> ExitCode {
    let Arguments { emulator, api_id, listen } = Arguments::parse();
    match serve(emulator, api_id, listen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: listening on {listen}: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(emulator: Url, api_id: String, listen: SocketAddr) -> std::io::Result<()> {
    let (mut interrupt, mut terminate) =
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let gateway = Gateway::start(emulator, api_id, listen).await?;
    tokio::select! {
        _interrupted = interrupt.recv() => {}
        _terminated = terminate.recv() => {}
    }
    gateway.stop().await;
    Ok(())
}
