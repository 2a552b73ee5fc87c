//! Who sent it: the rules by which a message's signature is good, and by which ours is made.
//!
//! | scheme | headers | signed |
//! |---|---|---|
//! | [Standard Webhooks](standard_webhooks) | `webhook-id`, `webhook-timestamp`, `webhook-signature` | id, time and body |
//! | Svix, the same under [other names](standard_webhooks::Names) | `svix-id`, `svix-timestamp`, `svix-signature` | id, time and body |
//! | [Stripe](stripe) | `stripe-signature` | time and body |
//! | Slack, a fixed [HMAC](hmac) | `x-slack-signature`, `x-slack-request-timestamp` | time and body |
//! | GitHub, a fixed [HMAC](hmac) | `x-hub-signature-256` | body |
//! | any other [HMAC](hmac) | as configured | as configured |
//! | GitLab, and any other [token] | `x-gitlab-token`, or as configured | nothing: the header is the secret |
//!
//! Checked are the very bytes that the provider sent. Where a time is signed, it must be near the time
//! at which the event was *accepted*: a replay is refused however long the queue was, and an event
//! that waited for days is not.
//!
//! Not here: where secrets come from, and what a failure leads to: see [`crate::secret`] and
//! [`crate::dead_letter::Class::Unverified`].

mod encoding;
pub mod hmac;
mod mac;
pub mod standard_webhooks;
pub mod stripe;
mod template;
pub mod token;

use std::sync::Arc;
use std::time::Duration;

pub(crate) use encoding::SEPARATORS;
pub use encoding::{Encoding, SecretEncoding};
pub use hmac::Hmac;
pub use mac::Algorithm;
pub use standard_webhooks::Names;
pub use template::{SignedContent, TemplateError};
pub use token::Token;

use crate::message::Message;
use crate::secret::{Secret, SecretReference};
use crate::time::Timestamp;

/// How far the signed time may be from that of acceptance unless the configuration says otherwise.
/// Five minutes: what Standard Webhooks' libraries, Slack and Stripe recommend.
pub const TOLERANCE_SECONDS: u32 = 300;

/// Secrets at the same time: the one in use, and during a rotation the one before or after it.
pub const SECRETS_MAX: usize = 2;

/// What a route demands of the messages it takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verification {
    /// How they are signed.
    pub scheme: Scheme,
    /// With what: one secret, or two during a rotation.
    pub secrets: Vec<SecretReference>,
    /// How far the signed time may be from that of acceptance.
    pub tolerance: Duration,
}

/// How messages are signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scheme {
    /// Standard Webhooks, `v1` and `v1a`, under the names of the specification or of Svix.
    StandardWebhooks(Names),
    /// Stripe, `v1`.
    Stripe,
    /// HMACs in one header: GitHub, Slack, and whatever the configuration describes.
    Hmac(Hmac),
    /// No signature: a fixed token in a header.
    Token(Token),
}

/// Why a message is not what its route demands. No value is in it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unverified {
    /// The request was not signed.
    #[error("header {0} is missing")]
    MissingHeader(String),
    /// Something else stands where the signature should.
    #[error("header {0} holds no signature of this scheme")]
    NoSignature(String),
    /// The time is no time.
    #[error("header {0} holds no time: expected seconds or milliseconds since 1970, or RFC 3339")]
    NoTime(String),
    /// A replay, or a sender whose clock is wrong.
    #[error(
        "it was signed {} s {} it was accepted, and the tolerance is {} s",
        .apart.as_secs(), if *.is_early { "before" } else { "after" }, .tolerance.as_secs()
    )]
    Time {
        /// How far apart the two times are.
        apart: Duration,
        /// Whether it was signed first.
        is_early: bool,
        /// What is allowed.
        tolerance: Duration,
    },
    /// Other bytes than those signed, or another secret.
    #[error("header {0} is not the signature of these bytes with this secret")]
    Mismatch(String),
    /// Another token, or of a dead letter, another event.
    #[error("header {0} is not the token")]
    OtherToken(String),
}

