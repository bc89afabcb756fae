//! How far we know upstream, in memory: the last serial, and how old that knowledge is.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

use super::pace::Pace;
use super::position::Position;
use crate::metric;
use crate::model::{Clock, Serial};

/// Who keeps the journal current.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Upkeep {
    /// A poller: the last serial is how far it came.
    Polled {
        /// How long after a poll that found nothing more "nothing happened" is believed; then upstream is asked.
        head: Duration,
    },
    /// Nobody: there is no upstream, and what was imported is all there is until more is.
    Imported,
    /// Nobody, unless asked: what upstream said is believed for a while, then asked again.
    OnDemand {
        /// How long the last serial is believed.
        head: Duration,
        /// How long a listing of all projects is believed.
        projects: Duration,
    },
}

/// A moment before a question to upstream: what upstream answered is as old as that, however long it took.
#[derive(Debug, Clone, Copy)]
pub struct QuestionStart {
    at: Instant,
    unix: i64,
}

/// How far upstream is known.
#[derive(Debug, Clone, Copy)]
pub(super) struct Head {
    /// The last serial.
    pub(super) serial: Serial,
    /// Upstream said recently that there is nothing beyond it.
    pub(super) current: bool,
    /// When it last said so in this run, in Unix seconds of our clock.
    pub(super) as_of: Option<i64>,
}

/// Shared by the journal's clones.
pub(super) struct Known {
    pub(super) published: watch::Sender<Option<Serial>>,
    inside: Mutex<Facts>,
}

pub(super) struct Facts {
    pub(super) upkeep: Upkeep,
    /// Where the project table stands.
    pub(super) position: Option<Position>,
    pub(super) listed_at: Option<Instant>,
    pub(super) heard: Option<Serial>,
    pub(super) heard_at: Option<Instant>,
    pub(super) caught_up: Option<QuestionStart>,
    /// The same, in Unix seconds, also from an earlier run and while more is known to have happened.
    pub(super) as_of: Option<i64>,
    pace: Option<Pace>,
    /// The head of which it is noted since when it is known.
    noted: Option<Serial>,
}

impl QuestionStart {
    /// Upstream is asked now.
    pub fn now(clock: &Clock) -> Self {
        Self { at: Instant::now(), unix: clock.unix() }
    }

    /// When that was, in Unix seconds by our clock.
    pub(super) fn unix(self) -> i64 {
        self.unix
    }

    /// It was asked after the other one.
    pub(super) fn is_later(self, other: Self) -> bool {
        self.at > other.at
    }
}

impl Known {
    pub(super) fn new(
        position: Option<Position>,
        heard: Option<Serial>,
        pace: Option<Pace>,
        as_of: Option<i64>,
    ) -> Self {
        // Until a follower says that it keeps the journal current, nothing of an earlier run is believed.
        let upkeep = Upkeep::OnDemand { head: Duration::ZERO, projects: Duration::ZERO };
        let (listed_at, heard_at, caught_up) = (None, None, None);
        let noted = None;
        let inside = Facts { upkeep, position, listed_at, heard, heard_at, caught_up, as_of, pace, noted };
        let published = watch::Sender::new(inside.head());
        Self { published, inside: Mutex::new(inside) }
    }

    /// A listing was put in the table, which now stands at `position`.
    pub(super) fn listed(&self, position: Position, heard: Serial) {
        self.update(|inside| {
            inside.position = Some(position);
            inside.listed_at = Some(Instant::now());
            inside.heard = Some(heard);
        });
    }

    /// A slice was kept, and the project table moved if `position` says so.
    pub(super) fn appended(&self, position: Option<Position>, heard: Serial) {
        self.update(|inside| {
            inside.position = position.or(inside.position);
            inside.heard = Some(heard);
        });
    }

    pub(super) fn position(&self) -> Option<Position> {
        self.lock().position
    }

    pub(super) fn pace(&self) -> Option<Pace> {
        self.lock().pace
    }

    pub(super) fn set_pace(&self, pace: Pace) {
        self.lock().pace = Some(pace);
    }

    /// The last serial, if an answer may rely on it.
    pub(super) fn current_head(&self) -> Option<Serial> {
        let inside = self.lock();
        let head = inside.head()?;
        match inside.upkeep {
            Upkeep::Polled { .. } | Upkeep::Imported => Some(head),
            Upkeep::OnDemand { head: lifetime, .. } => young(inside.heard_at, lifetime).then_some(head),
        }
    }

    /// How far upstream is known, and whether "nothing happened" may be said of what lies beyond; `None` before
    /// the first contact.
    pub(super) fn current(&self) -> Option<Head> {
        let inside = self.lock();
        let current = match inside.upkeep {
            Upkeep::Polled { head } => young(inside.caught_up.map(|asked| asked.at), head),
            Upkeep::OnDemand { head, .. } => young(inside.heard_at, head),
            // As of the import, which is what every answer is of.
            Upkeep::Imported => true,
        };
        let as_of = inside.caught_up.map(|asked| asked.unix);
        inside.head().map(|serial| Head { serial, current, as_of })
    }

    /// The head, if it is not noted yet since when it is known.
    pub(super) fn unnoted(&self) -> Option<Serial> {
        let inside = self.lock();
        inside.head().filter(|head| inside.noted.is_none_or(|noted| noted < *head))
    }

    /// It is noted since when a head is known.
    pub(super) fn noted(&self, head: Serial) {
        let mut inside = self.lock();
        inside.noted = inside.noted.max(Some(head));
    }

    pub(super) fn update(&self, change: impl FnOnce(&mut Facts)) {
        // Published under the lock, or a slower thread could publish an older serial last.
        let mut inside = self.lock();
        change(&mut inside);
        let head = inside.head();
        if let Some(head) = head {
            // Serials stay far below 2⁵³, where a double still counts by one.
            #[allow(clippy::cast_precision_loss)]
            metrics::gauge!(metric::JOURNAL_LAST_SERIAL).set(head.0 as f64);
        }
        self.published.send_if_modified(|published| std::mem::replace(published, head) != head);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Facts> {
        // Each change is one assignment after another that cannot panic.
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Facts {
    pub(super) fn projects(&self) -> Option<Serial> {
        self.position.map(|position| position.ours)
    }

    fn head(&self) -> Option<Serial> {
        match self.upkeep {
            // Never beyond the project table: who takes the last serial and then the list of projects would
            // miss what lies between.
            Upkeep::Polled { .. } | Upkeep::Imported => self.projects(),
            Upkeep::OnDemand { .. } => self.heard.max(self.projects()),
        }
    }
}

pub(super) fn young(at: Option<Instant>, lifetime: Duration) -> bool {
    at.is_some_and(|at| at.elapsed() < lifetime)
}
