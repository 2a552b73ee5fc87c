//! What may be asked of a route, whoever attacks it.

/// What may be asked of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// What everybody has.
    Plain,
    /// A rejected event holds back its group.
    Block,
    /// The provider signs, and so do we.
    Signed,
    /// The provider names its events, and sends again what was not answered.
    Named,
    /// Two destinations.
    Pair,
    /// Events are given up soon.
    Brief,
    /// Two destinations, of which each may hold back a group.
    BlockPair,
}

impl Kind {
    pub(crate) const ALL: [Self; 7] = [
        Self::Plain,
        Self::Block,
        Self::Signed,
        Self::Named,
        Self::Pair,
        Self::Brief,
        Self::BlockPair,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Plain => "plain",
            Self::Block => "block",
            Self::Signed => "signed",
            Self::Named => "named",
            Self::Pair => "pair",
            Self::Brief => "brief",
            Self::BlockPair => "block-pair",
        }
    }

    pub(crate) fn destinations(self) -> &'static [&'static str] {
        match self {
            Self::Plain => &["at-plain"],
            Self::Block => &["at-block"],
            Self::Signed => &["at-signed"],
            Self::Named => &["at-named"],
            Self::Pair => &["left", "right"],
            Self::Brief => &["at-brief"],
            Self::BlockPair => &["one", "other"],
        }
    }

    pub(crate) fn is_blocking(self) -> bool {
        matches!(self, Self::Block | Self::BlockPair)
    }
}
