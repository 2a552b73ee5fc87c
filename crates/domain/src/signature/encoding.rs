//! How signatures and keys are written as text.

use std::borrow::Cow;
use std::iter;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};

use super::UnusableSecret;
use crate::secret::Secret;

/// Keys are copied by people, who lose the padding.
pub(super) const KEY_BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// What stands between signatures: a provider's own separator, or the comma by which repeated headers
/// arrive joined. Neither hex nor base64 has one of them.
pub(crate) const SEPARATORS: [char; 3] = [',', ' ', '\t'];

/// How the bytes of a signature are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Two digits a byte, in either case.
    Hex,
    /// Base64 with the standard alphabet and padding.
    Base64,
}

impl Encoding {
    /// The bytes that `text` stands for, if all of it stands for some. No bytes are no signature.
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        let bytes = match self {
            Self::Hex => hex(text),
            Self::Base64 => STANDARD.decode(text).ok(),
        };
        bytes.filter(|bytes| !bytes.is_empty())
    }
}

/// How a key is written that is shared with the provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SecretEncoding {
    /// The text is the key.
    Text,
    /// Base64 with the standard alphabet, with or without padding.
    Base64,
    /// Two digits a byte, in either case.
    Hex,
}

impl SecretEncoding {
    /// The key that `secret` is the text of.
    pub(super) fn key(self, secret: &Secret) -> Result<Cow<'_, [u8]>, UnusableSecret> {
        let text = secret.expose();
        let key = match self {
            Self::Text => return Ok(Cow::Borrowed(text)),
            Self::Base64 => KEY_BASE64.decode(text).ok(),
            Self::Hex => std::str::from_utf8(text).ok().and_then(hex),
        };
        key.map(Cow::Owned).ok_or(match self {
            Self::Base64 => UnusableSecret("is not base64, as secret_encoding says"),
            Self::Text | Self::Hex => UnusableSecret("is not hexadecimal, as secret_encoding says"),
        })
    }
}

/// The signatures in a header's value that stand behind `prefix`; others, such as those of another
/// version, are passed over. What is returned ends at a separator or at the end of the value.
pub(super) fn signatures<'a>(value: &'a str, prefix: &'a str) -> impl Iterator<Item = &'a str> {
    let mut rest = value;
    iter::from_fn(move || {
        loop {
            rest = rest.trim_start_matches(SEPARATORS);
            if rest.is_empty() {
                return None;
            }
            let signature = rest.strip_prefix(prefix);
            let item = signature.unwrap_or(rest);
            let (item, after) = item.split_at(item.find(SEPARATORS).unwrap_or(item.len()));
            rest = after;
            if signature.is_some() {
                return Some(item);
            }
        }
    })
}

fn hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    pairs.iter().map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_whole_encodings_are_decoded() {
        let cases: [(Encoding, &str, Option<&[u8]>); 10] = [
            (Encoding::Hex, "00fF7a", Some(&[0x00, 0xff, 0x7a])),
            (Encoding::Hex, "", None),
            (Encoding::Base64, "", None),
            (Encoding::Hex, "00f", None),
            (Encoding::Hex, "0g", None),
            (Encoding::Hex, "+1", None),
            (Encoding::Base64, "AP96", Some(&[0x00, 0xff, 0x7a])),
            (Encoding::Base64, "AP8=", Some(&[0x00, 0xff])),
            (Encoding::Base64, "AP9=", None),
            (Encoding::Base64, "AP8", None),
        ];
        for (encoding, text, bytes) in cases {
            assert_eq!(encoding.decode(text).as_deref(), bytes, "{encoding:?} {text}");
        }
    }

    #[test]
    fn signatures_are_told_apart_by_separators_and_versions() {
        for (value, prefix, expected) in [
            ("ab", "", &["ab"][..]),
            ("ab,cd", "", &["ab", "cd"]),
            (" ab,\tcd ,, ef ", "", &["ab", "cd", "ef"]),
            ("v1=ab,v0=cd,v1=ef", "v1=", &["ab", "ef"]),
            ("v1,ab v2,cd v1,ef", "v1,", &["ab", "ef"]),
            ("v1,ab,v1,cd", "v1,", &["ab", "cd"]),
            ("v1a,ab", "v1,", &[]),
            ("xv1=ab", "v1=", &[]),
            ("v1= ab", "v1=", &[""]),
            ("", "", &[]),
            (", ", "v1=", &[]),
        ] {
            assert_eq!(signatures(value, prefix).collect::<Vec<_>>(), expected, "{value:?}");
        }
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        let key = |encoding: SecretEncoding, text: &str| {
            let secret = Secret::new(text.as_bytes()).unwrap();
            encoding.key(&secret).map(Cow::into_owned).map_err(|error| error.to_string())
        };
        let bytes = || Ok(vec![0x00, 0xff, 0x7a, 0x31]);
        assert_eq!(key(SecretEncoding::Text, "00ff"), Ok(b"00ff".to_vec()));
        for text in ["AP96MQ==", "AP96MQ", "AP96MQ\n"] {
            assert_eq!(key(SecretEncoding::Base64, text), bytes(), "{text}");
        }
        assert_eq!(key(SecretEncoding::Hex, "00fF7a31"), bytes());
        for (encoding, text, expected) in [
            (SecretEncoding::Base64, "AP96MQ==.", "is not base64"),
            (SecretEncoding::Base64, "=", "is not base64"),
            (SecretEncoding::Hex, "00f", "is not hexadecimal"),
            (SecretEncoding::Hex, "注文", "is not hexadecimal"),
        ] {
            let error = key(encoding, text).unwrap_err();
            assert!(error.contains(expected) && !error.contains(text), "{text}: {error}");
        }
    }
}
