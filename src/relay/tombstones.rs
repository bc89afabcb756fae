//! Files that are known to be gone: refused at once, with the reason, without asking upstream.

use metrics::counter;

use super::{FetchError, Relay, RelayError, Served};
use crate::index::{IndexError, Located};
use crate::journal::{KnownFile, Tombstone};
use crate::metric;
use crate::model::{FilePath, ProjectName};
use crate::upstream::UpstreamError;

/// Upstream's word for "for good".
const GONE: u16 = 410;

impl Relay {
    /// Fails with the reason if the file at the path is known to be gone.
    pub(super) async fn refuse_gone(&self, path: &FilePath) -> Result<(), RelayError> {
        self.index.tombstone(path).await?.map_or(Ok(()), |stone| Err(gone(stone)))
    }

    /// The file that an old address means by its name, or why that is gone.
    pub(super) async fn at_old_address(
        &self,
        path: &FilePath,
        project: &ProjectName,
    ) -> Result<Located, RelayError> {
        match self.index.file_by_name(path.filename(), project).await {
            Ok(found) => self.refuse_gone(&found.file.path).await.map(|()| found),
            Err(IndexError::NoSuchFile) => {
                let stone = self.journal.tombstone_named(project, path.filename()).await?;
                Err(stone.map_or_else(|| IndexError::NoSuchFile.into(), gone))
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Remembers it if upstream said that it has no such file.
    pub(super) async fn remember(
        &self,
        served: Result<Served, RelayError>,
        file: &KnownFile,
    ) -> Result<Served, RelayError> {
        if let Err(RelayError::Fetch(FetchError::Upstream(UpstreamError::Absent(status)))) = &served {
            let settings = &self.resources.settings;
            let lifetime = if *status == GONE { settings.gone_max_age } else { settings.absent_max_age };
            let reason = format!("upstream answered {status} to {}", file.path.filename());
            self.index.note_absent(&file.path, &file.project, reason, lifetime).await;
        }
        served
    }
}

fn gone(stone: Tombstone) -> RelayError {
    counter!(metric::FILES_TOTAL, "source" => "tombstone", "outcome" => "gone").increment(1);
    RelayError::Gone(stone)
}
