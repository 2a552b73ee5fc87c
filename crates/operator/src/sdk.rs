//! How the AWS SDK is set up, once for every service: TLS by rustls, the region that the environment
//! names, credentials from where the AWS CLI has them.

use std::error::Error;

use aws_config::{BehaviorVersion, Region, SdkConfig};
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
pub(crate) fn failed(what: &str, error: impl Error + 'static) -> anyhow::Error {
    let reason = reasons(&error);
    let credentials =
        ["loading credentials", "no providers in chain", "ExpiredToken", "InvalidClientTokenId"];
    if credentials.iter().any(|sign| reason.contains(sign)) {
        return anyhow::anyhow!(
            "{what}: there are no AWS credentials, or they have expired; log in and set AWS_PROFILE, \
             or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY ({reason})"
        );
    }
    anyhow::anyhow!("{what}: {reason}")
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
        let error = std::io::Error::other("an error occurred while loading credentials");
        let said = failed("asking AWS who we are", error).to_string();
        assert!(said.contains("set AWS_PROFILE"), "{said}");
    }
}
