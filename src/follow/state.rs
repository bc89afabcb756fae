//! What is remembered of upstream from one of its answers to the next.

use tokio::time::Instant;

use crate::model::Serial;

/// What is known of upstream's XML-RPC.
#[derive(Default)]
pub(super) struct Calls {
    /// Upstream answered a call once, now or in an earlier life of the journal.
    pub(super) answered: bool,
    /// Since when every call fails as if there were no XML-RPC.
    pub(super) doubted: Option<Instant>,
    /// When upstream is asked again whether it has XML-RPC; `None` as long as it is believed to have it.
    pub(super) until: Option<Instant>,
}

/// Lower answers in this run.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Doubt {
    pub(super) answers: u32,
    /// One of them had rows that we have not.
    pub(super) strange: bool,
    /// For which last serial rows were looked at.
    pub(super) looked_at: Option<Serial>,
    /// Its last serial was higher, and our last row is none of its.
    pub(super) overtaken: bool,
}

/// A last serial that is not believed yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Leap {
    pub(super) since: Instant,
    /// When the listing was asked for its serial.
    pub(super) listing_asked: Option<Instant>,
}
