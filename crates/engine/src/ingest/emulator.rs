//! An AWS emulator's API and queues, over its HTTP interface: which routes were deployed to it, and
//! sending to the queue that they name.
//!
//! Requests are not signed: emulators take whoever comes.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST};
use axum::http::{Method, Request, StatusCode};
use domain::attribute::Attributes;
use domain::mapping::{RequestParameters, RequestParametersError, SendMessage, parameter};
use domain::route_path::RoutePath;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use tokio::net::TcpStream;
use url::Url;

use super::Accepted;
use super::response::Refusal;
use super::routes::{ApiRoute, Routes};

/// How long the emulator may take for an answer.
const TIMEOUT: Duration = Duration::from_secs(10);

/// An emulator and an API that was deployed to it.
#[derive(Debug)]
pub(crate) struct Emulator {
    endpoint: Url,
    api_id: String,
}

/// What the emulator does not do as it should.
#[derive(Debug, thiserror::Error)]
pub(crate) enum EmulatorError {
    /// It cannot be reached, or breaks off.
    #[error("the emulator at {endpoint} does not answer: {reason}")]
    Unreachable {
        /// Its URL.
        endpoint: Url,
        /// What happened.
        reason: String,
    },
    /// It answers with an error.
    #[error("the emulator answers {status} to {what}: {reason}")]
    Refused {
        /// What was asked for.
        what: String,
        /// The status.
        status: StatusCode,
        /// The beginning of what it says.
        reason: String,
    },
    /// It answers with something else than AWS would.
    #[error("the emulator's answer to {what} is not understood: {source}")]
    Answer {
        /// What was asked for.
        what: String,
        /// What is wrong with it.
        source: serde_json::Error,
    },
    /// A deployed route cannot work.
    #[error("route {key:?} of api {api_id}: {reason}")]
    Route {
        /// The API.
        api_id: String,
        /// The route's key.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A list, as API Gateway answers with one.
#[derive(Deserialize)]
struct Items<T> {
    items: Vec<T>,
}

/// Source: API Gateway v2 API reference, `Route`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DeployedRoute {
    route_key: String,
    target: Option<String>,
}

/// Source: API Gateway v2 API reference, `Integration`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Integration {
    integration_id: String,
    #[serde(default)]
    request_parameters: BTreeMap<String, String>,
}

/// Source: SQS API reference, `SendMessage`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Sent {
    message_id: String,
    #[serde(rename = "MD5OfMessageBody")]
    md5_of_message_body: String,
    #[serde(rename = "MD5OfMessageAttributes")]
    md5_of_message_attributes: Option<String>,
    sequence_number: String,
}

impl Emulator {
    pub(crate) fn new(endpoint: Url, api_id: String) -> Self {
        Self { endpoint, api_id }
    }

    /// The API's routes that send to a queue.
    pub(super) async fn routes(&self) -> Result<Routes, EmulatorError> {
        let path = |what: &str| format!("/v2/apis/{}/{what}", self.api_id);
        let (routes, integrations): (Items<DeployedRoute>, Items<Integration>) =
            tokio::try_join!(self.get(path("routes")), self.get(path("integrations")))?;
        let parameters: BTreeMap<String, BTreeMap<String, String>> = integrations
            .items
            .into_iter()
            .map(|integration| (integration.integration_id, integration.request_parameters))
            .collect();
        let mut found = Vec::new();
        for route in routes.items {
            let name =
                route.target.as_deref().and_then(|target| target.strip_prefix("integrations/"));
            let Some((name, parameters)) =
                name.and_then(|name| Some((name, parameters.get(name)?)))
            else {
                return Err(self.broken(&route.route_key, "it has no integration"));
            };
            // Others lead to functions, which the emulator calls itself.
            if parameters.contains_key(parameter::QUEUE_URL) {
                found.push(self.route(&route.route_key, name, parameters)?);
            }
        }
        Ok(Routes::new(found))
    }

    fn route(
        &self,
        key: &str,
        name: &str,
        parameters: &BTreeMap<String, String>,
    ) -> Result<ApiRoute, EmulatorError> {
        let path =
            key.strip_prefix("POST ").ok_or_else(|| self.broken(key, "it is not for POST"))?;
        Ok(ApiRoute {
            name: name.to_owned(),
            key: key.to_owned(),
            path: RoutePath::parse(path).map_err(|reason| self.broken(key, &reason))?,
            parameters: RequestParameters::parse(parameters)
                .map_err(|error: RequestParametersError| self.broken(key, &error.to_string()))?,
        })
    }

