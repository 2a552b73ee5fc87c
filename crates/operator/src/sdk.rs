//! How the AWS SDK is set up, once for every service: TLS by rustls, the region that the environment
//! names, credentials from where the AWS CLI has them.

use std::error::Error;
use std::sync::OnceLock;
use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::error::ProvideErrorMetadata;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};

/// The set-up for `region`, or for the one that the AWS CLI would use.
pub(crate) async fn config(region: Option<&str>) -> SdkConfig {
    let https = Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    let mut loader = aws_config::defaults(BehaviorVersion::latest()).http_client(https);
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    loader.load().await
}

/// How long a question that is not the main one may take: nobody should wait for an answer that does
/// not come, such as from an endpoint in another network.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

/// How long a call may take. The SDK waits without end for an answer unless it is told.
pub(crate) fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .operation_attempt_timeout(Duration::from_secs(20))
        .operation_timeout(Duration::from_secs(45))
        .build()
}

/// The answer, or that there was none in [`PATIENCE`].
pub(crate) async fn in_time<T>(
    asked: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    within(PATIENCE, asked).await
}

/// The answer, or that there was none in `limit`.
pub(crate) async fn within<T>(
    limit: Duration,
    asked: impl Future<Output = anyhow::Result<T>>,
) -> anyhow::Result<T> {
    match tokio::time::timeout(limit, asked).await {
        Ok(answer) => answer,
        Err(_elapsed) => Err(anyhow::anyhow!("no answer within {} s", limit.as_secs())),
    }
}

/// Whether all that is known of an error is shown.
static DEBUG: OnceLock<bool> = OnceLock::new();

/// The variable by which who starts this program asks for it, as `--debug` does.
const DEBUG_VARIABLE: &str = "WEBHOOK_OPERATOR_DEBUG";

/// Shows all that is known of an error, if `wanted` or if the environment says so.
pub(crate) fn debug(wanted: bool) {
    // Asked once, at the start.
    let _first = DEBUG.set(wanted || std::env::var_os(DEBUG_VARIABLE).is_some());
}

/// What went wrong with a call in one sentence, and what to do if it is the credentials.
#[expect(clippy::needless_pass_by_value, reason = "what `map_err` gives")]
pub(crate) fn failed(
    what: &str,
    error: impl Error + ProvideErrorMetadata + 'static,
) -> anyhow::Error {
    let reason = match (error.code(), error.message()) {
        (Some(code), Some(message)) => format!("{code}: {message}"),
        _ => reasons(&error),
    };
    let details = if DEBUG.get() == Some(&true) { format!("\n{error:#?}") } else { String::new() };
    anyhow::anyhow!("{what}: {}{details}", advised(&reason))
}

/// The reason, with what to do about missing credentials.
fn advised(reason: &str) -> String {
    let signs =
        ["loading credentials", "no providers in chain", "ExpiredToken", "InvalidClientTokenId"];
    if signs.iter().any(|sign| reason.contains(sign)) {
        return "there are no AWS credentials, or they have expired; log in and set AWS_PROFILE, or \
                set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY; --debug tells more"
            .to_owned();
    }
    reason.to_owned()
}

/// An error and its sources, each once: the SDK's own text says only that there was one.
fn reasons(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    let mut reasons: Vec<String> = Vec::new();
    for reason in chain.map(ToString::to_string) {
        if !reasons.iter().any(|earlier| earlier.contains(&reason)) {
            reasons.push(reason);
        }
    }
    reasons.join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_are_told_once() {
        let error = anyhow::anyhow!("refused").context("refused").context("dispatch failure");
        assert_eq!(reasons(error.as_ref()), "dispatch failure: refused");
    }

    #[test]
    fn missing_credentials_say_what_to_do() {
        let advice =
            advised("dispatch failure: an error occurred while loading credentials: all of it");
        assert!(advice.contains("AWS_PROFILE") && !advice.contains("all of it"), "{advice}");
        assert_eq!(advised("NoSuchBucket: there is none"), "NoSuchBucket: there is none");
    }
}
