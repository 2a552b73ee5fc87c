//! Secrets, and references to them: a configuration says where a secret is, never what it is.
//!
//! Not here: fetching one, which is I/O and the forwarder's.

use std::fmt;

use subtle::ConstantTimeEq as _;

/// Longest secret, in bytes: what Secrets Manager keeps.
/// Source: Secrets Manager guide, "AWS Secrets Manager quotas".
pub const SECRET_BYTES_MAX: usize = 65_536;

/// A secret. It cannot be printed, compared in time that depends on it, or serialized.
pub struct Secret(Box<[u8]>);

/// A secret of no bytes, with which anybody could sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is empty")]
pub struct EmptySecret;

impl Secret {
    /// A secret, without the line break that editors and `echo` put at the end of files.
    ///
    /// # Errors
    ///
    /// [`EmptySecret`] if nothing is left.
    pub fn new(bytes: &[u8]) -> Result<Self, EmptySecret> {
        let bytes = bytes.strip_suffix(b"\n").unwrap_or(bytes);
        let bytes = bytes.strip_suffix(b"\r").unwrap_or(bytes);
        if bytes.is_empty() { Err(EmptySecret) } else { Ok(Self(bytes.into())) }
    }

    /// The bytes; for cryptography only.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Whether both are the same, in time that depends on their lengths only.
    #[must_use]
    pub fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

/// What stands in the place of a secret.
const HIDDEN: &str = "…";

/// As many characters of a secret as a text must end with for its end to be taken for the beginning of one
/// that was cut off.
const CUT_CHARS_MIN: usize = 4;

/// A text without secrets, which whoever wrote it may have been sent; `secrets` are those that it may hold.
#[must_use]
pub fn without_secrets<'a>(text: &str, secrets: impl IntoIterator<Item = &'a [u8]>) -> String {
    let mut text = text.to_owned();
    for secret in secrets.into_iter().filter_map(|bytes| std::str::from_utf8(bytes).ok()) {
        if secret.is_empty() {
            continue;
        }
        text = text.replace(secret, HIDDEN);
        let ends = secret.char_indices().skip(CUT_CHARS_MIN).map(|(end, _)| &secret[..end]);
        // The longest one.
        if let Some(cut) = ends.filter(|beginning| text.ends_with(beginning)).last() {
            text.truncate(text.len() - cut.len());
            text.push_str(HIDDEN);
        }
    }
    text
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret")
    }
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum SecretReference {
    /// A parameter of Systems Manager's Parameter Store, by its name with the leading `/`.
    Parameter(String),
    /// A secret of Secrets Manager, by name or ARN.
    SecretsManager(String),
    /// A variable of the process; for one machine.
    Variable(String),
    /// A file; for one machine.
    File(String),
}

/// A text that refers to no secret. It may be a secret itself, so its value is not in the error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ReferenceError {
    /// None of the known beginnings.
    #[error(
        "is not a reference to a secret, and secrets themselves do not belong here: expected \
         ssm:/PATH, secretsmanager:NAME-OR-ARN, env:NAME or file:/PATH (the value is not shown)"
    )]
    Unknown,
    /// A parameter's name that Parameter Store would not take.
    #[error(
        "is not the name of a parameter: expected ssm:/ and letters, digits and \"_.-/\", at most \
         1011 characters"
    )]
    Parameter,
    /// A name that Secrets Manager would not take.
    #[error(
        "is not the name or ARN of a secret: expected secretsmanager: and letters, digits and \
         \"/_+=.@-\", at most 512 characters, or its ARN"
    )]
    SecretsManager,
    /// A name that no variable should have.
    #[error("is not the name of a variable: expected env: and letters, digits and \"_\"")]
    Variable,
    /// A path that depends on where the process was started.
    #[error("is not an absolute path: expected file:/PATH")]
    File,
}

