//! The digests by which SQS's clients check that what they get is what was sent.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use md5::{Digest, Md5};

use crate::store::{AttributeValue, MessageAttribute};

/// `MD5OfMessageBody`: in lower-case hexadecimal digits.
pub(crate) fn of_body(body: &str) -> String {
    hex(&Md5::digest(body))
}

/// `MD5OfMessageAttributes`, or nothing if there are none. By the SQS guide, "Calculating the MD5
/// message digest for message attributes": for each, sorted by name, the length and bytes of name
/// and type, a byte for the kind of value, and length and bytes of the value; lengths are big-endian.
pub(crate) fn of_attributes<'a>(
    attributes: impl IntoIterator<Item = (&'a String, &'a MessageAttribute)>,
) -> Option<String> {
    const TEXT: u8 = 1;
    const BINARY: u8 = 2;
    let sorted: BTreeMap<_, _> = attributes.into_iter().collect();
    if sorted.is_empty() {
        return None;
    }
    let mut digest = Md5::new();
    for (name, attribute) in sorted {
        update_with_length(&mut digest, name.as_bytes());
        update_with_length(&mut digest, attribute.data_type.as_bytes());
        let (kind, value) = match &attribute.value {
            AttributeValue::Text(text) => (TEXT, text.as_bytes()),
            AttributeValue::Binary(bytes) => (BINARY, bytes.as_slice()),
        };
        digest.update([kind]);
        update_with_length(&mut digest, value);
    }
    Some(hex(&digest.finalize()))
}

fn update_with_length(digest: &mut Md5, bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("a message is at most 1 MiB");
    digest.update(length.to_be_bytes());
    digest.update(bytes);
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        write!(text, "{byte:02x}").expect("writing to a string does not fail");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_body_has_its_md5() {
        assert_eq!(of_body("abc"), "900150983cd24fb0d6963f7d28e17f72");
    }

    #[test]
    fn no_attributes_have_no_digest() {
        assert_eq!(of_attributes(&BTreeMap::new()), None);
    }

    /// The expected digest was computed with Python's hashlib from the guide's description.
    #[test]
    fn attributes_are_digested_by_name_type_and_value() {
        let binary = MessageAttribute {
            data_type: "Binary".to_owned(),
            value: AttributeValue::Binary(vec![0, 1, 2]),
        };
        let attributes = BTreeMap::from([
            ("route".to_owned(), MessageAttribute::string("sss")),
            ("blob".to_owned(), binary),
        ]);
        assert_eq!(of_attributes(&attributes).as_deref(), Some("fdad275b3408f54b9f264742d90b6ae2"));
    }
}
