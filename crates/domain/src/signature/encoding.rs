//! How signatures are written as text.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// How the bytes of a signature are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Two digits a byte, in either case.
    Hex,
    /// Base64 with the standard alphabet and padding.
    Base64,
}

impl Encoding {
    /// The bytes that `text` stands for.
    pub(super) fn decode(self, text: &str) -> Option<Vec<u8>> {
        match self {
            Self::Hex => hex(text),
            Self::Base64 => STANDARD.decode(text).ok(),
        }
    }
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
        let cases: [(Encoding, &str, Option<&[u8]>); 9] = [
            (Encoding::Hex, "00fF7a", Some(&[0x00, 0xff, 0x7a])),
            (Encoding::Hex, "", Some(&[])),
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
}
