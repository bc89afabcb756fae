//! What is kept of one answer, with what decides whether it may go out.

use std::ops::Deref;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::model::{Serial, is_near, is_younger};

/// No serial that upstream could have.
const NEVER: i64 = i64::MIN;

/// What is known of something from elsewhere than its entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// Nothing that could contradict an entry.
    Unknown,
    /// Its last event.
    At(Serial),
    /// It is not listed, and nothing says that it was removed: only upstream's own word on it counts.
    Unlisted,
    /// Upstream has removed it.
    Gone,
}

impl Standing {
    /// The last event's serial.
    pub fn serial(self) -> Option<Serial> {
        match self {
            Self::At(serial) => Some(serial),
            Self::Unknown | Self::Unlisted | Self::Gone => None,
        }
    }
}

/// A time in which upstream is not asked again.
#[derive(Debug, Clone, Copy)]
struct Pause {
    /// Unix seconds.
    since: i64,
    length: Duration,
    /// What was known at its beginning.
    standing: Standing,
}

/// An answer that is kept.
#[derive(Debug)]
pub struct Entry<V> {
    value: V,
    /// The serial of what it tells.
    pub last_serial: Option<Serial>,
    /// Unix seconds of upstream's last word on it.
    pub checked: i64,
    /// It goes out because upstream fails or is slow.
    pub stale: bool,
    /// It goes out for a while although it is too old, or behind what is known.
    pause: Option<Pause>,
    /// The source's head when what is known was last seen to agree.
    agreed_at: AtomicI64,
}

impl<V> Deref for Entry<V> {
    type Target = V;

    fn deref(&self) -> &V {
        &self.value
    }
}

impl<V: Clone> Entry<V> {
    /// The same, confirmed by upstream `now`, in Unix seconds as everywhere here.
    pub(super) fn confirmed(&self, now: i64) -> Self {
        Self::new(self.value.clone(), self.last_serial, now)
    }

    /// The same, to go out for a while without asking, unless more becomes known than `standing`.
    pub(super) fn paused(&self, now: i64, length: Duration, standing: Standing, stale: bool) -> Self {
        let pause = Some(Pause { since: now, length, standing });
        Self { stale, pause, ..Self::new(self.value.clone(), self.last_serial, self.checked) }
    }
}

impl<V> Entry<V> {
    /// Something on which upstream's last word came at `checked`, in Unix seconds.
    pub fn new(value: V, last_serial: Option<Serial>, checked: i64) -> Self {
        Self { value, last_serial, checked, stale: false, pause: None, agreed_at: AtomicI64::new(NEVER) }
    }

    /// Upstream's last word is younger than that, and it does not go out because upstream failed.
    pub(super) fn is_young(&self, now: i64, max_age: Duration) -> bool {
        !self.stale && is_younger(self.checked, now, max_age)
    }

    /// It may go out while upstream fails or is slow.
    pub(super) fn is_usable(&self, now: i64, stale_if_error: Duration) -> bool {
        is_near(self.checked, now, stale_if_error)
    }

    /// It went out stale or behind last time.
    pub(super) fn was_paused(&self) -> bool {
        self.pause.is_some()
    }

    /// Upstream is not asked at the moment, if nothing is known beyond what was known when the pause began.
    pub(super) fn is_paused(&self, now: i64, standing: Standing) -> bool {
        self.pause
            .is_some_and(|pause| is_younger(pause.since, now, pause.length) && pause.standing == standing)
    }

    /// Not older than what is known.
    pub(super) fn agrees(&self, standing: Standing) -> bool {
        match standing {
            Standing::Unknown => true,
            Standing::At(serial) => self.last_serial >= Some(serial),
            Standing::Unlisted | Standing::Gone => false,
        }
    }

    /// It may go out without upstream's word. Of what is not listed any more nobody knows why, unless upstream had it all
    /// the same.
    pub(super) fn may_outlast(&self, standing: Standing) -> bool {
        match standing {
            Standing::Unknown | Standing::At(_) => true,
            Standing::Unlisted => self.pause.is_some_and(|pause| pause.standing == standing),
            Standing::Gone => false,
        }
    }

    /// What is known, with the source then at `head`, agreed.
    pub(super) fn note_agreement(&self, head: Option<Serial>) {
        self.agreed_at.store(head.map_or(NEVER, |serial| serial.0), Ordering::Relaxed);
    }

    /// Nothing became known since it agreed.
    pub(super) fn agreed_at(&self, head: Option<Serial>) -> bool {
        head.is_some_and(|serial| self.agreed_at.load(Ordering::Relaxed) == serial.0)
    }
}
