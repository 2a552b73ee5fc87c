//! Plain HTTP requests, for posting webhooks and asking the stub.

use std::time::Duration;

use anyhow::Context as _;

/// What was answered.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) request_id: Option<String>,
    pub(crate) body: String,
}

/// A client that keeps its connections and takes every status for an answer.
#[derive(Debug)]
pub(crate) struct Client(ureq::Agent);

impl Client {
    pub(crate) fn new() -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(70)))
            .build();
        Self(config.into())
    }

    pub(crate) fn post(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: &str,
    ) -> anyhow::Result<Answer> {
        let mut request = self.0.post(url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        answer(url, request.send(body))
    }

    pub(crate) fn put(&self, url: &str, body: &str) -> anyhow::Result<Answer> {
        answer(url, self.0.put(url).send(body))
    }

    pub(crate) fn get(&self, url: &str) -> anyhow::Result<Answer> {
        answer(url, self.0.get(url).call())
    }
}

fn answer(
    url: &str,
    result: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> anyhow::Result<Answer> {
    let mut response = result.with_context(|| format!("asking {url}"))?;
    let header = response.headers().get("apigw-requestid");
    let request_id = header.and_then(|value| value.to_str().ok()).map(str::to_owned);
    let body = response.body_mut().read_to_string();
    Ok(Answer {
        status: response.status().as_u16(),
        request_id,
        body: body.with_context(|| format!("reading the answer of {url}"))?,
    })
}
