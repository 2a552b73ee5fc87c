//! `sss-stub`: the stand-in as a program. Prints a JSON line per webhook.

#![warn(clippy::disallowed_macros)]

#[macro_use]
extern crate terminal;

use std::net::SocketAddr;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Parser;
use serde_json::json;
use sss_stub::{Behavior, Stub, report};
use tokio::net::TcpListener;

/// Stand in for the Sales Support System
///
/// Takes webhooks by POST on any path and answers as it is told: by these options, and later by
/// `PUT /_stub/behavior`. `GET /_stub/received` shows what it got.
#[derive(Debug, Parser)]
#[command(
    version,
    after_help = "Examples:\n  sss-stub --listen 127.0.0.1:9010\n  sss-stub --status 503\n  curl -X PUT http://127.0.0.1:9010/_stub/behavior -d '{\"status\":503,\"retry_after\":\"5\"}'"
)]
struct Cli {
    /// Address to listen on
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9010")]
    listen: SocketAddr,

    /// HTTP status to answer with
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u16).range(200..=599))]
    status: u16,

    /// Milliseconds until the answer
    #[arg(long, value_name = "MS", default_value_t = 0)]
    delay_ms: u64,

    /// Stop when standard input ends, as it does with the process that holds its other end
    #[arg(long)]
    until_stdin_ends: bool,

    /// Print nothing per webhook
    #[arg(long)]
    quiet: bool,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run(Cli::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(cli: Cli) -> anyhow::Result<()> {
    let behavior = Behavior { status: cli.status, delay_ms: cli.delay_ms, ..Behavior::default() };
    let stub = Stub::new(behavior, if cli.quiet { |_webhook| {} } else { report::webhook });
    let listener = TcpListener::bind(cli.listen)
        .await
        .with_context(|| format!("listening on {}", cli.listen))?;
    report::line(&json!({ "message": "listening", "address": listener.local_addr()?.to_string() }));
    tokio::select! {
        served = stub.serve(listener) => match served.context("accepting connections")? {},
        stopped = tokio::signal::ctrl_c() => stopped.context("waiting for ctrl-c"),
        () = stdin_ends(cli.until_stdin_ends) => Ok(()),
    }
}

/// Waits until standard input ends, or for ever.
async fn stdin_ends(watched: bool) {
    if !watched {
        return std::future::pending().await;
    }
    let (ended, end) = tokio::sync::oneshot::channel::<()>();
    // A thread of its own: a runtime would wait for it before the program ends.
    std::thread::spawn(move || {
        // However it ends, nobody is there any more.
        let _ended = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        drop(ended);
    });
    let _ended = end.await;
}