impl SecretReference {
    /// Parses a reference.
    ///
    /// # Errors
    ///
    /// [`ReferenceError`], without the text.
    // Sources: Systems Manager guide, "Requirements and constraints for parameter names";
    // Secrets Manager API reference, `CreateSecret`.
    pub fn parse(text: &str) -> Result<Self, ReferenceError> {
        let of = |rest: &str, more: &[u8]| {
            !rest.is_empty()
                && rest.bytes().all(|byte| byte.is_ascii_alphanumeric() || more.contains(&byte))
        };
        let (source, rest) = text.split_once(':').ok_or(ReferenceError::Unknown)?;
        let name = rest.to_owned();
        match source {
            "ssm" if rest.len() <= 1_011 && rest.starts_with('/') => {
                let good = of(rest, b"_.-/") && !rest.ends_with('/') && !rest.contains("//");
                good.then_some(Self::Parameter(name)).ok_or(ReferenceError::Parameter)
            }
            "ssm" => Err(ReferenceError::Parameter),
            "secretsmanager" => {
                let good = match rest.strip_prefix("arn:") {
                    Some(arn) => is_secret_arn(arn) && of(arn, b":/_+=.@-"),
                    None => rest.len() <= 512 && of(rest, b"/_+=.@-"),
                };
                good.then_some(Self::SecretsManager(name)).ok_or(ReferenceError::SecretsManager)
            }
            "env" => {
                let good = of(rest, b"_") && !rest.starts_with(|c: char| c.is_ascii_digit());
                good.then_some(Self::Variable(name)).ok_or(ReferenceError::Variable)
            }
            "file" => {
                let good = rest.len() > 1 && rest.starts_with('/');
                good.then_some(Self::File(name)).ok_or(ReferenceError::File)
            }
            _ => Err(ReferenceError::Unknown),
        }
    }
}

/// `PARTITION:secretsmanager:REGION:ACCOUNT:secret:NAME`, what follows `arn:`.
fn is_secret_arn(arn: &str) -> bool {
    let parts: Vec<&str> = arn.split(':').collect();
    matches!(parts[..], [partition, "secretsmanager", region, account, "secret", name]
        if partition.starts_with("aws") && !region.is_empty() && account.len() == 12 && !name.is_empty())
}

/// As it is written in the configuration.
impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Parameter(name) => write!(f, "ssm:{name}"),
            Self::SecretsManager(name) => write!(f, "secretsmanager:{name}"),
            Self::Variable(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_rid_of_secrets_and_of_one_that_was_cut_off() {
        let check = |text: &str, expected: &str| {
            let secrets = [b"whsec_s3cret".as_slice(), b"", b"\xff\xfe", "鍵鍵鍵鍵鍵".as_bytes()];
            assert_eq!(without_secrets(text, secrets), expected);
        };
        check("key=whsec_s3cret; again whsec_s3cret", "key=…; again …");
        check("cut off: whsec_s3cre", "cut off: …");
        check("cut off: whse", "cut off: …");
        check("no secret: whs", "no secret: whs");
        check("鍵鍵鍵鍵鍵 und 鍵鍵鍵鍵", "… und …");
        check("nothing", "nothing");
    }

    #[test]
    fn a_secret_is_not_printed() {
        let secret = Secret::new(b"planted").unwrap();
        assert_eq!(format!("{secret:?} {secret:#?}"), "Secret Secret");
    }

    #[test]
    fn a_line_break_at_the_end_is_not_part_of_a_secret() {
        for text in ["s e\ncret", "s e\ncret\n", "s e\ncret\r\n"] {
            assert_eq!(Secret::new(text.as_bytes()).unwrap().expose(), b"s e\ncret");
        }
        for text in ["", "\n", "\r\n"] {
            assert_eq!(Secret::new(text.as_bytes()).unwrap_err(), EmptySecret);
        }
    }

    #[test]
    fn secrets_are_compared_by_their_bytes() {
        let secret = |text: &str| Secret::new(text.as_bytes()).unwrap();
        assert!(secret("abc").is(&secret("abc")));
        assert!(!secret("abc").is(&secret("abd")) && !secret("abc").is(&secret("ab")));
    }

    #[test]
    fn references_are_read_as_they_are_written() {
        for text in [
            "ssm:/dev/webhook/sss",
            "secretsmanager:dev/webhook@1",
            "secretsmanager:arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:dev/sss-AbCdEf",
            "env:SSS_SECRET",
            "file:/run/secrets/sss 署名",
        ] {
            assert_eq!(SecretReference::parse(text).unwrap().to_string(), text);
        }
    }

    #[test]
    fn what_is_no_reference_is_refused_without_being_shown() {
        for text in [
            "planted",
            "",
            "whsec_cGxhbnRlZA==",
            "ssm:planted",
            "ssm:/",
            "ssm:/planted/",
            "ssm:/a//planted",
            "ssm:/planted secret",
            "secretsmanager:",
            "secretsmanager:planted secret",
            "secretsmanager:arn:aws:ssm:ap-northeast-1:123456789012:parameter/planted",
            "env:",
            "env:1PLANTED",
            "env:planted-secret",
            "file:planted",
            "file:/",
            "https://planted",
        ] {
            let error = SecretReference::parse(text).unwrap_err();
            let shown = format!("{error} {error:?}").to_lowercase();
            assert!(!shown.contains("planted") && !shown.contains("cgxh"), "{text}: {shown}");
        }
    }
}
