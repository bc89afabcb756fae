//! What everything that brings bytes takes of: the store, upstream and its turns, buffers, counters.

use std::sync::Arc;

use super::RelaySettings;
use super::bring::Bringer;
use super::buffers::Buffers;
use super::contents::Contents;
use super::tally::Counters;
use super::target::Target;
use crate::blob::{Blob, Key, Store};
use crate::model::Sha256;
use crate::upstream::{Turns, Upstream};

/// One of each for the whole relay.
#[derive(Debug)]
pub(super) struct Resources {
    pub(super) store: Store,
    pub(super) settings: RelaySettings,
    /// Turns of flights, which go at upstream's pace.
    pub(super) transfers: Turns,
    /// Turns of what is passed straight through: a slow client holds one for long, and must not hold up
    /// a flight.
    pub(super) directs: Turns,
    pub(super) buffers: Buffers,
    pub(super) counters: Counters,
    pub(super) upstream: Upstream,
    pub(super) contents: Contents,
    /// Who has files brought that upstream does not give.
    pub(super) bringer: Option<Arc<dyn Bringer>>,
}

impl Resources {
    pub(super) fn new(
        upstream: Upstream,
        store: Store,
        settings: RelaySettings,
        contents: Contents,
        bringer: Option<Arc<dyn Bringer>>,
    ) -> Self {
        let transfers = upstream.turns("files", settings.transfers, settings.flights);
        let directs = upstream.turns("passed_through", settings.directs, settings.flights);
        let (buffers, counters) = (Buffers::new(&settings), Counters::new());
        Self { store, settings, transfers, directs, buffers, counters, upstream, contents, bringer }
    }

    /// The file, if it is here whole.
    pub(super) async fn kept(&self, target: &Target) -> Option<Blob> {
        let sha256 = self.content_of(target).await?;
        self.store.get(&Key { sha256, size: None }).await
    }

    /// What a file is kept under, if that is known. Its stated size may be wrong.
    pub(super) async fn content_of(&self, target: &Target) -> Option<Sha256> {
        match (target.sha256, &target.digest) {
            (Some(sha256), _) => Some(sha256),
            (None, Some(digest)) => self.contents.of(digest).await,
            (None, None) => None,
        }
    }
}
