//! Standard Webhooks: verified on the way in, with shared secrets (`v1`) and public keys (`v1a`), and
//! signed with on the way out, with shared secrets.
//!
//! Source: Standard Webhooks specification 1.0, "Webhook headers" and "Signature scheme".

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use ring::signature::{ED25519, UnparsedPublicKey};

use super::{
    Algorithm, Encoding, UnusableSecret, Unverified, VerifyError, check_time, header, mac,
};
use crate::message::Message;
use crate::secret::{Secret, SecretReference};
use crate::time::Timestamp;

/// The header with the event's id.
pub const ID: &str = "webhook-id";
/// The header with the time of signing, in seconds since the Unix epoch.
pub const TIMESTAMP: &str = "webhook-timestamp";
/// The header with the signatures.
pub const SIGNATURE: &str = "webhook-signature";
/// All of them.
pub const HEADERS: [&str; 3] = [ID, TIMESTAMP, SIGNATURE];

/// Source: the specification, "Signature scheme", symmetric and asymmetric keys.
const SECRET_PREFIX: &str = "whsec_";
const PUBLIC_KEY_PREFIX: &str = "whpk_";
const PRIVATE_KEY_PREFIX: &str = "whsk_";
const PUBLIC_KEY_BYTES: usize = 32;

/// Secrets are copied by people, who lose the padding.
const SECRET_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What the outgoing requests of a destination are signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signing {
    /// One secret, or two during a rotation: then there are two signatures.
    pub secrets: Vec<SecretReference>,
}

enum Key {
    Shared(Vec<u8>),
    Public([u8; PUBLIC_KEY_BYTES]),
}

impl Key {
    fn of(secret: &Secret) -> Result<Self, UnusableSecret> {
        const RULE: UnusableSecret = UnusableSecret(
            "is not one of Standard Webhooks: expected whsec_ or whpk_ and base64 of the key",
        );
        let text = std::str::from_utf8(secret.expose()).map_err(|_| RULE)?;
        if text.starts_with(PRIVATE_KEY_PREFIX) {
            return Err(UnusableSecret(
                "is a private key (whsk_): expected the public one (whpk_), or a shared secret (whsec_)",
            ));
        }
        let decode = |base64: &str| SECRET_BASE64.decode(base64).map_err(|_| RULE);
        if let Some(base64) = text.strip_prefix(PUBLIC_KEY_PREFIX) {
            return decode(base64)?.try_into().map(Self::Public).map_err(|_| RULE);
        }
        let key = decode(text.strip_prefix(SECRET_PREFIX).unwrap_or(text))?;
        if key.is_empty() { Err(RULE) } else { Ok(Self::Shared(key)) }
    }
}

pub(super) fn verify(
    message: &Message,
    secrets: &[Arc<Secret>],
    tolerance: Duration,
) -> Result<(), VerifyError> {
    let (id, time) = (header(message, ID)?, header(message, TIMESTAMP)?);
    let value = header(message, SIGNATURE)?;
    let versions = || value.split(' ').filter_map(|signature| signature.split_once(','));
    let of_version = |version: &str| -> Vec<Vec<u8>> {
        versions()
            .filter(|(name, _)| *name == version)
            .filter_map(|(_, signature)| Encoding::Base64.decode(signature))
            .collect()
    };
    let (shared, public) = (of_version("v1"), of_version("v1a"));
    if shared.is_empty() && public.is_empty() {
        return Err(Unverified::NoSignature(SIGNATURE.to_owned()).into());
    }
    let content = [id.as_bytes(), b".", time.as_bytes(), b".", message.body.as_bytes()];
    let keys: Result<Vec<Key>, _> = secrets.iter().map(|secret| Key::of(secret)).collect();
    let good = keys?.iter().any(|key| match key {
        Key::Shared(key) => {
            mac::any_matches(Algorithm::Sha256, [key.as_slice()], &content, &shared)
        }
        Key::Public(_) if public.is_empty() => false,
        Key::Public(key) => {
            let content = content.concat();
            let key = UnparsedPublicKey::new(&ED25519, key);
            public.iter().any(|signature| key.verify(&content, signature).is_ok())
        }
    });
    if !good {
        return Err(Unverified::Mismatch(SIGNATURE.to_owned()).into());
    }
    Ok(check_time(message, TIMESTAMP, time, tolerance)?)
}

/// The value of `webhook-timestamp` for a request that is sent at `now`.
#[must_use]
pub fn timestamp(now: Timestamp) -> String {
    (now.as_ms() / 1_000).to_string()
}

/// The value of `webhook-signature` for an event that is sent with this `webhook-id`, this
/// `webhook-timestamp` and this body: a signature for each secret.
///
/// # Errors
///
/// [`UnusableSecret`] if one is no shared secret.
pub fn sign(
    secrets: &[Arc<Secret>],
    id: &str,
    timestamp: &str,
    body: &[u8],
) -> Result<String, UnusableSecret> {
    let content = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    let signature = |secret: &Arc<Secret>| match Key::of(secret)? {
        Key::Shared(key) => {
            let mac = Algorithm::Sha256.mac(&key, &content);
            Ok(format!("v1,{}", STANDARD.encode(mac)))
        }
        Key::Public(_) => {
            Err(UnusableSecret("is a public key (whpk_): signing needs a shared secret (whsec_)"))
        }
    };
    let signatures: Result<Vec<String>, _> = secrets.iter().map(signature).collect();
    Ok(signatures?.join(" "))
}
