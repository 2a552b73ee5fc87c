//! Texts that must be in no log and no file but the database: secrets, and a mark in every body.

use crate::random::Random;

/// What is planted.
#[derive(Debug)]
pub(crate) struct Planted {
    /// What the secrets begin with that the provider signs with.
    provider: String,
    /// The secret that requests to the service are signed with.
    pub(crate) ours: String,
    /// Stands in every body.
    pub(crate) body: String,
}

impl Planted {
    pub(crate) fn of(seed: u64) -> Self {
        let mut random = Random::of(seed, 2);
        let mut text = || format!("{:016x}{:016x}", random.number(), random.number());
        Self {
            provider: format!("planted-{}", text()),
            // Hexadecimal is base64 as well, of 24 bytes.
            ours: format!("whsec_{}", text()),
            body: format!("mark-{}", text()),
        }
    }

    /// The secret that the provider signs with after so many rotations.
    pub(crate) fn provider(&self, rotations: u64) -> String {
        format!("{}-{rotations}", self.provider)
    }

    /// Which kinds are in `text`.
    pub(crate) fn find(&self, text: &[u8]) -> Vec<&'static str> {
        let kinds = [(&self.provider, "secret"), (&self.ours, "secret"), (&self.body, "body")];
        let found = kinds.into_iter().filter(|(planted, _)| contains(text, planted.as_bytes()));
        found.map(|(_, kind)| kind).collect()
    }
}

pub(crate) fn contains(text: &[u8], wanted: &[u8]) -> bool {
    let Some((first, rest)) = wanted.split_first() else { return true };
    let mut from = 0;
    // A window for every place would take most of a debug build's time.
    while let Some(at) = text[from..].iter().position(|byte| byte == first) {
        from += at + 1;
        if text[from..].starts_with(rest) {
            return true;
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_planted_is_found_wherever_it_stands() {
        let planted = Planted::of(3);
        assert_eq!(planted.find(b"nothing"), Vec::<&str>::new());
        let text = format!("{{\"a\":\"{}\"}} {}", planted.body, planted.ours);
        assert_eq!(planted.find(text.as_bytes()), ["secret", "body"]);
        assert_eq!(planted.find(planted.provider(7).as_bytes()), ["secret"]);
    }
}
