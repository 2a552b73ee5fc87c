//! What secrets are for: signatures of providers are verified, and requests get our signature and the
//! headers that their destination asks for. The rules are the domain's, the secrets come from
//! [`Secrets`].

use std::sync::Arc;
use std::time::Duration;

use domain::message::Message;
use domain::outcome::Outcome;
use domain::route::{self, Destination, Route};
use domain::secret::Secret;
use domain::signature::standard_webhooks::{self, SIGNATURE, TIMESTAMP};
use domain::signature::{Unverified, Verification, VerifyError};
use domain::time::Timestamp;
use http::{HeaderMap, HeaderName, HeaderValue};

use crate::invocation::Invocation;
use crate::outside::Outside;
use crate::secrets::{Doubt, SecretError, Secrets, Younger};

const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static(TIMESTAMP);
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static(SIGNATURE);

/// Why a message cannot go on now.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It is not what its route demands, and will not be.
    Unverified(Unverified),
    /// It may be, once a secret is fetched again.
    InDoubt(Duration),
    /// Without the secret nobody knows.
    NoSecret(String),
}

impl From<SecretError> for Failure {
    fn from(error: SecretError) -> Self {
        Self::NoSecret(error.to_string())
    }
}

impl From<Failure> for Outcome<'_> {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Unverified(error) => Self::Unverified(error),
            Failure::InDoubt(wait) => Self::SecretInDoubt { wait },
            Failure::NoSecret(error) => Self::NoSecret { error },
        }
    }
}

/// Makes new connections to `destination` show the certificate that is current, if any.
pub(crate) async fn identify<O: Outside>(
    outside: &O,
    secrets: &Secrets<O>,
    destination: &Destination,
    time_left: Duration,
) -> Result<(), Failure> {
    let Some(reference) = destination.client_certificate() else { return Ok(()) };
    let mut known = outside.identify(reference, &secrets.one(reference, time_left).await?);
    // Somebody may have put it right just now.
    if known.is_err() {
        secrets.doubt(std::slice::from_ref(reference), Younger::ThanNow, time_left).await;
        known = outside.identify(reference, &secrets.one(reference, time_left).await?);
    }
    known.map_err(|error| Failure::NoSecret(format!("{reference} {error}")))
}

/// Verifies `message`, if need be with secrets that are fetched anew.
pub(crate) async fn verify<O: Outside>(
    secrets: &Secrets<O>,
    message: &Message,
    verification: &Verification,
    invocation: Invocation,
) -> Result<(), Failure> {
    let time_left = invocation.time_for_calls();
    let references = &verification.secrets;
    let mut at_hand = secrets.get(references, time_left).await?;
    let mut result = verification.verify(message, &at_hand.secrets);
    // Nothing else can be different with other secrets.
    while let Err(
        error @ (VerifyError::Secret(_)
        | VerifyError::Unverified(Unverified::Mismatch(_) | Unverified::OtherToken(_))),
    ) = &result
    {
        let younger_than = match error {
            VerifyError::Secret(_) => Younger::ThanNow,
            VerifyError::Unverified(_) => Younger::Than(message.accepted_at(), invocation.began()),
        };
        match secrets.doubt(references, younger_than, time_left).await {
            Doubt::Fetched => {
                at_hand = secrets.get(references, time_left).await?;
                result = verification.verify(message, &at_hand.secrets);
            }
            Doubt::Wait(wait) if younger_than != Younger::ThanNow => {
                return Err(Failure::InDoubt(wait));
            }
            Doubt::None | Doubt::Wait(_) => break,
        }
    }
    match (result, at_hand.missing) {
        (Ok(()), _) => Ok(()),
        (
            Err(VerifyError::Unverified(Unverified::Mismatch(_) | Unverified::OtherToken(_))),
            Some(missing),
        ) => Err(missing.into()),
        (Err(VerifyError::Unverified(unverified)), _) => Err(Failure::Unverified(unverified)),
        (Err(error @ VerifyError::Secret(_)), _) => Err(Failure::NoSecret(error.to_string())),
    }
}

