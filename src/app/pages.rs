//! What the status pages ask of the journal and of the kept files.

use std::sync::Arc;

use crate::blob::{Key, Store};
use crate::http::{Guard, KeptFiles, Removals, StatusInputs};
use crate::journal::{Journal, JournalError};
use crate::model::ProjectName;

/// Most files of a project of which a page says that they are gone.
const TOMBSTONES: usize = 100;

pub(super) fn inputs(journal: &Journal, store: &Store, guard: Guard) -> StatusInputs {
    let (newest, removed) = (journal.clone(), journal.clone());
    let (kept, looked_up) = (store.clone(), store.clone());
    StatusInputs {
        newest_events: Arc::new(move |most| {
            let journal = newest.clone();
            Box::pin(async move { journal.newest_events(most).await.map_err(|error| error.reason()) })
        }),
        kept_files: Arc::new(move || {
            let fullness = kept.fullness();
            KeptFiles { bytes: fullness.bytes, max_bytes: fullness.max_bytes, counted: fullness.counted }
        }),
        are_kept: Arc::new(move |files| {
            let store = looked_up.clone();
            Box::pin(async move {
                let keys = files.into_iter().map(|(sha256, size)| Key { sha256, size }).collect();
                Ok(store.which_are_kept(keys).await)
            })
        }),
        is_closed: Arc::new(move || guard.is_closed()),
        removals: Arc::new(move |project| {
            let journal = removed.clone();
            Box::pin(async move { removals(&journal, &project).await.map_err(|error| error.reason()) })
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
