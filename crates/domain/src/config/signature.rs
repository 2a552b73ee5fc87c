//! Signatures in the configuration: as they are written, and checked. Secrets stand in it as
//! references; whoever writes a secret itself is told so, without the secret being shown.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::error::Faults;
use crate::header::header_fault;
use crate::route::HeaderValue;
use crate::secret::SecretReference;
use crate::signature::standard_webhooks::Signing;
use crate::signature::{
    Algorithm, Encoding, Hmac, Names, SECRETS_MAX, SEPARATORS, Scheme, SecretEncoding,
    SignedContent, TOLERANCE_SECONDS, Token, Verification,
};

/// How the provider signs, and with what.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct VerifyFile {
    /// How the provider signs.
    pub scheme: SchemeName,
    /// Where the secret is, such as `ssm:/dev/webhook/sss`; during a rotation two, of which either
    /// will do. `ssm:/PATH` and `secretsmanager:NAME-OR-ARN` on AWS, `env:NAME` and `file:/PATH` on
    /// one machine.
    pub secrets: SecretsFile,
    /// How far the signed time may be from the time of acceptance, in seconds. Where no time is
    /// signed it has no use.
    #[serde(default = "tolerance", skip_serializing_if = "is_tolerance")]
    pub tolerance_seconds: u32,
    /// For the scheme `hmac`: what the provider does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hmac: Option<HmacFile>,
    /// For the scheme `token`: where the provider puts it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenFile>,
}

/// How a provider signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SchemeName {
    /// Standard Webhooks: `webhook-signature`, with a shared secret or an ed25519 public key.
    StandardWebhooks,
    /// Svix and who sends through it: Standard Webhooks in `svix-signature`.
    Svix,
    /// GitHub: `x-hub-signature-256`.
    Github,
    /// Slack: `x-slack-signature`.
    Slack,
    /// Stripe: `stripe-signature`.
    Stripe,
    /// An HMAC in a header, as `hmac` says.
    Hmac,
    /// GitLab: a token in `x-gitlab-token`. Nothing is signed.
    Gitlab,
    /// A fixed token in a header, as `token` says. Nothing is signed.
    Token,
}

/// A fixed token in a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct TokenFile {
    /// The header. Its whole value is the token, such as `Bearer …`; it is never passed on.
    pub header: String,
}

/// An HMAC in a header.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct HmacFile {
    /// The header with the signature, or several after commas or blanks.
    pub header: String,
    /// The hash.
    #[serde(default, skip_serializing_if = "is_default")]
    pub algorithm: AlgorithmName,
    /// How the signature is written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub encoding: EncodingName,
    /// What stands before each signature, such as `sha256=`; what has another beginning is no
    /// signature.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// How the secret is written.
    #[serde(default, skip_serializing_if = "is_default")]
    pub secret_encoding: SecretEncodingName,
    /// What is signed: text with `{body}` and `{header.NAME}` in it.
    #[serde(default = "signed_content", skip_serializing_if = "is_signed_content")]
    pub signed_content: String,
    /// The header with the time of signing, in seconds or milliseconds since 1970 or as RFC 3339. It
    /// must be part of what is signed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timestamp_header: Option<String>,
}

/// The hash of an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum AlgorithmName {
    /// SHA-256.
    #[default]
    Sha256,
    /// SHA-1.
    Sha1,
    /// SHA-512.
    Sha512,
}

/// How a signature is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum EncodingName {
    /// Hexadecimal.
    #[default]
    Hex,
    /// Base64.
    Base64,
}

/// How a secret is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "snake_case")]
pub enum SecretEncodingName {
    /// The text is the key.
    #[default]
    Text,
    /// Base64 of the key.
    Base64,
    /// The key in hexadecimal.
    Hex,
}

/// What requests to a destination are signed with, as Standard Webhooks has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(deny_unknown_fields)]
pub struct SignFile {
    /// Where the secret is, as for `verify`; during a rotation two, which make two signatures.
    pub secrets: SecretsFile,
}

/// A text that may be secret, or stand where a reference to a secret should: never printed, whatever
/// it is.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct HiddenText(pub String);

impl fmt::Debug for HiddenText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text that is not shown")
    }
}

// By way of any value: an error of serde's own would quote what it got.
impl<'de> Deserialize<'de> for HiddenText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        match Value::deserialize(deserializer)? {
            Value::String(text) => Ok(Self(text)),
            _ => Err(D::Error::custom("expected a text (the value is not shown)")),
        }
    }
}

impl HiddenText {
    /// The value of a header. What begins as a reference does has to be one.
    pub(super) fn header_value(&self) -> Result<HeaderValue, String> {
        if ["env:", "file:", "ssm:", "secretsmanager:"].iter().any(|it| self.0.starts_with(it)) {
            let reference = SecretReference::parse(&self.0).map_err(|error| error.to_string())?;
            return Ok(HeaderValue::Secret(reference));
        }
        let printable = self.0.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic());
        if self.0.is_empty() || self.0.trim() != self.0 || !printable {
            return Err(
                "a header's value is printable ASCII text without white space at its ends \
                        (the value is not shown)"
                    .to_owned(),
            );
        }
        Ok(HeaderValue::Literal(self.0.clone()))
    }
}

/// References to secrets. What stands here by mistake may be a secret, so it is never printed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(transparent)]
pub struct SecretsFile(pub Vec<HiddenText>);

impl<'de> Deserialize<'de> for SecretsFile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        serde_json::from_value(Value::deserialize(deserializer)?).map(Self).map_err(|_quoting| {
            D::Error::custom(
                "expected a list of one or two references to secrets, such as \
                 [\"ssm:/dev/webhook/sss\"] (the value is not shown)",
            )
        })
    }
}

