//! One HMAC in one header: GitHub's, Slack's, and whatever else the configuration describes.

use std::sync::Arc;
use std::time::Duration;

use super::{Algorithm, Encoding, SignedContent, Unverified, check_time, header, mac};
use crate::message::Message;
use crate::secret::Secret;

/// How a provider signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hmac {
    /// The header with the signature, in lower case.
    pub header: String,
    /// What stands before the signature in it, such as `sha256=`.
    pub prefix: String,
    /// The hash.
    pub algorithm: Algorithm,
    /// How the signature is written.
    pub encoding: Encoding,
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
    ) -> Result<(), Unverified> {
        let signature = header(message, &self.header)?
            .strip_prefix(&self.prefix)
            .and_then(|text| self.encoding.decode(text))
            .ok_or_else(|| Unverified::NoSignature(self.header.clone()))?;
        let content = self.signed_content.of(message)?;
        let keys = secrets.iter().map(|secret| secret.expose());
        if !mac::any_matches(self.algorithm, keys, &content, &[signature]) {
            return Err(Unverified::Mismatch(self.header.clone()));
        }
        match &self.timestamp_header {
            Some(name) => check_time(message, name, header(message, name)?, tolerance),
            None => Ok(()),
        }
    }
}
