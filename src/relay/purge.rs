//! A kept file thrown away because somebody says so.

use super::source::Source;
use super::{Conditions, Relay, RelayError};
use crate::journal::PendingDelete;
use crate::model::FilePath;

impl Relay {
    /// Has the kept bytes of the file at a path deleted, if there are some: as `cheesewire cache purge` does. It is fetched again when
    /// somebody asks for it.
    pub async fn purge(&self, path: &FilePath) -> Result<(), RelayError> {
        let served = self.open(path, &Conditions { head: true, ..Conditions::default() }).await?;
        if let (Source::Hit, Some(sha256)) = (served.source, served.sha256) {
            self.journal.queue_deletes(vec![PendingDelete { sha256, repair: false }]).await?;
        }
        Ok(())
    }
}
