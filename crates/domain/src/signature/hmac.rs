//! HMACs in one header: GitHub's, Slack's, and whatever else the configuration describes.

use std::sync::Arc;
use std::time::Duration;

use super::encoding::signatures;
use super::{
    Algorithm, Encoding, SecretEncoding, SignedContent, Unverified, VerifyError, any_secret,
    check_time, header, mac,
};
use crate::message::Message;
use crate::secret::Secret;

/// How a provider signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hmac {
    /// The header with the signature, or several, in lower case.
    pub header: String,
    /// What stands before each signature in it, such as `sha256=`.
    pub prefix: String,
    /// The hash.
    pub algorithm: Algorithm,
    /// How the signature is written.
    pub encoding: Encoding,
    /// How the secret is written.
    pub secret_encoding: SecretEncoding,
    /// What is signed.
    pub signed_content: SignedContent,
    /// The header with the time of signing, in lower case; part of what is signed.
    pub timestamp_header: Option<String>,
}

impl Hmac {
    /// Source: GitHub guide, "Validating webhook deliveries".
    #[must_use]
    pub fn github() -> Self {
        Self {
            header: "x-hub-signature-256".to_owned(),
            prefix: "sha256=".to_owned(),
            algorithm: Algorithm::Sha256,
            encoding: Encoding::Hex,
            secret_encoding: SecretEncoding::Text,
            signed_content: SignedContent::parse("{body}").expect("a constant"),
            timestamp_header: None,
        }
    }

    /// Source: Slack guide, "Verifying requests from Slack".
    #[must_use]
    pub fn slack() -> Self {
        let content = "v0:{header.x-slack-request-timestamp}:{body}";
        Self {
            header: "x-slack-signature".to_owned(),
            prefix: "v0=".to_owned(),
            algorithm: Algorithm::Sha256,
            encoding: Encoding::Hex,
            secret_encoding: SecretEncoding::Text,
            signed_content: SignedContent::parse(content).expect("a constant"),
            timestamp_header: Some("x-slack-request-timestamp".to_owned()),
        }
    }

    pub(super) fn headers(&self) -> Vec<&str> {
        let mut headers = vec![self.header.as_str()];
        headers.extend(self.signed_content.headers());
        headers.extend(self.timestamp_header.as_deref());
        headers.sort_unstable();
        headers.dedup();
        headers
    }

    pub(super) fn verify(
        &self,
        message: &Message,
        secrets: &[Arc<Secret>],
        tolerance: Duration,
    ) -> Result<(), VerifyError> {
        let given: Vec<Vec<u8>> = signatures(header(message, &self.header)?, &self.prefix)
            .filter_map(|text| self.encoding.decode(text))
            .collect();
        if given.is_empty() {
            return Err(Unverified::NoSignature(self.header.clone()).into());
        }
        let content = self.signed_content.of(message)?;
        let key_of = |secret| self.secret_encoding.key(secret);
        any_secret(secrets, &self.header, key_of, |key| {
            mac::is_any(self.algorithm, key, &content, &given)
        })?;
        if let Some(name) = &self.timestamp_header {
            check_time(message, name, header(message, name)?, tolerance)?;
        }
        Ok(())
    }
}
