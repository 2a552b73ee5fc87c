//! Which messages of a batch the function is done with: Lambda's partial batch response.
//!
//! Source: Lambda guide, "Handling errors for an SQS event source", success and failure conditions.

use std::collections::HashSet;

use serde_json::Value;

/// What a response says about its batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum BatchResult {
    /// The messages at these places are done with.
    Done(Vec<usize>),
    /// None is: the response cannot be understood, and what cannot be understood deletes nothing.
    Nothing(&'static str),
}

/// Reads the response to a batch of the messages `ids`, in order.
pub(crate) fn read(response: &[u8], ids: &[&str]) -> BatchResult {
    match failed(response, ids) {
        Ok(failed) => BatchResult::Done((0..ids.len()).filter(|i| !failed.contains(i)).collect()),
        Err(reason) => BatchResult::Nothing(reason),
    }
}

/// The places of the messages that failed.
fn failed(response: &[u8], ids: &[&str]) -> Result<HashSet<usize>, &'static str> {
    if response.trim_ascii().is_empty() {
        return Ok(HashSet::new());
    }
    let response: Value =
        serde_json::from_slice(response).map_err(|_| "the response is not JSON")?;
    let fields = match response {
        Value::Null => return Ok(HashSet::new()),
        Value::Object(fields) => fields,
        _ => return Err("the response is not an object"),
    };
    let failures = match fields.get("batchItemFailures") {
        // An answer about something else is a misspelling more likely than a success.
        None if !fields.is_empty() => return Err("the response has no batchItemFailures"),
        None | Some(Value::Null) => return Ok(HashSet::new()),
        Some(Value::Array(failures)) => failures,
        Some(_) => return Err("batchItemFailures is not a list"),
    };
    failures.iter().map(|failure| place(failure, ids)).collect()
}

fn place(failure: &Value, ids: &[&str]) -> Result<usize, &'static str> {
    let id = failure.get("itemIdentifier").and_then(Value::as_str);
    let id = id.filter(|id| !id.is_empty()).ok_or("a failure has no itemIdentifier")?;
    ids.iter().position(|known| *known == id).ok_or("an itemIdentifier is not in the batch")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(response: &str, expected: &[usize]) {
        let result = read(response.as_bytes(), &["a", "b", "c"]);
        assert_eq!(result, BatchResult::Done(expected.to_vec()), "{response}");
    }

    fn check_nothing(response: &str) {
        let result = read(response.as_bytes(), &["a", "b", "c"]);
        assert!(matches!(result, BatchResult::Nothing(_)), "{response}: {result:?}");
    }

    #[test]
    fn without_failures_all_are_done() {
        for response in [
            "",
            " \n",
            "null",
            "{}",
            r#"{"batchItemFailures":[]}"#,
            r#"{"batchItemFailures":null}"#,
        ] {
            check(response, &[0, 1, 2]);
        }
    }

    #[test]
    fn failures_stay() {
        check(r#"{"batchItemFailures":[{"itemIdentifier":"b"}]}"#, &[0, 2]);
        check(
            r#"{"batchItemFailures":[{"itemIdentifier":"c"},{"itemIdentifier":"a"},{"itemIdentifier":"a"}]}"#,
            &[1],
        );
    }

    #[test]
    fn what_cannot_be_understood_deletes_nothing() {
        for response in [
            "{",
            "true",
            r#""ok""#,
            "[]",
            r#"{"batchItemFailure":[]}"#,
            r#"{"batchItemFailures":{}}"#,
            r#"{"batchItemFailures":[null]}"#,
            r#"{"batchItemFailures":["a"]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":""}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":null}]}"#,
            r#"{"batchItemFailures":[{"itemidentifier":"a"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"d"}]}"#,
            r#"{"batchItemFailures":[{"itemIdentifier":"a"},{"itemIdentifier":"d"}]}"#,
        ] {
            check_nothing(response);
        }
    }
}
