//! As the mirror: files are asked for at another relay, which comes back with them.
//!
//! [`Wants`] has the files that are wanted, each with its questions, delays and open secrets; flights of the relay take uploads
//! from it. [`Mirror`] asks (`ask.rs`), and answers who comes back (`take.rs`).

mod ask;
mod take;
mod want;
mod wants;

use std::sync::Arc;

use crate::relay::Relay;
pub use take::{Refusal, Taken, UploadHead};
pub use wants::Wants;

/// The mirror's side. Clones are one.
#[derive(Debug, Clone)]
pub struct Mirror {
    wants: Arc<Wants>,
    relay: Relay,
}

impl Mirror {
    /// `relay`: the one whose files are brought by `wants`.
    pub fn new(wants: Arc<Wants>, relay: Relay) -> Self {
        Self { wants, relay }
    }

    /// Files that were asked for and have not come, and questions that failed since one was heard.
    pub fn waiting(&self) -> (usize, Option<String>) {
        (self.wants.count(), self.wants.last_error())
    }
}
