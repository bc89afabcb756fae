//! What the status pages ask of the journal, of the kept files, of documents and of the counts of downloads.

use std::sync::Arc;

use crate::blob::{Key, Store};
use crate::http::{Ask, Guard, KeptFiles, Removals, StatusInputs};
use crate::index::Index;
use crate::journal::{Journal, JournalError};
use crate::model::ProjectName;
use crate::stats::Stats;

/// Most files of a project of which a page says that they are gone.
const TOMBSTONES: usize = 100;

pub(super) fn inputs(
    journal: &Journal,
    store: &Store,
    index: &Index,
    stats: &Stats,
    guard: Guard,
) -> StatusInputs {
    let (newest, removed, index) = (journal.clone(), journal.clone(), index.clone());
    let (kept, looked_up) = (store.clone(), store.clone());
    let counted = Some(stats.clone()).filter(Stats::is_enabled);
    StatusInputs {
        newest_events: Ask::new(move |most| {
            let journal = newest.clone();
            async move { journal.newest_events(most).await.map_err(|error| error.reason()) }
        }),
        top_lately: counted.map(|stats| {
            Ask::new(move |most| {
                let stats = stats.clone();
                async move { stats.top_lately(most).await.map_err(|error| error.reason()) }
            })
        }),
        kept_files: Arc::new(move || {
            let fullness = kept.fullness();
            KeptFiles { bytes: fullness.bytes, max_bytes: fullness.max_bytes, counted: fullness.counted }
        }),
        are_kept: Ask::new(move |files: Vec<_>| {
            let store = looked_up.clone();
            async move {
                let keys = files.into_iter().map(|(sha256, size)| Key { sha256, size }).collect();
                Ok(store.which_are_kept(keys).await)
            }
        }),
        is_closed: Arc::new(move || guard.is_closed()),
        about: Ask::new(move |project| {
            let index = index.clone();
            async move { index.about(&project, None, "").await.map_err(|error| error.to_string()) }
        }),
        removals: Ask::new(move |project| {
            let journal = removed.clone();
            async move { removals(&journal, &project).await.map_err(|error| error.reason()) }
        }),
    }
}

async fn removals(journal: &Journal, project: &ProjectName) -> Result<Removals, JournalError> {
    Ok(Removals {
        listed: journal.project(project).await?.is_some(),
        quarantined: journal.is_quarantined(project).await?,
        last: journal.last_removal(project).await?,
        files: journal.tombstones_of(project, TOMBSTONES).await?,
    })
}
