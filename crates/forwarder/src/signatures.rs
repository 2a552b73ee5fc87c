//! Signatures at work: those of providers are verified, and those of ours made. The rules are the
//! domain's, the secrets come from [`Secrets`].

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use domain::message::Message;
use domain::route::Route;
use domain::secret::Secret;
use domain::signature::standard_webhooks::{self, SIGNATURE, TIMESTAMP};
use domain::signature::{Unverified, Verification, VerifyError};
use domain::time::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::secrets::{Doubt, SecretError, Secrets};

const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static(TIMESTAMP);
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static(SIGNATURE);

/// Why a message cannot go on now.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It is not what its route demands.
    Unverified(Unverified),
    /// Without the secret nobody knows.
    Secret(String),
}

/// Our signatures on a message, by destination; empty where none is asked for.
pub(crate) type Signatures<'a> = BTreeMap<&'a str, Signature>;

/// Our signature on a message for one destination.
#[derive(Debug)]
pub(crate) struct Signature {
    timestamp: HeaderValue,
    signature: HeaderValue,
}

impl Signature {
    /// Adds itself to what is sent.
    pub(crate) fn sign(&self, headers: &mut HeaderMap) {
        headers.insert(WEBHOOK_TIMESTAMP, self.timestamp.clone());
        headers.insert(WEBHOOK_SIGNATURE, self.signature.clone());
    }
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::Secret(error.to_string())
    }
}

/// Verifies `message`, if need be with secrets that are fetched anew.
pub(crate) async fn verify(
    secrets: &Secrets,
    message: &Message,
    verification: &Verification,
    time_left: Duration,
) -> Result<(), Failure> {
    let references = &verification.secrets;
    let kept = secrets.get(references, time_left).await?;
    let mut result = verification.verify(message, &kept);
    // Nothing else can be different with other secrets.
    let doubt = match &result {
        Err(VerifyError::Secret(_)) => Some(Doubt::Unusable),
        Err(VerifyError::Unverified(Unverified::Mismatch(_))) => Some(Doubt::Mismatch),
        Ok(()) | Err(VerifyError::Unverified(_)) => None,
    };
    if let Some(doubt) = doubt
        && let Some(others) = secrets.refreshed(references, &kept, doubt, time_left).await?
    {
        result = verification.verify(message, &others);
    }
    result.map_err(|error| match error {
        VerifyError::Unverified(unverified) => Failure::Unverified(unverified),
        VerifyError::Secret(_) => Failure::Secret(error.to_string()),
    })
}

/// Signs `message` for the destinations of `route` that ask for it.
pub(crate) async fn sign<'a>(
    secrets: &Secrets,
    message: &Message,
    route: &'a Route,
    now: Timestamp,
    time_left: Duration,
) -> Result<Signatures<'a>, Failure> {
    let mut signatures = Signatures::new();
    for destination in &route.destinations {
        let Some(signing) = &destination.sign() else { continue };
        let timestamp = standard_webhooks::timestamp(now);
        let sign = |keys: &[Arc<Secret>]| {
            let body = message.body.as_bytes();
            standard_webhooks::sign(keys, message.event_id(), &timestamp, body)
        };
        let references = &signing.secrets;
        let kept = secrets.get(references, time_left).await?;
        let mut signature = sign(&kept);
        if signature.is_err()
            && let Some(others) =
                secrets.refreshed(references, &kept, Doubt::Unusable, time_left).await?
        {
            signature = sign(&others);
        }
        let signature = signature.map_err(|error| {
            Failure::Secret(format!("a secret of destination {} {error}", destination.name()))
        })?;
        let ascii = "digits and base64 can stand in a header";
        signatures.insert(
            &destination.name(),
            Signature {
                timestamp: timestamp.try_into().expect(ascii),
                signature: signature.try_into().expect(ascii),
            },
        );
    }
    Ok(signatures)
}
