//! SQS, where a message has failed: visibility timeouts and dead letters. The SDK is set up at the
//! first failure, so that deliveries neither wait nor pay for it, and it uses the same HTTP client
//! as the deliveries: a second TLS stack would double the artifact.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::retry::RetryConfig;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::config::{BehaviorVersion, Region, StalledStreamProtectionConfig};
use aws_sdk_sqs::error::{DisplayErrorContext, SdkError};
use aws_sdk_sqs::types::{ChangeMessageVisibilityBatchRequestEntry, MessageAttributeValue};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::{Response, StatusCode};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::{Blob, base64};
use domain::attribute::Attribute;
use domain::batch::Kept;
use domain::dead_letter::Outgoing;

use crate::settings::AwsSettings;

/// Calls per operation, the first included.
const ATTEMPTS: u32 = 2;

/// Longest call, in seconds.
const CALL_TIMEOUT: Duration = Duration::from_secs(2);

/// The two queues, as far as failures concern them.
#[derive(Debug)]
pub(crate) struct Queue {
    url: String,
    dead_letter_url: String,
    settings: Arc<AwsSettings>,
    http: reqwest::Client,
    client: OnceLock<Client>,
}

/// What SQS did not do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct QueueError(pub String);

impl Queue {
    pub(crate) fn new(
        url: String,
        dead_letter_url: String,
        settings: Arc<AwsSettings>,
        http: reqwest::Client,
    ) -> Self {
        Self { url, dead_letter_url, settings, http, client: OnceLock::new() }
    }

    pub(crate) async fn change_visibility(
        &self,
        kept: &[Kept],
        time_left: Duration,
    ) -> Result<(), QueueError> {
        let entry = |(position, kept): (usize, &Kept)| {
            ChangeMessageVisibilityBatchRequestEntry::builder()
                .id(position.to_string())
                .receipt_handle(&kept.receipt_handle)
                .visibility_timeout(
                    i32::try_from(kept.visibility_timeout_seconds).unwrap_or(i32::MAX),
                )
                .build()
        };
        let entries: Result<Vec<_>, _> = kept.iter().enumerate().map(entry).collect();
        let request = self
            .client()
            .change_message_visibility_batch()
            .queue_url(&self.url)
            .set_entries(Some(entries.map_err(|error| QueueError(error.to_string()))?));
        let changed =
            within("changing visibility timeouts", time_left, Box::pin(request.send())).await?;
        match changed.failed() {
            [] => Ok(()),
            [first, ..] => Err(QueueError(format!(
                "changing {} of {} visibility timeouts: {}",
                changed.failed().len(),
                kept.len(),
                first.message().unwrap_or(first.code())
            ))),
        }
    }

    pub(crate) async fn send_dead_letter(
        &self,
        letter: Outgoing,
        time_left: Duration,
    ) -> Result<(), QueueError> {
        let mut request = self
            .client()
            .send_message()
            .queue_url(&self.dead_letter_url)
            .message_body(letter.body)
            .message_group_id(letter.group_id)
            .message_deduplication_id(letter.deduplication_id);
        for (name, attribute) in letter.attributes {
            request = request.message_attributes(name, sdk_attribute(attribute)?);
        }
        within("sending a dead letter", time_left, Box::pin(request.send())).await?;
        Ok(())
    }

    fn client(&self) -> &Client {
        self.client.get_or_init(|| {
            let settings = &self.settings;
            let mut config = aws_sdk_sqs::Config::builder()
                .behavior_version(BehaviorVersion::v2026_01_12())
                .region(Region::new(settings.region.clone()))
                .credentials_provider(settings.credentials())
                .retry_config(RetryConfig::standard().with_max_attempts(ATTEMPTS))
                .timeout_config(
                    TimeoutConfig::builder().operation_attempt_timeout(CALL_TIMEOUT).build(),
                )
                .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
                .http_client(Connector(self.http.clone()));
            config.set_endpoint_url(settings.sqs_endpoint_url.clone());
            Client::from_conf(config.build())
        })
    }
}

/// A call that ends in time: the response of the invocation does not wait for it.
async fn within<T, E, R>(
    step: &str,
    time_left: Duration,
    call: impl Future<Output = Result<T, SdkError<E, R>>>,
) -> Result<T, QueueError>
where
    SdkError<E, R>: std::error::Error,
{
    match tokio::time::timeout(time_left, call).await {
        Ok(result) => {
            result.map_err(|error| QueueError(format!("{step}: {}", DisplayErrorContext(error))))
        }
        Err(_elapsed) => Err(QueueError(format!("{step}: the invocation ends before it is done"))),
    }
}

fn sdk_attribute(attribute: Attribute) -> Result<MessageAttributeValue, QueueError> {
    let builder = MessageAttributeValue::builder().data_type(&attribute.data_type);
    let builder = if attribute.is_binary() {
        let bytes = base64::decode(&attribute.value)
            .map_err(|error| QueueError(format!("a binary attribute is not base64: {error}")))?;
        builder.binary_value(Blob::new(bytes))
    } else {
        builder.string_value(attribute.value)
    };
    builder.build().map_err(|error| QueueError(error.to_string()))
}

/// The deliveries' HTTP client, as the SDK wants one.
#[derive(Debug, Clone)]
struct Connector(reqwest::Client);

impl HttpClient for Connector {
    fn http_connector(
        &self,
        _settings: &HttpConnectorSettings,
        _components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let client = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(user_error)?;
            let (parts, body) = request.into_parts();
            let body = body.bytes().map(<[u8]>::to_vec).unwrap_or_default();
            let request = http::Request::from_parts(parts, body);
            let request = reqwest::Request::try_from(request).map_err(user_error)?;
            let response = client.execute(request).await.map_err(io_error)?;
            let status = StatusCode::try_from(response.status().as_u16()).map_err(user_error)?;
            let headers = response.headers().clone();
            let body = response.bytes().await.map_err(io_error)?;
            let mut answer = Response::new(status, SdkBody::from(body));
            for (name, value) in &headers {
                if let Ok(value) = value.to_str() {
                    answer.headers_mut().append(name.as_str().to_owned(), value.to_owned());
                }
            }
            Ok(answer)
        })
    }
}

fn user_error(error: impl std::error::Error + Send + Sync + 'static) -> ConnectorError {
    ConnectorError::user(error.into())
}

fn io_error(error: reqwest::Error) -> ConnectorError {
    ConnectorError::io(error.into())
}
