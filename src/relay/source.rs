//! Where a body's bytes come from.

/// Where bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It is here, whole and right.
    Hit,
    /// This request started the fetch.
    Miss,
    /// Another request did.
    Joined,
    /// Passed through for this request alone, and not kept.
    Relayed,
}

impl Source {
    /// In the order of their numbers.
    pub(super) const ALL: [Self; 4] = [Self::Hit, Self::Miss, Self::Joined, Self::Relayed];

    /// The word in metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Joined => "joined",
            Self::Relayed => "relayed",
        }
    }
}