/// The headers of `message` for each destination of `route`, in their order: `common` ones, our
/// signature, and what the destination asks for.
pub(crate) async fn headers<O: Outside>(
    secrets: &Secrets<O>,
    message: &Message,
    route: &Route,
    common: HeaderMap,
    now: Timestamp,
    time_left: Duration,
) -> Result<Vec<HeaderMap>, Failure> {
    // The common case copies nothing.
    if let [destination] = route.destinations() {
        return Ok(vec![add(secrets, message, destination, common, now, time_left).await?]);
    }
    let mut all = Vec::with_capacity(route.destinations().len());
    for destination in route.destinations() {
        all.push(add(secrets, message, destination, common.clone(), now, time_left).await?);
    }
    Ok(all)
}

async fn add<O: Outside>(
    secrets: &Secrets<O>,
    message: &Message,
    destination: &Destination,
    mut headers: HeaderMap,
    now: Timestamp,
    time_left: Duration,
) -> Result<HeaderMap, Failure> {
    for (name, value) in destination.headers() {
        let value = match value {
            route::HeaderValue::Literal(text) => HeaderValue::from_str(text).ok(),
            route::HeaderValue::Secret(reference) => {
                let secret = secrets.one(reference, time_left).await?;
                HeaderValue::from_bytes(secret.expose()).ok()
            }
        };
        let mut value = value.ok_or_else(|| {
            let destination = destination.name();
            Failure::NoSecret(format!(
                "the value of header {name} for destination {destination} cannot stand in a header"
            ))
        })?;
        value.set_sensitive(true);
        let name = HeaderName::from_bytes(name.as_bytes()).expect("checked with the configuration");
        headers.insert(name, value);
    }
    if let Some(signing) = destination.sign() {
        let timestamp = standard_webhooks::timestamp(now);
        let references = &signing.secrets;
        let at_hand = secrets.get(references, time_left).await?;
        let mut signature = sign(message, destination, &at_hand.secrets, &timestamp);
        // Somebody may have put it right just now.
        if signature.is_err() {
            secrets.doubt(references, Younger::ThanNow, time_left).await;
            let at_hand = secrets.get(references, time_left).await?;
            signature = sign(message, destination, &at_hand.secrets, &timestamp);
        }
        let signature = signature?;
        let ascii = "digits and base64 can stand in a header";
        headers.insert(WEBHOOK_TIMESTAMP, timestamp.try_into().expect(ascii));
        headers.insert(WEBHOOK_SIGNATURE, signature.try_into().expect(ascii));
    }
    Ok(headers)
}

/// Our signature with those of the secrets that can sign; one that cannot does not stop the others.
fn sign(
    message: &Message,
    destination: &Destination,
    secrets: &[Arc<Secret>],
    timestamp: &str,
) -> Result<String, Failure> {
    let (mut signatures, mut unusable) = (Vec::new(), None);
    for secret in secrets {
        let one = std::slice::from_ref(secret);
        match standard_webhooks::sign(one, message.event_id(), timestamp, message.body.as_bytes()) {
            Ok(signature) => signatures.push(signature),
            Err(error) => unusable = Some(error),
        }
    }
    match unusable {
        Some(error) if signatures.is_empty() => Err(Failure::NoSecret(format!(
            "a secret of destination {} {error}",
            destination.name()
        ))),
        _ => Ok(signatures.join(" ")),
    }
}

/// Writes into the log what must never be there: a deliberate fault.
pub(crate) async fn log_secrets<O: Outside>(
    secrets: &Secrets<O>,
    of: &Verification,
    time_left: Duration,
) {
    for secret in secrets.get(&of.secrets, time_left).await.iter().flat_map(|it| &it.secrets) {
        eprintln!("{}", String::from_utf8_lossy(secret.expose()));
    }
}
