//! The two calls that secrets and skips on AWS take. Their SDKs would weigh more than this function; the signature
//! is that of the SDK for SQS, and so is the HTTP client.
//!
//! Sources: Systems Manager API reference, `GetParameter`; Secrets Manager API reference,
//! `GetSecretValue`.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4::SigningParams;
use aws_smithy_types::base64;
use http::StatusCode;
use serde::Deserialize;
use serde_json::json;

use crate::settings::AwsSettings;

/// Longest call.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// Longest answer that is read: a secret of the greatest size, each byte written as an escape.
const ANSWER_BYTES_MAX: usize = 512 * 1_024;

/// How secrets and parameters on AWS are reached.
#[derive(Debug)]
pub(crate) struct AwsSecrets {
    settings: Arc<AwsSettings>,
    http: reqwest::Client,
}

/// What distinguishes the two services.
struct Service<'a> {
    /// The one that is signed for, which is also the first part of its host.
    name: &'static str,
    target: &'static str,
    endpoint_url: Option<&'a str>,
}

#[derive(Deserialize)]
struct GetParameter {
    #[serde(rename = "Parameter")]
    parameter: Parameter,
}

#[derive(Deserialize)]
struct Parameter {
    #[serde(rename = "Value")]
    value: String,
}

#[derive(Deserialize)]
struct GetSecretValue {
    #[serde(rename = "SecretString")]
    text: Option<String>,
    /// In base64.
    #[serde(rename = "SecretBinary")]
    bytes: Option<String>,
}

#[derive(Deserialize)]
struct Refusal {
    /// `ParameterNotFound`, or with a namespace before a `#`.
    #[serde(rename = "__type")]
    kind: String,
}

/// Why there is no value.
#[derive(Debug, thiserror::Error)]
pub enum AwsError {
    /// The service's answer.
    #[error("{service} answered {status} {kind}")]
    Refused {
        /// Which service.
        service: &'static str,
        /// The HTTP status.
        status: u16,
        /// The code of its error.
        kind: String,
    },
    /// Parts of an answer may be secret, so it is not shown.
    #[error("the answer is not one of this service")]
    NotUnderstood,
    /// There was none.
    #[error("no answer in time")]
    Timeout,
    /// The request could not be made or sent.
    #[error("{0}")]
    Failed(String),
}

impl AwsError {
    /// Whether there is no such parameter.
    pub(crate) fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { kind, .. } if kind == "ParameterNotFound")
    }
}

impl AwsSecrets {
    pub(crate) fn new(settings: Arc<AwsSettings>, http: reqwest::Client) -> Self {
        Self { settings, http }
    }

    /// The value of a parameter, decrypted.
    pub(crate) async fn parameter(
        &self,
        name: &str,
        time_left: Duration,
    ) -> Result<Vec<u8>, AwsError> {
        let service = Service {
            name: "ssm",
            target: "AmazonSSM.GetParameter",
            endpoint_url: self.settings.ssm_endpoint_url.as_deref(),
        };
        let request = json!({ "Name": name, "WithDecryption": true });
        let answer = self.call(&service, &request, time_left).await?;
        // Errors of the parser may quote what they read, so they are not passed on.
        let answer: GetParameter =
            serde_json::from_slice(&answer).map_err(|_quoting| AwsError::NotUnderstood)?;
        Ok(answer.parameter.value.into_bytes())
    }

    /// The current value of a secret.
    pub(crate) async fn secret(&self, id: &str, time_left: Duration) -> Result<Vec<u8>, AwsError> {
        let service = Service {
            name: "secretsmanager",
            target: "secretsmanager.GetSecretValue",
            endpoint_url: self.settings.secrets_manager_endpoint_url.as_deref(),
        };
        let answer = self.call(&service, &json!({ "SecretId": id }), time_left).await?;
        let answer: GetSecretValue =
            serde_json::from_slice(&answer).map_err(|_quoting| AwsError::NotUnderstood)?;
        match (answer.text, answer.bytes) {
            (Some(text), _) => Ok(text.into_bytes()),
            (None, Some(bytes)) => {
                base64::decode(bytes).map_err(|_quoting| AwsError::NotUnderstood)
            }
            (None, None) => Err(AwsError::NotUnderstood),
        }
    }

