//! The AWS SDK's client, and short ways to use it. Errors are told by their code, which is what
//! programs go by.

use std::sync::atomic::{AtomicU32, Ordering};

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::{BehaviorVersion, Credentials, Region, retry::RetryConfig};
use aws_sdk_sqs::error::{DisplayErrorContext, ProvideErrorMetadata, SdkError};
use aws_sdk_sqs::operation::receive_message::builders::ReceiveMessageFluentBuilder;
use aws_sdk_sqs::operation::send_message::SendMessageOutput;
use aws_sdk_sqs::operation::send_message::builders::SendMessageFluentBuilder;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName, QueueAttributeName};

/// The queues of one implementation.
pub struct Queues {
    /// The SDK's client.
    pub client: Client,
    created: AtomicU32,
}

impl Queues {
    /// The queues behind an endpoint such as `http://127.0.0.1:9324`.
    #[must_use]
    pub fn at(endpoint: &str) -> Self {
        let config = aws_sdk_sqs::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new("us-east-1"))
            .credentials_provider(Credentials::new("test", "test", None, None, "test"))
            .endpoint_url(endpoint)
            .retry_config(RetryConfig::disabled())
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .build();
        Self { client: Client::from_conf(config), created: AtomicU32::new(0) }
    }

    /// A name that no other scenario uses.
    #[must_use]
    pub fn new_name(&self) -> String {
        let number = self.created.fetch_add(1, Ordering::Relaxed);
        format!("contract-{}-{number}.fifo", std::process::id())
    }

    /// A new queue with these attributes.
    pub async fn create(&self, attributes: &[(QueueAttributeName, &str)]) -> Queue<'_> {
        let mut request = self
            .client
            .create_queue()
            .queue_name(self.new_name())
            .attributes(QueueAttributeName::FifoQueue, "true");
        for (name, value) in attributes {
            request = request.attributes(name.clone(), *value);
        }
        let url = request.send().await.expect("the queue is created").queue_url;
        Queue { client: &self.client, url: url.expect("a created queue has a URL") }
    }
}

/// One queue.
pub struct Queue<'a> {
    /// The SDK's client.
    pub client: &'a Client,
    /// The queue's URL.
    pub url: String,
}

impl Queue<'_> {
    /// A send of `body`, which is its own deduplication id too.
    #[must_use]
    pub fn message(&self, group: &str, body: &str) -> SendMessageFluentBuilder {
        self.client
            .send_message()
            .queue_url(&self.url)
            .message_group_id(group)
            .message_body(body)
            .message_deduplication_id(body)
    }

    /// Sends [`message`](Self::message).
    pub async fn send(&self, group: &str, body: &str) -> SendMessageOutput {
        self.message(group, body).send().await.expect("the message is accepted")
    }

    /// A receive of up to ten messages, with everything that can be asked for.
    #[must_use]
    pub fn receiving(&self) -> ReceiveMessageFluentBuilder {
        self.client
            .receive_message()
            .queue_url(&self.url)
            .max_number_of_messages(10)
            .message_system_attribute_names(MessageSystemAttributeName::All)
            .message_attribute_names("All")
    }

    /// Receives what is there now.
    pub async fn receive(&self) -> Vec<Message> {
        received(self.receiving()).await
    }

    /// Receives one message; waits for it for up to 5 seconds.
    pub async fn receive_one(&self) -> Option<Message> {
        received(self.receiving().max_number_of_messages(1).wait_time_seconds(5)).await.pop()
    }

    /// Deletes a message; the error's code if that fails.
    pub async fn delete(&self, message: &Message) -> Result<(), String> {
        let handle = message.receipt_handle().unwrap_or_default();
        let request = self.client.delete_message().queue_url(&self.url).receipt_handle(handle);
        code(request.send().await).map(drop)
    }

    /// Changes a message's visibility timeout; the error's code if that fails.
    pub async fn change_visibility(&self, message: &Message, seconds: i32) -> Result<(), String> {
        let request = self.client.change_message_visibility().queue_url(&self.url);
        let handle = message.receipt_handle().unwrap_or_default();
        code(request.receipt_handle(handle).visibility_timeout(seconds).send().await).map(drop)
    }

    /// One of the queue's attributes.
    pub async fn attribute(&self, name: QueueAttributeName) -> Option<String> {
        let request = self.client.get_queue_attributes().queue_url(&self.url);
        let answer =
            request.attribute_names(name.clone()).send().await.expect("the queue is there");
        answer.attributes()?.get(&name).cloned()
    }

    /// Sets an attribute; the error's code if that fails.
    pub async fn set(&self, name: QueueAttributeName, value: &str) -> Result<(), String> {
        let request = self.client.set_queue_attributes().queue_url(&self.url);
        code(request.attributes(name, value).send().await).map(drop)
    }

    /// The queue's ARN.
    pub async fn arn(&self) -> String {
        self.attribute(QueueAttributeName::QueueArn).await.expect("a queue has an ARN")
    }
}

/// Sends a receive.
pub async fn received(request: ReceiveMessageFluentBuilder) -> Vec<Message> {
    request.send().await.expect("receiving works").messages.unwrap_or_default()
}

/// The bodies of messages.
#[must_use]
pub fn bodies(messages: &[Message]) -> Vec<&str> {
    messages.iter().filter_map(Message::body).collect()
}

/// A system attribute of a message.
#[must_use]
pub fn system<'m>(message: &'m Message, name: &MessageSystemAttributeName) -> Option<&'m str> {
    message.attributes()?.get(name).map(String::as_str)
}

/// The code of an error, which must be one that the service gave.
pub fn code<T, E>(result: Result<T, SdkError<E>>) -> Result<T, String>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    result.map_err(|error| match &error {
        SdkError::ServiceError(context) => context.err().code().unwrap_or_default().to_owned(),
        _ => panic!("{}", DisplayErrorContext(&error)),
    })
}
