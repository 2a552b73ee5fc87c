//! Whether a running engine is well: for what has no client of its own, such as a container's check.

use std::net::SocketAddr;
use std::time::Duration;

use http_body_util::{BodyExt as _, Empty, Limited};
use hyper::body::Bytes;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::output::say;
use crate::{Exit, fail, runtime};

/// How long an engine may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Longest answer, in bytes; the engine's are shorter.
const ANSWER_BYTES_MAX: usize = 64 * 1024;

/// Ask a running engine whether it is well
///
/// Prints what it says of its storage and its forwarder.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Example:\n  webhook-engine health\n\nExit codes:\n  0  it is well\n  1  it is not, or does not answer within 10 s"
)]
pub(crate) struct Health {
    /// Where its API is, on this machine
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:9324")]
    api: SocketAddr,
}

impl Health {
    pub(crate) fn run(self) -> Result<(), Exit> {
        let asked =
            runtime()?.block_on(async { tokio::time::timeout(TIMEOUT, ask(self.api)).await });
        let reason = match asked {
            Ok(Ok((StatusCode::OK, text))) => return say(&text),
            Ok(Ok((status, text))) => format!("{status}: {text}"),
            Ok(Err(error)) => error.to_string(),
            Err(_elapsed) => format!("no answer within {} s", TIMEOUT.as_secs()),
        };
        Err(fail(Exit::Failure, &format_args!("the engine at {} is not well: {reason}", self.api)))
    }
}

async fn ask(
    api: SocketAddr,
) -> Result<(StatusCode, String), Box<dyn std::error::Error + Send + Sync>> {
    let stream = TcpStream::connect(api).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    // A connection that breaks is told by the request.
    tokio::spawn(connection);
    let request = Request::get("/_engine/health").header(HOST, api.to_string());
    let answer = sender.send_request(request.body(Empty::<Bytes>::new())?).await?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX).collect().await?.to_bytes();
    Ok((status, String::from_utf8_lossy(&body).into_owned()))
}
