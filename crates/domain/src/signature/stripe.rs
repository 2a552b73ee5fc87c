//! Stripe's signature: one header with a time and signatures, `t=1492774577,v1=5257a8…,v0=6ffbb5…`.
//!
//! Source: Stripe guide, "Verify webhook signatures manually".

use std::sync::Arc;
use std::time::Duration;

use super::{Algorithm, Encoding, Unverified, check_time, header, mac};
use crate::message::Message;
use crate::secret::Secret;

/// The header with time and signatures.
pub const HEADER: &str = "stripe-signature";

pub(super) fn verify(
    message: &Message,
    secrets: &[Arc<Secret>],
    tolerance: Duration,
) -> Result<(), Unverified> {
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
        return Err(Unverified::NoSignature(HEADER.to_owned()));
    }
    let content = [time.as_bytes(), b".", message.body.as_bytes()];
    let keys = secrets.iter().map(|secret| secret.expose());
    if !mac::any_matches(Algorithm::Sha256, keys, &content, &signatures) {
        return Err(Unverified::Mismatch(HEADER.to_owned()));
    }
    check_time(message, HEADER, time, tolerance)
}
