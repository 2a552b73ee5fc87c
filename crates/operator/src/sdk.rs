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
    let profile = std::env::var(PROFILE_VARIABLE).ok().filter(|name| !name.is_empty());
    let reason = without_credentials(&reason, profile.as_deref()).unwrap_or(reason);
    anyhow::anyhow!("{what}: {}{details}", in_one_line(&reason))
}

/// Which profile's credentials are used. Source: AWS SDKs and tools reference, "Shared config".
const PROFILE_VARIABLE: &str = "AWS_PROFILE";

/// What to do where credentials are missing, refused or not to be had; `None` if it is something else.
/// The SDK tells of every place where it looked, over several lines.
fn without_credentials(reason: &str, profile: Option<&str>) -> Option<String> {
    const MISSING: [&str; 4] = [
        "no credentials found in chain",
        "no providers in chain",
        "loading credentials",
        "credential provider was not enabled",
    ];
    /// Source: SQS, S3 and STS API references, "Common errors".
    const REFUSED: [&str; 5] = [
        "ExpiredToken",
        "InvalidClientTokenId",
        "InvalidAccessKeyId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
    ];
    const UNUSABLE: &str = "credentials provider was not properly configured";
    const WAY_OUT: &str =
        "log in and set AWS_PROFILE, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";
    let is_one_of = |signs: &[&str]| signs.iter().any(|sign| reason.contains(sign));
    // This program has no code of them: they are half of the SDK.
    if is_one_of(&[UNUSABLE]) && is_one_of(&["enabled: sso"]) {
        return Some(
            "the AWS profile logs in by SSO, which only the AWS CLI can; \
             `eval \"$(aws configure export-credentials --format env)\"` hands its credentials over"
                .to_owned(),
        );
    }
    if is_one_of(&[UNUSABLE]) {
        let why = reason.rsplit(": ").next().unwrap_or_default();
        return Some(format!(
            "the AWS profile gives no credentials ({why}); mend it, or {WAY_OUT}"
        ));
    }
    if is_one_of(&REFUSED) {
        return Some(format!("the AWS credentials have expired, or are not known; {WAY_OUT}"));
    }
    is_one_of(&MISSING).then(|| match profile {
        Some(profile) => format!(
            "there are no AWS credentials in profile {profile:?} (AWS_PROFILE), or it does not give \
             them; {WAY_OUT}; --debug tells more"
        ),
        None => format!("there are no AWS credentials; {WAY_OUT}; --debug tells more"),
    })
}

/// As one sentence, whoever made a list of it.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
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

    /// As the SDK says it.
    const NONE: &str = "dispatch failure: other: the credential provider was not enabled: no credentials \
        found in chain. Attempted:\n  Environment: the credential provider was not enabled: environment \
        variable not set\n  Profile: the credential provider was not enabled";

    #[test]
    fn credentials_that_are_not_to_be_had_are_one_sentence_with_the_way_out() {
        let check = |reason: &str, profile: Option<&str>, begins: &str| {
            let said = without_credentials(reason, profile).unwrap();
            assert!(said.starts_with(begins), "{said}");
            assert!(said.contains("AWS_ACCESS_KEY_ID") || said.contains("export-credentials"));
            assert!(!said.contains('\n') && !said.contains("dispatch"), "{said}");
        };
        check(NONE, None, "there are no AWS credentials; log in");
        check(NONE, Some("dev"), "there are no AWS credentials in profile \"dev\"");
        let loading = "dispatch failure: an error occurred while loading credentials: all of it";
        check(loading, None, "there are no AWS credentials; log in");
        let unusable = "dispatch failure: other: the credentials provider was not properly configured: \
            ProfileFile provider could not be built";
        let sso =
            format!("{unusable}: This behavior requires following cargo feature(s) enabled: sso. ");
        check(&sso, None, "the AWS profile logs in by SSO");
        let torn = format!("{unusable}: invalid profile: could not parse profile file");
        let begins = "the AWS profile gives no credentials (could not parse profile file); mend it";
        check(&torn, None, begins);
        check("ExpiredToken: The security token is old", None, "the AWS credentials have expired");
        assert_eq!(without_credentials("NoSuchBucket: there is none", Some("dev")), None);
        assert_eq!(in_one_line("a:\n  b\r\n  c"), "a: b c");
    }
}
