//! Standard Webhooks: verified on the way in, with shared secrets (`v1`) and public keys (`v1a`), and
//! signed with on the way out, with shared secrets.
//!
//! Svix, from whom the scheme is, sends the same under names of its own.
//!
//! Sources: Standard Webhooks specification 1.0, "Webhook headers" and "Signature scheme"; Svix
//! guide, "How to Verify Webhooks Manually".

use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::signature::{ED25519, UnparsedPublicKey};

use super::encoding::{KEY_BASE64, signatures};
use super::{
    Algorithm, Encoding, UnusableSecret, Unverified, VerifyError, any_secret, check_time, header,
    mac,
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

/// The names of the headers, in lower case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Names {
    /// The header with the event's id.
    pub id: &'static str,
    /// The header with the time of signing.
    pub timestamp: &'static str,
    /// The header with the signatures.
    pub signature: &'static str,
}

impl Names {
    /// Those of the specification.
    pub const STANDARD: Self = Self { id: ID, timestamp: TIMESTAMP, signature: SIGNATURE };
    /// Those of Svix.
    pub const SVIX: Self =
        Self { id: "svix-id", timestamp: "svix-timestamp", signature: "svix-signature" };

    pub(super) fn all(self) -> [&'static str; 3] {
        [self.id, self.timestamp, self.signature]
    }
}

/// Source: the specification, "Signature scheme", symmetric and asymmetric keys.
const SECRET_PREFIX: &str = "whsec_";
const PUBLIC_KEY_PREFIX: &str = "whpk_";
const PRIVATE_KEY_PREFIX: &str = "whsk_";
const PUBLIC_KEY_BYTES: usize = 32;

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
        let decode = |base64: &str| KEY_BASE64.decode(base64).map_err(|_| RULE);
        if let Some(base64) = text.strip_prefix(PUBLIC_KEY_PREFIX) {
            return decode(base64)?.try_into().map(Self::Public).map_err(|_| RULE);
        }
        let key = decode(text.strip_prefix(SECRET_PREFIX).unwrap_or(text))?;
        if key.is_empty() { Err(RULE) } else { Ok(Self::Shared(key)) }
    }
}

pub(super) fn verify(
    names: Names,
    message: &Message,
    secrets: &[Arc<Secret>],
    tolerance: Duration,
) -> Result<(), VerifyError> {
    let (id, time) = (header(message, names.id)?, header(message, names.timestamp)?);
    let value = header(message, names.signature)?;
    let of_version = |version: &str| -> Vec<Vec<u8>> {
        let texts = signatures(value, version);
        texts.filter_map(|signature| Encoding::Base64.decode(signature)).collect()
    };
    let (shared, public) = (of_version("v1,"), of_version("v1a,"));
    if shared.is_empty() && public.is_empty() {
        return Err(Unverified::NoSignature(names.signature.to_owned()).into());
    }
    let content = [id.as_bytes(), b".", time.as_bytes(), b".", message.body.as_bytes()];
    any_secret(secrets, names.signature, Key::of, |key| match key {
        Key::Shared(key) => mac::is_any(Algorithm::Sha256, key, &content, &shared),
        Key::Public(key) => {
            let content = content.concat();
            let key = UnparsedPublicKey::new(&ED25519, key);
            public.iter().any(|signature| key.verify(&content, signature).is_ok())
        }
    })?;
    Ok(check_time(message, names.timestamp, time, tolerance)?)
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
