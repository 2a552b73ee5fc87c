//! A fixed token in a header, of providers who do not sign: GitLab's `x-gitlab-token`, and any other.
//!
//! Such a header *is* the secret. It travels in an attribute of its own, so that whoever handles a
//! message knows it without the configuration, and headers to pass on are never taken from there.
//!
//! A dead letter is kept for weeks, shown and exported, so the token is replaced in it by a
//! [seal](sealed): an HMAC of this one event with the token as the key. With it the event is still
//! verified when it is sent again, and nobody can verify another event by it.

use std::fmt::Write as _;
use std::sync::Arc;

use super::{Algorithm, UnusableSecret, Unverified, VerifyError, any_secret, mac};
use crate::attribute::{self, Attribute, Attributes};
use crate::message::Message;
use crate::secret::Secret;

/// The header of GitLab. Source: GitLab guide, "Webhooks", "Secret token".
const GITLAB_HEADER: &str = "x-gitlab-token";

/// What a seal begins with; the HMAC-SHA256 in hexadecimal follows.
const SEAL: &str = "hmac-sha256:";
const SEAL_DIGITS: usize = 64;

/// How a provider shows that it is the provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// The header with the token, in lower case.
    pub header: String,
}

impl Token {
    /// As GitLab does it.
    #[must_use]
    pub fn gitlab() -> Self {
        Self { header: GITLAB_HEADER.to_owned() }
    }

    pub(super) fn verify(
        &self,
        message: &Message,
        secrets: &[Arc<Secret>],
    ) -> Result<(), VerifyError> {
        let missing = || Unverified::MissingHeader(self.header.clone());
        let given = message.token().ok_or_else(missing)?;
        let fits = |token: &&[u8]| {
            if !is_seal(given) {
                return mac::equal(given.as_bytes(), token);
            }
            let seal = seal(token, &message.attributes, message.event_id(), &message.body);
            mac::equal(given.as_bytes(), seal.as_bytes())
        };
        any_secret(secrets, &self.header, token_of, fits).map_err(|error| match error {
            VerifyError::Unverified(_) => Unverified::OtherToken(self.header.clone()).into(),
            VerifyError::Secret(_) => error,
        })
    }
}

fn token_of(secret: &Secret) -> Result<&[u8], UnusableSecret> {
    if std::str::from_utf8(secret.expose()).is_ok_and(is_seal) {
        // It would be left in clear in dead letters.
        return Err(UnusableSecret("has the form that tokens are replaced by in dead letters"));
    }
    Ok(secret.expose())
}

/// `attributes` of a message with this event id and body, without its token in clear.
#[must_use]
pub fn sealed(mut attributes: Attributes, event_id: &str, body: &str) -> Attributes {
    if let Some(token) = attributes.remove(attribute::TOKEN) {
        let token = if is_seal(&token.value) {
            token.value
        } else {
            seal(token.value.as_bytes(), &attributes, event_id, body)
        };
        attributes.insert(attribute::TOKEN.to_owned(), Attribute::string(token));
    }
    attributes
}

fn is_seal(text: &str) -> bool {
    text.strip_prefix(SEAL).is_some_and(|digits| {
        digits.len() == SEAL_DIGITS && digits.bytes().all(|b| b"0123456789abcdef".contains(&b))
    })
}