/// A secret that is there and cannot be one of this scheme.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} (the value is not shown)")]
pub struct UnusableSecret(pub(crate) &'static str);

/// Why a message could not be said to be verified.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerifyError {
    /// The message's fault: it is not forwarded.
    #[error(transparent)]
    Unverified(#[from] Unverified),
    /// Our fault: the message has to wait.
    #[error("a secret of this route {0}")]
    Secret(#[from] UnusableSecret),
}

impl Verification {
    /// Headers that are looked at, in lower case; a token's is not among them.
    #[must_use]
    pub fn headers(&self) -> Vec<&str> {
        match &self.scheme {
            Scheme::StandardWebhooks(names) => names.all().to_vec(),
            Scheme::Stripe => vec![stripe::HEADER],
            Scheme::Hmac(hmac) => hmac.headers(),
            Scheme::Token(_) => Vec::new(),
        }
    }

    /// The header, in lower case, that is itself the secret.
    #[must_use]
    pub fn token_header(&self) -> Option<&str> {
        match &self.scheme {
            Scheme::Token(token) => Some(&token.header),
            Scheme::StandardWebhooks(_) | Scheme::Stripe | Scheme::Hmac(_) => None,
        }
    }

    /// The header with the event's id, where that is part of what is signed.
    #[must_use]
    pub fn signed_id(&self) -> Option<&'static str> {
        match &self.scheme {
            Scheme::StandardWebhooks(names) => Some(names.id),
            Scheme::Stripe | Scheme::Hmac(_) | Scheme::Token(_) => None,
        }
    }

    /// Whether the time of signing is part of what is signed.
    #[must_use]
    pub fn signs_time(&self) -> bool {
        match &self.scheme {
            Scheme::StandardWebhooks(_) | Scheme::Stripe => true,
            Scheme::Hmac(hmac) => hmac.timestamp_header.is_some(),
            Scheme::Token(_) => false,
        }
    }

    /// Whether `message` was signed with one of `secrets`.
    ///
    /// # Errors
    ///
    /// [`VerifyError`] if it was not, or if it may have been with one that is of another scheme.
    pub fn verify(&self, message: &Message, secrets: &[Arc<Secret>]) -> Result<(), VerifyError> {
        match &self.scheme {
            Scheme::StandardWebhooks(names) => {
                standard_webhooks::verify(*names, message, secrets, self.tolerance)
            }
            Scheme::Stripe => stripe::verify(message, secrets, self.tolerance),
            Scheme::Hmac(hmac) => hmac.verify(message, secrets, self.tolerance),
            Scheme::Token(token) => token.verify(message, secrets),
        }
    }
}

/// A header of the provider's request.
fn header<'a>(message: &'a Message, name: &str) -> Result<&'a str, Unverified> {
    message.header(name).ok_or_else(|| Unverified::MissingHeader(name.to_owned()))
}

/// Whether the key of one of `secrets` fits what is in `header`. One that is none of the scheme
/// matters only when no other fits: it may be the one.
fn any_secret<'a, K>(
    secrets: &'a [Arc<Secret>],
    header: &str,
    key_of: impl Fn(&'a Secret) -> Result<K, UnusableSecret>,
    fits: impl Fn(&K) -> bool,
) -> Result<(), VerifyError> {
    let mut failure = VerifyError::Unverified(Unverified::Mismatch(header.to_owned()));
    for secret in secrets {
        match key_of(secret) {
            Ok(key) if fits(&key) => return Ok(()),
            Ok(_) => {}
            Err(unusable) => failure = unusable.into(),
        }
    }
    Err(failure)
}

/// A time in whichever of their forms the provider writes it.
fn time(text: &str) -> Option<Timestamp> {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Timestamp::from_seconds_or_ms);
    }
    text.parse().ok()
}

/// Checks the time that `text`, from header `name`, says the message was signed at.
fn check_time(
    message: &Message,
    name: &str,
    text: &str,
    tolerance: Duration,
) -> Result<(), Unverified> {
    let signed = time(text).ok_or_else(|| Unverified::NoTime(name.to_owned()))?;
    let accepted = message.accepted_at();
    // One of the two is zero.
    let (early, late) = (accepted.since(signed), signed.since(accepted));
    let apart = early.max(late);
    if apart > tolerance {
        return Err(Unverified::Time { apart, is_early: !early.is_zero(), tolerance });
    }
    Ok(())
}

#[cfg(test)]
mod tests;
