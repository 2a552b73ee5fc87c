//! Stripe's signature: one header with a time and signatures, `t=1492774577,v1=5257a8…,v0=6ffbb5…`.
//!
//! Source: Stripe guide, "Verify webhook signatures manually".

use std::sync::Arc;
use std::time::Duration;

use super::{
    Algorithm, Encoding, SecretEncoding, Unverified, VerifyError, any_secret, check_time, header,
    mac,
};
use crate::message::Message;
use crate::secret::Secret;

/// The header with time and signatures.
pub const HEADER: &str = "stripe-signature";

pub(super) fn verify(
    message: &Message,
    secrets: &[Arc<Secret>],
    tolerance: Duration,
) -> Result<(), VerifyError> {
    let value = header(message, HEADER)?;
    let fields = || value.split(',').filter_map(|field| field.trim().split_once('='));
    let time = fields().find(|(name, _)| *name == "t").map(|(_, time)| time);
    let time = time.ok_or_else(|| Unverified::NoTime(HEADER.to_owned()))?;
    // Other versions are Stripe's tests; a signature that is none leaves the others good.
    let signatures: Vec<Vec<u8>> = fields()
        .filter(|(name, _)| *name == "v1")
        .filter_map(|(_, signature)| Encoding::Hex.decode(signature))
        .collect();
    if signatures.is_empty() {
        return Err(Unverified::NoSignature(HEADER.to_owned()).into());
    }
    let content = [time.as_bytes(), b".", message.body.as_bytes()];
    let key_of = |secret| SecretEncoding::Text.key(secret);
    any_secret(secrets, HEADER, key_of, |key| {
        mac::is_any(Algorithm::Sha256, key, &content, &signatures)
    })?;
    Ok(check_time(message, HEADER, time, tolerance)?)
}
