//! The engine's own API, for what the AWS SDK has no call for.

use std::fmt;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use terminal::exit::Failure;
use tokio::net::TcpStream;

use crate::{progress, sdk};

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

/// The engine does not know what it is asked for.
#[derive(Debug, thiserror::Error)]
#[error("it knows no such thing: it is older than this command")]
pub(crate) struct OlderEngine;

impl EngineApi {
    pub(crate) fn at(address: String, access_key_id: String, start: String) -> Self {
        Self { address, access_key_id, start }
    }

    /// Whether somebody listens there.
    pub(crate) async fn probe(&self) -> anyhow::Result<()> {
        let _asked = self.waiting_for();
        let connected = async { Ok(TcpStream::connect(&self.address).await?) };
        sdk::in_time(connected).await.map(drop).map_err(|error| self.nobody_answers(&error))
    }

    fn nobody_answers(&self, error: &anyhow::Error) -> anyhow::Error {
        let so = anyhow!("nobody answers at {} ({error:#}); {}", self.address, self.start);
        Failure::Environment.of(so)
    }

    /// Asks for a document.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.document(Method::GET, path, Bytes::new()).await
    }

    /// Sends a document, and takes the answer.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.document(Method::POST, path, serde_json::to_vec(body)?.into()).await
    }

    /// The same, of what may take so long.
    pub(crate) async fn post_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.document_within(limit, Method::POST, path, serde_json::to_vec(body)?.into()).await
    }

    /// Puts a document somewhere, and takes the answer.
    pub(crate) async fn put<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> anyhow::Result<T> {
        self.document(Method::PUT, path, serde_json::to_vec(body)?.into()).await
    }

    /// Deletes something, and takes the answer.
    pub(crate) async fn delete<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        self.document(Method::DELETE, path, Bytes::new()).await
    }

    async fn document<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<T> {
        self.document_within(sdk::PATIENCE, method, path, body).await
    }

    async fn document_within<T: DeserializeOwned>(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<T> {
        let _asked = self.waiting_for();
        let answered = async {
            let mut lines = self.ask(method, path, body).await?;
            let mut document = Vec::new();
            while let Some(piece) = lines.piece().await? {
                document.extend_from_slice(&piece);
            }
            Ok(document)
        };
        let document = sdk::within(limit, answered).await;
        let document = document.with_context(|| self.asking(path))?;
        serde_json::from_slice(&document)
            .with_context(|| format!("reading what the engine says of {path}"))
    }

    /// Asks for lines of JSON, however many, and hands each to `take`. How many were none, as a full disk
    /// or a crash has torn them, is returned.
    pub(crate) async fn lines(
        &self,
        path: &str,
        mut take: impl FnMut(Value),
    ) -> anyhow::Result<u64> {
        let _asked = self.waiting_for();
        let asked = sdk::in_time(self.ask(Method::GET, path, Bytes::new())).await;
        let mut answer = asked.with_context(|| self.asking(path))?;
        let (mut rest, mut torn) = (Vec::new(), 0);
        while let Some(piece) =
            sdk::in_time(answer.piece()).await.with_context(|| self.asking(path))?
        {
            rest.extend_from_slice(&piece);
            let Some(end) = rest.iter().rposition(|byte| *byte == b'\n') else { continue };
            let lines = rest[..end].split(|byte| *byte == b'\n');
            for line in lines.filter(|line| !line.is_empty()) {
                serde_json::from_slice(line).map_or_else(|_| torn += 1, &mut take);
            }
            rest.drain(..=end);
        }
        // Without an end it is none.
        Ok(torn + u64::from(!rest.is_empty()))
    }

    fn waiting_for(&self) -> progress::GoingOn {
        progress::waiting_for(format!("the engine at {}", self.address))
    }

    fn asking(&self, path: &str) -> String {
        format!("asking the engine at {} for {path}", self.address)
    }

    /// Asks, and fails unless the answer is one.
    async fn ask(&self, method: Method, path: &str, body: Bytes) -> anyhow::Result<Answer> {
        let exchanged = self.exchange(method, path, body).await;
        let (status, body) = exchanged.map_err(|error| self.nobody_answers(&error))?;
        let mut answer = Answer(body);
        if status.is_success() {
            return Ok(answer);
        }
        if [StatusCode::NOT_FOUND, StatusCode::METHOD_NOT_ALLOWED].contains(&status) {
            return Err(OlderEngine.into());
        }
        let mut reason = Vec::new();
        while let Some(piece) = answer.piece().await? {
            reason.extend_from_slice(&piece);
        }
        let reason: Value = serde_json::from_slice(&reason).unwrap_or_default();
        bail!("{status}: {}", reason["message"].as_str().unwrap_or("it gives no reason"));
    }

    async fn exchange(
        &self,
        method: Method,
        path: &str,
        body: Bytes,
    ) -> anyhow::Result<(StatusCode, Incoming)> {
        let stream = TcpStream::connect(&self.address).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Whatever breaks it, the exchange sees too.
        tokio::spawn(async move { drop(connection.await) });
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", &self.address)
            .header("authorization", format!("Bearer {}", self.access_key_id))
            .body(Full::new(body))
            .context("the path")?;
        let response = sender.send_request(request).await?;
        Ok((response.status(), response.into_body()))
    }
}

/// An answer as it comes.
struct Answer(Incoming);

impl Answer {
    /// The next bytes, if there are any.
    async fn piece(&mut self) -> anyhow::Result<Option<Bytes>> {
        loop {
            match self.0.frame().await {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(bytes) = frame.context("the answer ended early")?.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
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
