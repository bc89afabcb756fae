//! Metadata (PEP 658) that upstream advertises and does not have.
//!
//! An installer asks for it, gets a 404, and some stop there. Upstream's word that it is not there is remembered as of any
//! file, and until that is over no page and no document of ours advertises it.

use std::collections::HashSet;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use super::IndexError;
use super::shared::Shared;
use crate::model::{FilePath, ProjectName};

/// When what a page or document was made without was true.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(test, derive(Default))]
pub(super) struct Unadvertised {
    /// The project's last change that this knows; 0 before there is one.
    change: u64,
    /// Unix seconds of when the first of them may be there again.
    until: i64,
}

impl Shared {
    /// The files of a project whose metadata is not to be advertised now.
    pub(super) async fn unadvertised(
        &self,
        project: &ProjectName,
    ) -> Result<(HashSet<FilePath>, Unadvertised), IndexError> {
        // Read first: what is noted meanwhile is looked for the next time.
        let change = self.unadvertised.get(project).unwrap_or(0);
        let absent = self.journal.absent_metadata(project).await?;
        let until = absent.iter().map(|(_, until)| *until).min().unwrap_or(i64::MAX);
        Ok((absent.into_iter().map(|(file, _)| file).collect(), Unadvertised { change, until }))
    }

    /// Whether what was made without that advertises what upstream is known not to have, or leaves out what it may have again.
    pub(super) fn advertises_right(&self, project: &ProjectName, without: Unadvertised) -> bool {
        let Unadvertised { change, until } = without;
        self.unadvertised.get(project).unwrap_or(0) == change && self.now() < until
    }

    /// Remembers that upstream lacks a file. On a full disk it is not remembered.
    pub(super) async fn note_absent(
        &self,
        path: &FilePath,
        project: &ProjectName,
        reason: String,
        lifetime: Duration,
    ) {
        static CHANGES: AtomicU64 = AtomicU64::new(1);
        let metadata = path.filename().ends_with(".metadata");
        let lifetime = if metadata { lifetime.max(self.settings.absent_metadata_max_age) } else { lifetime };
        match self.journal.note_absent(path, project, reason, lifetime).await {
            Ok(()) if metadata => {
                self.unadvertised.insert(project.clone(), CHANGES.fetch_add(1, Ordering::Relaxed));
            }
            Ok(()) => {}
            Err(error) => tracing::error!(%path, %error, "an absence cannot be remembered"),
        }
    }
}
