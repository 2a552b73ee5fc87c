//! How the AWS SDK is set up, once for every service: TLS by rustls, the region that the environment
//! names, credentials from where the AWS CLI has them.

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_sqs::error::DisplayErrorContext;
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

/// What went wrong with a call, and what to do if it is the credentials.
pub(crate) fn failed(
    what: &str,
    error: impl std::error::Error + Send + Sync + 'static,
) -> anyhow::Error {
    let reason = DisplayErrorContext(error).to_string();
    let credentials =
        ["CredentialsNotLoaded", "no providers in chain", "ExpiredToken", "InvalidClientTokenId"];
    if credentials.iter().any(|sign| reason.contains(sign)) {
        return anyhow::anyhow!(
            "{what}: there are no AWS credentials, or they have expired; log in and set AWS_PROFILE, \
             or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY ({reason})"
        );
    }
    anyhow::anyhow!("{what}: {reason}")
}
