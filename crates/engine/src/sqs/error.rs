//! SQS's errors as they are spelled on the wire: a type in the JSON body, and the code of the older
//! protocol in a header, by which SDKs go.

use axum::http::StatusCode;
use domain::json::JsonError;
use serde_json::json;

use crate::store::StoreError;

/// An error answer.
#[derive(Debug)]
pub(super) struct ApiError {
    pub(super) status: StatusCode,
    shape: &'static str,
    /// The older protocol's code, also that of a batch's entry.
    pub(super) code: &'static str,
    pub(super) message: String,
}

const SQS: &str = "com.amazonaws.sqs";
const CORAL: &str = "com.amazon.coral.service";

impl ApiError {
    fn sender(shape: &'static str, code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, shape, code, message: message.into() }
    }

    pub(super) fn unknown_operation(name: &str) -> Self {
        let message = format!("The action or operation {name:?} is not known or not supported.");
        Self::sender("UnknownOperationException", "InvalidAction", message)
    }

    pub(super) fn unreadable(error: &serde_json::Error) -> Self {
        Self::sender("SerializationException", "MalformedInput", JsonError::from(error).to_string())
    }

    pub(super) fn empty_batch() -> Self {
        Self::sender(
            "EmptyBatchRequest",
            "AWS.SimpleQueueService.EmptyBatchRequest",
            "There should be at least one entry in the request.",
        )
    }

    pub(super) fn too_many_entries(entries: usize, most: usize) -> Self {
        Self::sender(
            "TooManyEntriesInBatchRequest",
            "AWS.SimpleQueueService.TooManyEntriesInBatchRequest",
            format!("Maximum number of entries per request are {most}. You have sent {entries}."),
        )
    }

    pub(super) fn ids_not_distinct(id: &str) -> Self {
        Self::sender(
            "BatchEntryIdsNotDistinct",
            "AWS.SimpleQueueService.BatchEntryIdsNotDistinct",
            format!("Id {id} repeated."),
        )
    }

    pub(super) fn invalid_entry_id() -> Self {
        Self::sender(
            "InvalidBatchEntryId",
            "AWS.SimpleQueueService.InvalidBatchEntryId",
            "A batch entry id can only contain alphanumeric characters, hyphens and underscores. \
             It can be at most 80 letters long.",
        )
    }

    pub(super) fn batch_too_long(bytes: usize, most: usize) -> Self {
        Self::sender(
            "BatchRequestTooLong",
            "AWS.SimpleQueueService.BatchRequestTooLong",
            format!(
                "Batch requests cannot be longer than {most} bytes. You have sent {bytes} bytes."
            ),
        )
    }

    /// Whether the request was at fault.
    pub(super) fn sender_fault(&self) -> bool {
        self.status.is_client_error()
    }

    /// The header's value.
    pub(super) fn query_error(&self) -> String {
        let fault = if self.sender_fault() { "Sender" } else { "Receiver" };
        format!("{};{fault}", self.code)
    }

    /// The body.
    pub(super) fn body(&self) -> String {
        let namespace =
            if self.shape.ends_with("Exception") && self.shape != "ResourceNotFoundException" {
                CORAL
            } else {
                SQS
            };
        json!({ "__type": format!("{namespace}#{}", self.shape), "message": self.message })
            .to_string()
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        let (shape, code) = names(&error);
        let status = match error {
            StoreError::Storage(_) => StatusCode::SERVICE_UNAVAILABLE,
            StoreError::PurgeQueueInProgress(_) => StatusCode::FORBIDDEN,
            StoreError::ResourceNotFound(_) => StatusCode::NOT_FOUND,
            _ => StatusCode::BAD_REQUEST,
        };
        Self { status, shape, code, message: message(&error) }
    }
}

fn names(error: &StoreError) -> (&'static str, &'static str) {
    match error {
        StoreError::QueueDoesNotExist(_) => {
            ("QueueDoesNotExist", "AWS.SimpleQueueService.NonExistentQueue")
        }
        StoreError::QueueNameExists(..) => ("QueueNameExists", "QueueAlreadyExists"),
        StoreError::PurgeQueueInProgress(_) => {
            ("PurgeQueueInProgress", "AWS.SimpleQueueService.PurgeQueueInProgress")
        }
        StoreError::InvalidAttributeName(_) => ("InvalidAttributeName", "InvalidAttributeName"),
        StoreError::InvalidAttributeValue { .. } => {
            ("InvalidAttributeValue", "InvalidAttributeValue")
        }
        StoreError::MissingParameter(_) => {
            ("MissingRequiredParameterException", "MissingParameter")
        }
        StoreError::InvalidParameterValue(_) => {
            ("InvalidParameterValueException", "InvalidParameterValue")
        }
        StoreError::InvalidMessageContents(_) => {
            ("InvalidMessageContents", "InvalidMessageContents")
        }
        StoreError::ReceiptHandleIsInvalid(_) => {
            ("ReceiptHandleIsInvalid", "ReceiptHandleIsInvalid")
        }
        StoreError::MessageNotInflight => {
            ("MessageNotInflight", "AWS.SimpleQueueService.MessageNotInflight")
        }
        StoreError::ResourceNotFound(_) => {
            ("ResourceNotFoundException", "ResourceNotFoundException")
        }
        StoreError::UnsupportedOperation(_) => {
            ("UnsupportedOperation", "AWS.SimpleQueueService.UnsupportedOperation")
        }
        StoreError::Storage(_) => ("ServiceUnavailable", "ServiceUnavailable"),
    }
}

fn message(error: &StoreError) -> String {
    match error {
        StoreError::QueueDoesNotExist(_) => "The specified queue does not exist.".to_owned(),
        StoreError::QueueNameExists(_, attribute) => format!(
            "A queue already exists with the same name and a different value for attribute \
             {attribute}"
        ),
        StoreError::PurgeQueueInProgress(name) => {
            format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds.")
        }
        StoreError::MissingParameter(name) => {
            format!("The request must contain the parameter {name}.")
        }
        StoreError::InvalidAttributeName(name) => format!("Unknown Attribute {name}."),
        StoreError::InvalidAttributeValue { name, reason } => {
            format!("Invalid value for the parameter {name}. Reason: {reason}.")
        }
        StoreError::ReceiptHandleIsInvalid(handle) => {
            format!("The input receipt handle \"{handle}\" is not a valid receipt handle.")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_named_in_the_body_and_in_the_header() {
        let error = ApiError::from(StoreError::QueueDoesNotExist("a.fifo".to_owned()));
        assert_eq!(error.query_error(), "AWS.SimpleQueueService.NonExistentQueue;Sender");
        assert_eq!(
            error.body(),
            r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"The specified queue does not exist."}"#
        );
    }

    #[test]
    fn statuses_are_sqs_s() {
        let status = |error: StoreError| ApiError::from(error).status;
        assert_eq!(status(StoreError::PurgeQueueInProgress(String::new())), 403);
        assert_eq!(status(StoreError::ResourceNotFound(String::new())), 404);
        assert_eq!(status(StoreError::QueueDoesNotExist(String::new())), 400);
    }

    #[test]
    fn failing_storage_is_nobodys_fault_but_ours() {
        let error = ApiError::from(StoreError::Storage(crate::store::StorageError::Closed));
        assert_eq!(error.status, StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(error.query_error(), "ServiceUnavailable;Receiver");
    }
}
