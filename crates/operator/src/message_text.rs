//! A message as people and programs read it: its headers, its body, what happened to it.

use std::collections::BTreeMap;

use domain::header;
use domain::message::Message;
use serde_json::{Value, json};

use crate::people::{printable, printable_lines};
use crate::trace::{self, Step};

/// A name and what it is.
pub(crate) fn field(name: &str, value: &str) -> String {
    format!("{name:<12} {}", printable(value))
}

/// The headers that travel with it, a line each, as far as they are shown.
pub(crate) fn headers(message: &Message) -> Vec<String> {
    let line = |(name, value): (&str, &str)| {
        format!("{:<12} {}: {}", "header", printable(name), printable(header::shown(name, value)))
    };
    message.headers().map(line).collect()
}

/// The same for programs.
pub(crate) fn headers_json(message: &Message) -> Value {
    let shown = message.headers().map(|(name, value)| (name, header::shown(name, value)));
    json!(shown.collect::<BTreeMap<_, _>>())
}

/// What the log knows of it, or why that is not known.
pub(crate) fn history(history: Result<&[Step], String>) -> String {
    match history {
        Ok([]) => "\nhistory: the log tells nothing of it any more".to_owned(),
        Ok(steps) => format!("\nhistory\n{}", trace::steps_for_people(steps).trim_end()),
        Err(error) => format!("\nhistory: unknown ({error})"),
    }
}

/// The beginning of the service's answer.
pub(crate) fn response(response: &str) -> String {
    format!("\nresponse\n{}", printable_lines(response))
}

/// The body: indented when it is JSON.
pub(crate) fn body(body: &str) -> String {
    let json: Option<Value> = serde_json::from_str(body).ok();
    let pretty = json.and_then(|json| serde_json::to_string_pretty(&json).ok());
    let shown = printable_lines(pretty.as_deref().unwrap_or(body));
    format!("\nbody ({} bytes)\n{shown}", body.len())
}
