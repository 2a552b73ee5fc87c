//! Where another implementation is not like SQS. Each entry is checked: one that is wrong, or no
//! longer true, fails the suite.

/// Something that an implementation does otherwise.
#[derive(Debug)]
pub struct Difference {
    /// The scenario's path below `scenarios`.
    pub scenario: &'static str,
    /// What it checks.
    pub subject: &'static str,
    /// What the implementation does, as Rust writes it (`{:?}`).
    pub seen: &'static str,
    /// Why, as far as can be told.
    pub reason: &'static str,
}

/// What the engine does otherwise: nothing.
pub const ENGINE: &[Difference] = &[];

/// What [`MiniStack`](super::ministack) does otherwise.
pub const MINISTACK: &[Difference] = &[];
