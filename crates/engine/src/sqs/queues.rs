//! Operations on queues.

use serde::{Deserialize, Serialize};

use super::error::ApiError;
use super::{Context, Done, wire};
use crate::store::{Attributes, StoreError, Tags, arn};

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct CreateRequest {
    queue_name: String,
    attributes: Attributes,
    #[serde(rename = "tags", alias = "Tags")]
    tags: Tags,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct UrlAnswer {
    queue_url: String,
}

pub(super) async fn create(cx: Context, request: CreateRequest) -> Result<UrlAnswer, ApiError> {
    let name = &request.queue_name;
    if name.is_empty() {
        return Err(StoreError::MissingParameter("QueueName").into());
    }
    cx.store.create_queue(name, &request.attributes, &request.tags).await?;
    Ok(UrlAnswer { queue_url: cx.queue_url(name) })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct NameRequest {
    queue_name: String,
}

pub(super) async fn url(cx: Context, request: NameRequest) -> Result<UrlAnswer, ApiError> {
    if request.queue_name.is_empty() {
        return Err(StoreError::MissingParameter("QueueName").into());
    }
    cx.store.settings(&request.queue_name).await?;
    Ok(UrlAnswer { queue_url: cx.queue_url(&request.queue_name) })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct QueueRequest {
    queue_url: String,
}

pub(super) async fn delete(cx: Context, request: QueueRequest) -> Result<Done, ApiError> {
    let queue = wire::queue_name(&request.queue_url)?;
    if cx.kept.iter().any(|kept| kept == queue) {
        return Err(StoreError::UnsupportedOperation(format!(
            "{queue} is what this engine delivers from, and cannot be deleted; PurgeQueue empties it."
        ))
        .into());
    }
    cx.store.delete_queue(queue).await?;
    Ok(Done {})
}

pub(super) async fn purge(cx: Context, request: QueueRequest) -> Result<Done, ApiError> {
    cx.store.purge_queue(wire::queue_name(&request.queue_url)?).await?;
    Ok(Done {})
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct ListRequest {
    queue_url: String,
    queue_name_prefix: String,
    max_results: Option<usize>,
    next_token: Option<String>,
}

/// A page of queue URLs. The token is the last name of the page.
struct Page {
    urls: Vec<String>,
    next_token: Option<String>,
}

impl ListRequest {
    fn page(&self, cx: &Context, names: Vec<String>) -> Page {
        const RESULTS_MAX: usize = 1_000;
        let most = self.max_results.unwrap_or(RESULTS_MAX).clamp(1, RESULTS_MAX);
        let after = self.next_token.as_deref().unwrap_or_default();
        let mut names: Vec<String> =
            names.into_iter().filter(|name| name.as_str() > after).collect();
        let more = names.len() > most;
        names.truncate(most);
        Page {
            urls: names.iter().map(|name| cx.queue_url(name)).collect(),
            next_token: names.pop().filter(|_| more),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct ListAnswer {
    queue_urls: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(super) async fn list(cx: Context, request: ListRequest) -> Result<ListAnswer, ApiError> {
    let names = cx.store.queue_names(&request.queue_name_prefix).await?;
    let Page { urls: queue_urls, next_token } = request.page(&cx, names);
    Ok(ListAnswer { queue_urls, next_token })
}

/// The same as [`ListAnswer`], but SQS writes `queueUrls` here.
#[derive(Serialize)]
pub(super) struct SourcesAnswer {
    #[serde(rename = "queueUrls")]
    queue_urls: Vec<String>,
    #[serde(rename = "NextToken", skip_serializing_if = "Option::is_none")]
    next_token: Option<String>,
}

pub(super) async fn dead_letter_sources(
    cx: Context,
    request: ListRequest,
) -> Result<SourcesAnswer, ApiError> {
    let queue = wire::queue_name(&request.queue_url)?;
    let names = cx.store.dead_letter_source_queues(queue).await?;
    let Page { urls: queue_urls, next_token } = request.page(&cx, names);
    Ok(SourcesAnswer { queue_urls, next_token })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct AttributesRequest {
    queue_url: String,
    attribute_names: Vec<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct AttributesAnswer {
    #[serde(skip_serializing_if = "Attributes::is_empty")]
    attributes: Attributes,
}

/// Attributes that a queue has only when they are set.
const OPTIONAL: [&str; 6] = [
    "Policy",
    "RedrivePolicy",
    "RedriveAllowPolicy",
    "KmsMasterKeyId",
    "KmsDataKeyReusePeriodSeconds",
    "SqsManagedSseEnabled",
];

pub(super) async fn attributes(
    cx: Context,
    request: AttributesRequest,
) -> Result<AttributesAnswer, ApiError> {
    let queue = wire::queue_name(&request.queue_url)?;
    let mut attributes = cx.store.settings(queue).await?.attributes();
    attributes.extend(counts(&cx, queue).await?);
    let names = request.attribute_names;
    let known = |name: &str| attributes.contains_key(name) || OPTIONAL.contains(&name);
    if let Some(unknown) = names.iter().find(|name| *name != "All" && !known(name)) {
        return Err(StoreError::InvalidAttributeName(unknown.clone()).into());
    }
    if !names.iter().any(|name| name == "All") {
        attributes.retain(|name, _| names.contains(name));
    }
    Ok(AttributesAnswer { attributes })
}

async fn counts(cx: &Context, queue: &str) -> Result<Attributes, StoreError> {
    let statistics = cx.store.statistics(queue).await?;
    let counts = [
        ("QueueArn", arn::of_queue(queue)),
        ("ApproximateNumberOfMessages", statistics.visible.to_string()),
        ("ApproximateNumberOfMessagesNotVisible", statistics.in_flight.to_string()),
        ("ApproximateNumberOfMessagesDelayed", statistics.delayed.to_string()),
        ("CreatedTimestamp", (statistics.created_at.as_ms() / 1_000).to_string()),
        ("LastModifiedTimestamp", (statistics.modified_at.as_ms() / 1_000).to_string()),
    ];
    Ok(counts.map(|(name, value)| (name.to_owned(), value)).into())
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct SetAttributesRequest {
    queue_url: String,
    attributes: Attributes,
}

pub(super) async fn set_attributes(
    cx: Context,
    request: SetAttributesRequest,
) -> Result<Done, ApiError> {
    let queue = wire::queue_name(&request.queue_url)?;
    cx.store.set_attributes(queue, &request.attributes).await?;
    Ok(Done {})
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct TagsAnswer {
    #[serde(skip_serializing_if = "Tags::is_empty")]
    tags: Tags,
}

pub(super) async fn tags(cx: Context, request: QueueRequest) -> Result<TagsAnswer, ApiError> {
    Ok(TagsAnswer { tags: cx.store.tags(wire::queue_name(&request.queue_url)?).await? })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct TagRequest {
    queue_url: String,
    tags: Tags,
}

pub(super) async fn tag(cx: Context, request: TagRequest) -> Result<Done, ApiError> {
    let queue = wire::queue_name(&request.queue_url)?;
    if request.tags.is_empty() {
        return Err(StoreError::MissingParameter("Tags").into());
    }
    cx.store.change_tags(queue, &request.tags, &[]).await?;
    Ok(Done {})
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(super) struct UntagRequest {
    queue_url: String,
    tag_keys: Vec<String>,
}

pub(super) async fn untag(cx: Context, request: UntagRequest) -> Result<Done, ApiError> {
    let queue = wire::queue_name(&request.queue_url)?;
    if request.tag_keys.is_empty() {
        return Err(StoreError::InvalidParameterValue(
            "Tag keys must be between 1 and 128 characters in length.".to_owned(),
        )
        .into());
    }
    cx.store.change_tags(queue, &Tags::new(), &request.tag_keys).await?;
    Ok(Done {})
}
