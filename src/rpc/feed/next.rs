//! What comes next for those who have all so far: read once for them all.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;
use tokio::time::Instant;

use super::piece::Piece;
use super::told::PAUSE;
use crate::journal::Wanted;
use crate::model::Serial;

/// Reads that are kept: a burst of events takes several, and some subscribers are at the one before.
const KEPT: usize = 8;

/// What a read found.
#[derive(Debug, Clone)]
pub(super) enum Found {
    Events(Arc<Piece>),
    Nothing,
    /// Upstream is being asked.
    Unknown(Wanted),
}

/// The last reads, the newest last.
#[derive(Default)]
pub(super) struct Next(Mutex<VecDeque<Read>>);

struct Read {
    after: Serial,
    /// Upstream's last serial then. A read at another one may find more.
    head: Serial,
    begun: Instant,
    found: Arc<OnceCell<Found>>,
}

impl Read {
    /// Events stay as they are. That there are none says nothing for long, as nobody may be asking upstream; and that
    /// upstream is being asked says nothing to who has heard its answer since.
    fn holds(&self, answered: Option<Instant>) -> bool {
        let is_new = || self.begun.elapsed() < PAUSE;
        match self.found.get() {
            Some(Found::Events(_)) => true,
            Some(Found::Nothing) => is_new(),
            Some(Found::Unknown(_)) => is_new() && answered.is_none_or(|answered| self.begun >= answered),
            None => answered.is_none_or(|answered| self.begun >= answered),
        }
    }
}

impl Next {
    /// Where the read after `after` is, or has to be put; `None` for who is behind the others.
    ///
    /// `head`: upstream's last serial, not below `after`. `answered`: when an answer of upstream's came that the asker waited for.
    pub(super) fn after(
        &self,
        after: Serial,
        head: Serial,
        answered: Option<Instant>,
    ) -> Option<Arc<OnceCell<Found>>> {
        // Whole entries only.
        let mut reads = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // An upstream that was restored from a backup may be at a lower one.
        reads.retain(|read| read.after <= head);
        let same = reads.iter().position(|read| read.after == after && read.head == head);
        if let Some(at) = same {
            if reads[at].holds(answered) {
                return Some(reads[at].found.clone());
            }
            reads.remove(at);
        } else if reads.iter().any(|read| read.after > after) {
            return None;
        }
        let found = Arc::new(OnceCell::new());
        if reads.len() == KEPT {
            reads.pop_front();
        }
        reads.push_back(Read { after, head, begun: Instant::now(), found: found.clone() });
        Some(found)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;
    use crate::journal::{Journal, JournalSettings, Want};

    #[tokio::test(start_paused = true)]
    async fn a_read_is_shared_as_long_as_it_holds() {
        let next = Next::default();
        let ask = |after, head, answered| next.after(Serial(after), Serial(head), answered);
        let first = ask(5, 5, None).unwrap();
        let is_first =
            |asked: Option<Arc<OnceCell<Found>>>| asked.is_some_and(|read| Arc::ptr_eq(&read, &first));
        // While it is being read, too; not for who has heard since that there is more.
        assert!(is_first(ask(5, 5, None)));
        advance(Duration::from_hours(1)).await;
        assert!(is_first(ask(5, 5, None)));
        first.set(Found::Events(Arc::new(Piece::new(Vec::new(), None)))).unwrap();
        advance(Duration::from_hours(1)).await;
        assert!(is_first(ask(5, 5, Some(Instant::now()))));
        // Another head may bring more, and before that is who has fallen behind.
        assert!(!is_first(ask(5, 7, None)));
        assert!(ask(4, 7, None).is_none() && ask(7, 7, None).is_some());
        // Upstream was restored from a backup.
        assert!(ask(6, 7, None).is_none() && ask(6, 6, None).is_some());
        let reading = ask(6, 6, None).unwrap();
        advance(Duration::from_millis(1)).await;
        let another = ask(6, 6, Some(Instant::now())).unwrap();
        assert!(!Arc::ptr_eq(&reading, &another));
        another.set(Found::Nothing).unwrap();
        advance(PAUSE.checked_sub(Duration::from_millis(1)).unwrap()).await;
        assert!(Arc::ptr_eq(&another, &ask(6, 6, None).unwrap()));
        advance(Duration::from_millis(1)).await;
        assert!(!Arc::ptr_eq(&another, &ask(6, 6, None).unwrap()));
        // That upstream is being asked is news for a moment, and not for who has its answer.
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path(), JournalSettings::default()).await.unwrap();
        let asked = ask(6, 8, None).unwrap();
        asked.set(Found::Unknown(journal.want(Want::LastSerial))).unwrap();
        assert!(Arc::ptr_eq(&asked, &ask(6, 8, None).unwrap()));
        advance(Duration::from_millis(1)).await;
        let again = ask(6, 8, Some(Instant::now())).unwrap();
        assert!(!Arc::ptr_eq(&asked, &again));
        again.set(Found::Unknown(journal.want(Want::LastSerial))).unwrap();
        advance(PAUSE).await;
        assert!(!Arc::ptr_eq(&again, &ask(6, 8, None).unwrap()));
        // Of many the oldest go.
        for after in (10..).take(KEPT) {
            ask(after, 100, None).unwrap();
        }
        assert_eq!(next.0.lock().unwrap().len(), KEPT);
    }
}
