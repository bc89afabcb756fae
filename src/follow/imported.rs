//! Where there is no upstream: nobody is followed, and what was imported is all there is.

use tokio_util::sync::CancellationToken;

use crate::journal::{Journal, JournalError, News, Upkeep, Want, WantError};
use crate::upstream::UpstreamError;

/// Says so to who asks for more than was imported, until `cancel`.
pub(super) async fn run(journal: &Journal, cancel: &CancellationToken) {
    journal.polls().come_by(News::Bundles);
    journal.set_upkeep(Upkeep::Imported);
    let answer = async {
        loop {
            let taken = journal.next_want().await;
            let answer = is_known(journal, taken.want).await;
            taken.finish(match answer {
                Ok(true) => Ok(()),
                Ok(false) => Err(WantError { reason: UpstreamError::Bundled.to_string(), retry: None }),
                Err(error) => Err(WantError { reason: error.reason(), retry: None }),
            });
        }
    };
    let _: Option<()> = cancel.run_until_cancelled(answer).await;
}

/// The caller looked, and may have looked before all was read.
async fn is_known(journal: &Journal, want: Want) -> Result<bool, JournalError> {
    match want {
        Want::Since(since) => journal.knows_after(since).await,
        Want::LastSerial => Ok(journal.last_serial().is_some()),
        Want::Projects => Ok(journal.position().is_some()),
    }
}