/// What stands for `token` in a dead letter. Of what a stranger may choose, all that becomes of the
/// event is in it: who reads it could else make other events by it, in a request with it as token.
fn seal(token: &[u8], attributes: &Attributes, event_id: &str, body: &str) -> String {
    let route = attributes.get(attribute::ROUTE).map(|route| &route.value);
    let is_header =
        |name: &str| name == attribute::HEADERS || name.starts_with(attribute::HEADER_PREFIX);
    let headers: Vec<_> = attributes.iter().filter(|(name, _)| is_header(name)).collect();
    let event = serde_json::to_vec(&("dead letter", event_id, route, headers, body))
        .expect("texts are JSON");
    let mut text = SEAL.to_owned();
    for byte in Algorithm::Sha256.mac(token, &[&event]).as_ref() {
        write!(text, "{byte:02x}").expect("a String takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::message;
    use crate::message::{Origin, Received};

    const TOKEN: &str = "planted token";

    fn with_token(token: &str) -> Message {
        let attributes = [
            ("route", "sss"),
            ("event_id", "evt-1"),
            ("headers", "x-kind: push"),
            ("token", token),
        ];
        altered(&message(1, "g"), |it| {
            it.attributes =
                attributes.map(|(name, value)| (name.to_owned(), Attribute::string(value))).into();
        })
    }

    fn altered(message: &Message, change: impl FnOnce(&mut Received)) -> Message {
        let mut received = message.clone().into_received();
        change(&mut received);
        Message::parse(received, Origin::Ingest).unwrap()
    }

    fn with(message: &Message, name: &str, value: Attribute) -> Message {
        altered(message, |it| drop(it.attributes.insert(name.to_owned(), value)))
    }

    fn verify(message: &Message, secrets: &[&str]) -> Result<(), VerifyError> {
        let secrets: Vec<_> =
            secrets.iter().map(|text| Arc::new(Secret::new(text.as_bytes()).unwrap())).collect();
        Token::gitlab().verify(message, &secrets)
    }

    fn sealed_message(message: &Message) -> Message {
        altered(message, |it| {
            it.attributes = sealed(it.attributes.clone(), message.event_id(), &message.body);
        })
    }

    fn refused(message: &Message, secrets: &[&str], expected: &str) {
        let error = verify(message, secrets).unwrap_err().to_string();
        assert!(error.contains(expected) && !error.contains("planted"), "{error}");
    }

    #[test]
    fn the_token_is_the_whole_value() {
        assert_eq!(verify(&with_token(TOKEN), &[TOKEN]), Ok(()));
        assert_eq!(verify(&with_token(TOKEN), &["another", TOKEN]), Ok(()));
        for other in
            ["", "planted", "planted token ", "planted token,planted token", "Planted token"]
        {
            refused(&with_token(other), &[TOKEN], "header x-gitlab-token is not the token");
        }
        refused(&message(1, "g"), &[TOKEN], "header x-gitlab-token is missing");
        let no_token = altered(&with_token(TOKEN), |it| drop(it.attributes.remove("token")));
        let as_header = with(&no_token, "header.x-gitlab-token", Attribute::string(TOKEN));
        refused(&as_header, &[TOKEN], "is missing");
        let headers = Attribute::string(format!("x-gitlab-token: {TOKEN}"));
        refused(&with(&no_token, "headers", headers), &[TOKEN], "is missing");
    }

    /// The digest was made by another implementation of HMAC.
    #[test]
    fn a_dead_letter_is_verified_by_its_seal() {
        let dead = sealed_message(&with_token(TOKEN));
        assert_eq!(dead.attributes["token"].value, SEALED);
        assert_eq!(verify(&dead, &["another", TOKEN]), Ok(()));
        refused(&dead, &["another"], "is not the token");
        assert_eq!(sealed_message(&dead), dead, "a seal is not sealed");
        let without = message(1, "g");
        assert_eq!(sealed_message(&without), without);
    }

    const SEALED: &str =
        "hmac-sha256:3e6e86fe2dc6adc58d8e4f641e4736c6c8b0b2c8c6dfcf24f692fcc071f3a68d";

    #[test]
    fn a_seal_is_good_for_one_event_only() {
        let dead = sealed_message(&with_token(TOKEN));
        let changes: [(&str, &str); 3] =
            [("route", "other"), ("event_id", "evt-2"), ("headers", "x-kind: merge")];
        for (name, value) in changes {
            refused(&with(&dead, name, Attribute::string(value)), &[TOKEN], "is not the token");
        }
        let more = Attribute::string("x");
        refused(&with(&dead, "header.x-more", more), &[TOKEN], "is not the token");
        let other = altered(&dead, |it| it.body = "{} ".to_owned());
        refused(&other, &[TOKEN], "is not the token");
    }

    #[test]
    fn what_is_no_seal_is_sealed() {
        for almost in [&SEALED[1..], &SEALED[..75], &SEALED.to_uppercase(), &format!("{SEALED}0")] {
            let sealed = sealed_message(&with_token(almost));
            assert_ne!(sealed.token(), Some(almost), "{almost}");
            assert_eq!(verify(&sealed, &[almost]), Ok(()));
        }
        // A secret that would be left in clear is none.
        let error = verify(&with_token(SEALED), &[SEALED]).unwrap_err();
        assert!(matches!(error, VerifyError::Secret(_)), "{error}");
    }

    #[test]
    fn bytes_are_sealed_as_well() {
        let bytes = Attribute { data_type: "Binary".to_owned(), value: TOKEN.to_owned() };
        let message = with(&with_token(TOKEN), "token", bytes);
        refused(&message, &[TOKEN], "is missing");
        assert!(!format!("{:?}", sealed_message(&message)).contains(TOKEN));
    }
}