pub(super) fn verification(
    faults: &mut Faults,
    path: &str,
    file: &VerifyFile,
) -> Option<Verification> {
    let secrets = secrets(faults, &format!("{path}.secrets"), &file.secrets);
    if file.tolerance_seconds == 0 {
        faults.add(
            format_args!("{path}.tolerance_seconds"),
            "must be at least 1 second, is 0: a request takes its time",
        );
    }
    let mut belongs = |is_there: bool, name: &str, is_its_scheme: bool| {
        if is_there && !is_its_scheme {
            faults
                .add(format_args!("{path}.{name}"), format_args!("is for the scheme {name} only"));
        } else if is_its_scheme && !is_there {
            faults
                .add(format_args!("{path}.{name}"), format_args!("is needed by the scheme {name}"));
        }
    };
    belongs(file.hmac.is_some(), "hmac", file.scheme == SchemeName::Hmac);
    belongs(file.token.is_some(), "token", file.scheme == SchemeName::Token);
    let hmac =
        file.hmac.as_ref().and_then(|hmac| self::hmac(faults, &format!("{path}.hmac"), hmac));
    let token =
        file.token.as_ref().and_then(|token| self::token(faults, &format!("{path}.token"), token));
    let scheme = match file.scheme {
        SchemeName::StandardWebhooks => Scheme::StandardWebhooks(Names::STANDARD),
        SchemeName::Svix => Scheme::StandardWebhooks(Names::SVIX),
        SchemeName::Stripe => Scheme::Stripe,
        SchemeName::Github => Scheme::Hmac(Hmac::github()),
        SchemeName::Slack => Scheme::Hmac(Hmac::slack()),
        SchemeName::Hmac => Scheme::Hmac(hmac?),
        SchemeName::Gitlab => Scheme::Token(Token::gitlab()),
        SchemeName::Token => Scheme::Token(token?),
    };
    let tolerance = Duration::from_secs(u64::from(file.tolerance_seconds));
    Some(Verification { scheme, secrets: secrets?, tolerance })
}

pub(super) fn signing(faults: &mut Faults, path: &str, file: &SignFile) -> Option<Signing> {
    Some(Signing { secrets: secrets(faults, &format!("{path}.secrets"), &file.secrets)? })
}

fn secrets(faults: &mut Faults, path: &str, file: &SecretsFile) -> Option<Vec<SecretReference>> {
    let SecretsFile(texts) = file;
    if texts.is_empty() || texts.len() > SECRETS_MAX {
        faults.add(
            path,
            format_args!(
                "must be one reference, or {SECRETS_MAX} during a rotation, are {}",
                texts.len()
            ),
        );
        return None;
    }
    let references: Vec<Option<SecretReference>> = texts
        .iter()
        .enumerate()
        .map(|(position, text)| {
            faults.check(format_args!("{path}[{position}]"), SecretReference::parse(&text.0))
        })
        .collect();
    let references: Vec<SecretReference> = references.into_iter().collect::<Option<_>>()?;
    if references.iter().collect::<BTreeSet<_>>().len() < references.len() {
        faults.add(path, "both are the same");
        return None;
    }
    Some(references)
}

/// The name of a header that is to travel with messages, in lower case.
fn header(faults: &mut Faults, path: &str, name: &str) -> Option<String> {
    let lower = name.to_ascii_lowercase();
    let fault = header_fault(&lower);
    if let Some(fault) = &fault {
        faults.add(path, fault);
    }
    fault.is_none().then_some(lower)
}

fn token(faults: &mut Faults, path: &str, file: &TokenFile) -> Option<Token> {
    Some(Token { header: header(faults, &format!("{path}.header"), &file.header)? })
}

fn hmac(faults: &mut Faults, path: &str, file: &HmacFile) -> Option<Hmac> {
    let signature_header = header(faults, &format!("{path}.header"), &file.header);
    let timestamp_header = file
        .timestamp_header
        .as_ref()
        .map(|name| header(faults, &format!("{path}.timestamp_header"), name));
    if file.prefix.starts_with(SEPARATORS) {
        faults.add(
            format_args!("{path}.prefix"),
            "begins with a comma or a blank, which separate signatures",
        );
    }
    let content = SignedContent::parse(&file.signed_content);
    let content = faults.check(format_args!("{path}.signed_content"), content);
    if let (Some(content), Some(Some(timestamp))) = (&content, &timestamp_header)
        && !content.has_header(timestamp)
    {
        faults.add(
            format_args!("{path}.signed_content"),
            format_args!(
                "does not contain {{header.{timestamp}}}: a time that is not signed proves nothing"
            ),
        );
    }
    Some(Hmac {
        header: signature_header?,
        prefix: file.prefix.clone(),
        algorithm: match file.algorithm {
            AlgorithmName::Sha256 => Algorithm::Sha256,
            AlgorithmName::Sha1 => Algorithm::Sha1,
            AlgorithmName::Sha512 => Algorithm::Sha512,
        },
        encoding: match file.encoding {
            EncodingName::Hex => Encoding::Hex,
            EncodingName::Base64 => Encoding::Base64,
        },
        secret_encoding: match file.secret_encoding {
            SecretEncodingName::Text => SecretEncoding::Text,
            SecretEncodingName::Base64 => SecretEncoding::Base64,
            SecretEncodingName::Hex => SecretEncoding::Hex,
        },
        signed_content: content?,
        timestamp_header: match timestamp_header {
            Some(name) => Some(name?),
            None => None,
        },
    })
}

fn tolerance() -> u32 {
    TOLERANCE_SECONDS
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_tolerance(seconds: &u32) -> bool {
    *seconds == TOLERANCE_SECONDS
}

fn signed_content() -> String {
    "{body}".to_owned()
}

fn is_signed_content(text: &str) -> bool {
    text == "{body}"
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
