//! HMACs over parts, without putting the parts together, compared in constant time.

use ring::hmac;
use subtle::ConstantTimeEq as _;

/// The hash of an HMAC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA-1, for providers who know no better. As an HMAC it is weak, and not broken.
    Sha1,
}

impl Algorithm {
    fn hmac(self) -> hmac::Algorithm {
        match self {
            Self::Sha256 => hmac::HMAC_SHA256,
            Self::Sha512 => hmac::HMAC_SHA512,
            Self::Sha1 => hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY,
        }
    }

    /// The HMAC of `parts`, one after another.
    pub(super) fn mac(self, key: &[u8], parts: &[&[u8]]) -> hmac::Tag {
        let mut context = hmac::Context::with_key(&hmac::Key::new(self.hmac(), key));
        for part in parts {
            context.update(part);
        }
        context.sign()
    }
}

/// Whether one of `signatures` is the HMAC of `parts` with `key`.
pub(super) fn is_any(
    algorithm: Algorithm,
    key: &[u8],
    parts: &[&[u8]],
    signatures: &[Vec<u8>],
) -> bool {
    let mac = algorithm.mac(key, parts);
    signatures.iter().any(|signature| equal(mac.as_ref(), signature))
}

/// Whether both are the same, in time that depends on their lengths only.
pub(super) fn equal(one: &[u8], other: &[u8]) -> bool {
    one.ct_eq(other).into()
}