    async fn call(
        &self,
        service: &Service<'_>,
        parameters: &serde_json::Value,
        time_left: Duration,
    ) -> Result<Vec<u8>, AwsError> {
        let request = self.request(service, parameters.to_string())?;
        let exchange = tokio::time::timeout(time_left.min(CALL_TIMEOUT), self.exchange(request));
        let (status, answer) = exchange.await.map_err(|_elapsed| AwsError::Timeout)??;
        if status.is_success() {
            return Ok(answer);
        }
        let refusal = serde_json::from_slice(&answer).ok();
        let kind = refusal.map_or_else(
            || "and gives no reason".to_owned(),
            |Refusal { kind }| kind.rsplit('#').next().unwrap_or_default().to_owned(),
        );
        Err(AwsError::Refused { service: service.name, status: status.as_u16(), kind })
    }

    async fn exchange(&self, request: reqwest::Request) -> Result<(StatusCode, Vec<u8>), AwsError> {
        let response = self.http.execute(request).await.map_err(without_url)?;
        Ok((response.status(), read(response).await?))
    }

    fn request(&self, service: &Service<'_>, body: String) -> Result<reqwest::Request, AwsError> {
        let settings = &self.settings;
        let url = service.endpoint_url.map_or_else(
            || {
                format!(
                    "https://{}.{}.{}/",
                    service.name,
                    settings.region,
                    domain(&settings.region)
                )
            },
            str::to_owned,
        );
        let mut request = http::Request::post(url)
            .header("content-type", "application/x-amz-json-1.1")
            .header("x-amz-target", service.target)
            .body(body)
            .map_err(|error| AwsError::Failed(format!("the endpoint is not a url: {error}")))?;
        let identity = settings.credentials().into();
        let params = SigningParams::builder()
            .identity(&identity)
            .region(&settings.region)
            .name(service.name)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .map_err(|error| AwsError::Failed(error.to_string()))?
            .into();
        let headers = request
            .headers()
            .iter()
            .filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?)));
        let signable = SignableRequest::new(
            request.method().as_str(),
            request.uri().to_string(),
            headers,
            SignableBody::Bytes(request.body().as_bytes()),
        );
        let signed = signable.and_then(|signable| sign(signable, &params));
        let (instructions, _signature) =
            signed.map_err(|error| AwsError::Failed(error.to_string()))?.into_parts();
        instructions.apply_to_request_http1x(&mut request);
        reqwest::Request::try_from(request).map_err(without_url)
    }
}

/// The domain of AWS's services in a region. Source: AWS General Reference, "Service endpoints".
fn domain(region: &str) -> &'static str {
    if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" }
}

async fn read(mut response: reqwest::Response) -> Result<Vec<u8>, AwsError> {
    let mut answer = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(without_url)? {
        answer.extend_from_slice(&chunk);
        if answer.len() > ANSWER_BYTES_MAX {
            return Err(AwsError::NotUnderstood);
        }
    }
    Ok(answer)
}

fn without_url(error: reqwest::Error) -> AwsError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    AwsError::Failed(text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Settings;

    fn secrets_in(region: &str) -> AwsSecrets {
        let config = r#"{"environment":"test","routes":{"sss":{"path":"/sqs-hook","ordering_key":"g",
            "destinations":[{"name":"sss","url":"http://localhost/"}]}}}"#;
        let settings = Settings::read(|name| match name {
            "WEBHOOK_QUEUE_CONFIG" => Some(config.to_owned()),
            "AWS_REGION" => Some(region.to_owned()),
            "QUEUE_URL" | "DEAD_LETTER_QUEUE_URL" => Some("http://localhost/q".to_owned()),
            "AWS_ACCESS_KEY_ID" | "AWS_SECRET_ACCESS_KEY" => Some("test".to_owned()),
            _ => None,
        });
        let _installed_before = rustls::crypto::ring::default_provider().install_default();
        AwsSecrets::new(settings.unwrap().aws, reqwest::Client::new())
    }

    #[test]
    fn a_service_is_called_in_its_region() {
        for (region, url) in [
            ("ap-northeast-1", "https://ssm.ap-northeast-1.amazonaws.com/"),
            ("cn-north-1", "https://ssm.cn-north-1.amazonaws.com.cn/"),
        ] {
            let service =
                Service { name: "ssm", target: "AmazonSSM.GetParameter", endpoint_url: None };
            let request = secrets_in(region).request(&service, "{}".to_owned()).unwrap();
            assert_eq!(request.url().as_str(), url);
        }
    }

    #[tokio::test]
    async fn an_answer_is_read_up_to_its_greatest_size() {
        for (bytes, is_read) in [(ANSWER_BYTES_MAX, true), (ANSWER_BYTES_MAX + 1, false)] {
            let answer = http::Response::new("a".repeat(bytes));
            let read = read(answer.into()).await.map(|answer| answer.len());
            assert_eq!(read.ok(), is_read.then_some(bytes));
        }
    }
}