    fn broken(&self, key: &str, reason: &str) -> EmulatorError {
        EmulatorError::Route {
            api_id: self.api_id.clone(),
            key: key.to_owned(),
            reason: reason.to_owned(),
        }
    }

    /// Sends a message to the queue that it names.
    pub(super) async fn send(&self, message: SendMessage) -> Result<Accepted, EmulatorError> {
        let body = json!({
            "QueueUrl": message.queue_url,
            "MessageBody": message.body,
            "MessageGroupId": message.group_id,
            "MessageDeduplicationId": message.deduplication_id,
            "MessageAttributes": api_attributes(message.attributes),
        });
        let request = Request::builder()
            .method(Method::POST)
            .uri("/")
            .header(CONTENT_TYPE, "application/x-amz-json-1.0")
            .header("x-amz-target", "AmazonSQS.SendMessage");
        let sent: Sent = self.call("SendMessage".to_owned(), request, body.to_string()).await?;
        Ok(Accepted {
            message_id: sent.message_id,
            sequence_number: sent.sequence_number,
            md5_of_body: sent.md5_of_message_body,
            md5_of_attributes: sent.md5_of_message_attributes,
            duplicate: false,
        })
    }

    async fn get<T: DeserializeOwned>(&self, path: String) -> Result<T, EmulatorError> {
        let request = Request::builder().method(Method::GET).uri(&path);
        self.call(format!("GET {path}"), request, String::new()).await
    }

    async fn call<T: DeserializeOwned>(
        &self,
        what: String,
        request: axum::http::request::Builder,
        body: String,
    ) -> Result<T, EmulatorError> {
        let exchange = tokio::time::timeout(TIMEOUT, self.exchange(request, body));
        let answered = match exchange.await {
            Ok(answered) => answered.map_err(|error| error.to_string()),
            Err(_elapsed) => Err(format!("nothing within {} s", TIMEOUT.as_secs())),
        };
        let (status, answer) = answered.map_err(|reason| EmulatorError::Unreachable {
            endpoint: self.endpoint.clone(),
            reason,
        })?;
        if !status.is_success() {
            let reason = String::from_utf8_lossy(&answer).chars().take(300).collect();
            return Err(EmulatorError::Refused { what, status, reason });
        }
        serde_json::from_slice(&answer).map_err(|source| EmulatorError::Answer { what, source })
    }

    /// A connection per request: an emulator is asked seldom.
    async fn exchange(
        &self,
        request: axum::http::request::Builder,
        body: String,
    ) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>> {
        let authority = self.endpoint.authority();
        let stream = TcpStream::connect(self.endpoint.socket_addrs(|| None)?.as_slice()).await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        let request = request
            .header(HOST, authority)
            .header(CONTENT_LENGTH, body.len())
            .body(Full::new(Bytes::from(body)))?;
        // The connection ends with its sender; what breaks it shows in the answer.
        tokio::spawn(connection);
        let answer = sender.send_request(request).await?;
        let status = answer.status();
        Ok((status, answer.into_body().collect().await?.to_bytes()))
    }
}

/// Attributes as SQS's API spells them. Those of an integration are all text.
fn api_attributes(attributes: Attributes) -> serde_json::Value {
    let api = |(name, attribute): (String, domain::attribute::Attribute)| {
        (name, json!({ "DataType": attribute.data_type, "StringValue": attribute.value }))
    };
    attributes.into_iter().map(api).collect::<serde_json::Map<_, _>>().into()
}

impl From<EmulatorError> for Refusal {
    fn from(error: EmulatorError) -> Self {
        match &error {
            EmulatorError::Refused { what, status, reason }
                if status.is_client_error() && what == "SendMessage" =>
            {
                Self::Sqs(reason.clone())
            }
            _ => Self::Emulator(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the sender did wrong is the sender's to know; the rest is the gateway's.
    #[test]
    fn only_a_message_that_was_refused_is_the_senders_fault() {
        let refused = |what: &str, status| EmulatorError::Refused {
            what: what.to_owned(),
            status,
            reason: "why".to_owned(),
        };
        for (error, is_the_senders) in [
            (refused("SendMessage", StatusCode::BAD_REQUEST), true),
            (refused("SendMessage", StatusCode::BAD_GATEWAY), false),
            (refused("GetQueueUrl", StatusCode::BAD_REQUEST), false),
        ] {
            let said = error.to_string();
            let refusal = Refusal::from(error);
            assert_eq!(matches!(refusal, Refusal::Sqs(_)), is_the_senders, "{said}");
        }
    }
}
