//! Telling Lambda that the function cannot start.

use serde_json::json;

use crate::{services, tls};

/// Reports `error` as the reason why the function cannot start. Whether or not Lambda can be told,
/// it sees the process end; the caller logs the same text.
///
/// Source: Lambda guide, "Using the Lambda runtime API", initialization error.
pub async fn report_init_error(runtime_api: &str, error_type: &str, error: &str) {
    let Some(client) = tls::client_config(None).ok().and_then(|tls| services::client(tls).ok())
    else {
        return;
    };
    // Lambda says host and port; an engine on one machine a URL, as its API has a path.
    let base = runtime_api.strip_prefix("http://").unwrap_or(runtime_api);
    let body = json!({ "errorMessage": error, "errorType": error_type, "stackTrace": [] });
    let _unreported = client
        .post(format!("http://{base}/2018-06-01/runtime/init/error"))
        .header("lambda-runtime-function-error-type", error_type)
        .body(body.to_string())
        .send()
        .await;
}
