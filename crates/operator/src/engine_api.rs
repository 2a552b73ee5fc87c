//! The engine's own API, for what the AWS SDK has no call for.

use std::fmt;

use anyhow::{Context as _, anyhow, bail};
use http_body_util::{BodyExt as _, Empty};
use hyper::body::Bytes;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::TcpStream;

use crate::sdk;

/// Where an engine on this machine can be asked.
#[derive(Clone)]
pub(crate) struct EngineApi {
    address: String,
    /// What it wants to be shown; an engine of before wants nothing.
    access_key_id: String,
    /// How it is started, for when it does not answer.
    start: String,
}

/// The id is a secret.
impl fmt::Debug for EngineApi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EngineApi").field("address", &self.address).finish_non_exhaustive()
    }
}

impl EngineApi {
    pub(crate) fn at(address: String, access_key_id: String, start: String) -> Self {
        Self { address, access_key_id, start }
    }

    /// Whether somebody listens there.
    pub(crate) async fn probe(&self) -> anyhow::Result<()> {
        let connected = TcpStream::connect(&self.address).await;
        connected.map(drop).map_err(|error| self.nobody_answers(&error.into()))
    }

    fn nobody_answers(&self, error: &anyhow::Error) -> anyhow::Error {
        anyhow!("nobody answers at {} ({error:#}); {}", self.address, self.start)
    }

    /// Asks for a document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let answered = sdk::in_time(self.exchange(path)).await;
        let (status, body) = answered.map_err(|error| self.nobody_answers(&error))?;
        if status == StatusCode::NOT_FOUND {
            bail!("the engine at {} knows no {path}: it is older than this command", self.address);
        }
        if !status.is_success() {
            let reason: Value = serde_json::from_slice(&body).unwrap_or_default();
            let reason = reason["message"].as_str().unwrap_or("it gives no reason");
            bail!("the engine at {} answers {path} with {status}: {reason}", self.address);
        }
        serde_json::from_slice(&body)
            .with_context(|| format!("reading what the engine says of {path}"))
    }

    async fn exchange(&self, path: &str) -> anyhow::Result<(StatusCode, Bytes)> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Whatever breaks it, the exchange sees too.
        tokio::spawn(async move { drop(connection.await) });
        let request = Request::get(path)
            .header("host", &self.address)
            .header("authorization", format!("Bearer {}", self.access_key_id))
            .body(Empty::<Bytes>::new())
            .context("the path")?;
        let response = sender.send_request(request).await?;
        let status = response.status();
        Ok((status, response.into_body().collect().await?.to_bytes()))
    }
}

/// A text as a segment of a path.
pub(crate) fn segment(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'~' => {
                char::from(byte).to_string()
            }
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_segment_cannot_leave_its_place() {
        assert_eq!(segment("a/../b?c=注"), "a%2F%2E%2E%2Fb%3Fc%3D%E6%B3%A8");
    }
}
