//! For who keeps the journal current and who watches over it: questions to upstream, whose folder it is, what its serials
//! are worth, and whether the journal can be read and written.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::health::JournalHealth;
use super::want::{TakenWant, Want, Wanted};
use super::{Journal, JournalError, facts, upstream};
use crate::model::UpstreamIdentity;

/// How long a look at the journal may take: longer than any wait for its readers, and a disk that gives nothing by then
/// gives nothing.
const LOOK: Duration = Duration::from_secs(10);
/// From one attempt to write to the next, while the journal takes no writes.
const ATTEMPT: Duration = Duration::from_secs(5);

impl Journal {
    /// Asks whoever follows upstream for something, joins the question if it is asked already.
    pub fn want(&self, want: Want) -> Wanted {
        self.wants().want(want)
    }

    /// Waits for a question and takes the next. For the one who asks upstream; safe to drop.
    pub async fn next_want(&self) -> TakenWant {
        self.wants().next().await
    }

    /// Gives the folder to `upstream`, which is the same index at another address, and tells whose it was. What is
    /// kept stays. Each page and document is asked for anew, whole, when its age is over: the old address's validators say
    /// nothing about the new one, and a "not modified" would leave links relative to the old one.
    pub async fn adopt(&self, upstream: UpstreamIdentity) -> Result<Option<UpstreamIdentity>, JournalError> {
        self.write(move |connection| upstream::adopt(connection, &upstream)).await
    }

    /// Pieces of work that wait to be written.
    pub fn jobs_waiting(&self) -> usize {
        self.writer().waiting()
    }

    /// Whether what the index states as serials says nothing, so that it is not used.
    pub fn serials_say_nothing(&self) -> bool {
        self.silence().serials_say_nothing.load(Ordering::Relaxed)
    }

    /// Notes whether it is so.
    pub async fn note_serials(&self, say_nothing: bool) -> Result<(), JournalError> {
        let silence = Arc::clone(self.silence());
        self.write_then(
            move |connection| facts::set(connection, facts::SERIALS_SAY_NOTHING, i64::from(say_nothing)),
            move |()| silence.serials_say_nothing.store(say_nothing, Ordering::Relaxed),
        )
        .await
    }

    /// Says whether what changes cannot be told for good: then no question about it has an answer at our head, and the last
    /// serial is none that anything could be compared with.
    pub fn set_untold(&self, untold: bool) {
        self.silence().untold.store(untold, Ordering::Relaxed);
    }

    /// Whether it is so.
    pub fn is_untold(&self) -> bool {
        self.silence().untold.load(Ordering::Relaxed)
    }

    /// Counts changes of the project table that no serial tells.
    pub fn projects_version(&self) -> i64 {
        self.silence().version.load(Ordering::Relaxed)
    }

    /// How it is, as far as its users' work has shown.
    pub fn health(&self) -> JournalHealth {
        self.shared_health().now()
    }

    /// Reads something. Fails if that fails, or takes longer than a disk may.
    pub async fn check_read(&self) -> Result<(), JournalError> {
        let read = self.read(|connection| facts::get(connection, facts::HEARD_SERIAL));
        let slow = || JournalError::system(std::io::ErrorKind::TimedOut.into());
        tokio::time::timeout(LOOK, read).await.unwrap_or_else(|_| Err(slow())).map(drop)
    }

    /// While the journal takes no writes, tries one now and then: else it would count as unwritable until something
    /// happens upstream. Never returns; safe to drop.
    pub async fn try_writing_for_ever(&self) {
        loop {
            self.shared_health().until_unwritten().await;
            tokio::time::sleep(ATTEMPT).await;
            let now = self.clock().unix();
            // Its outcome is noted by the writer.
            let _ = self.write(move |connection| facts::set(connection, facts::WRITTEN, now)).await;
        }
    }

    /// Waits until nothing can be written any more because the thread that does is gone.
    pub async fn writer_ended(&self) {
        self.writer().ended().await;
    }
}
