//! Events as a function of their index.

use crate::model::Event;

use super::super::artefact::{mix, stem};
use super::names::Listed;

/// As many events keep serials below 2³¹.
pub(super) const MOST: u64 = 700_000_000;
/// The serial before the first event.
const FIRST_SERIAL: i64 = 1_000;
/// Mean distance of two serials.
const STEP: i64 = 3;
/// 2005-03-01.
const FIRST_TIME: i64 = 1_109_635_200;
/// Twenty years, whatever the number of events.
const SPAN: u64 = 20 * 365 * 86_400;
/// A prime above any number of projects: its multiples visit every place once.
const STRIDE: u64 = 4_294_967_291;

/// The sequence.
#[derive(Debug, Clone, Copy)]
pub(super) struct Events {
    len: u64,
    projects: u64,
}

impl Events {
    /// `len` events over `projects` projects, at least one.
    pub(super) fn new(len: u64, projects: usize) -> Self {
        Self { len, projects: (projects as u64).max(1) }
    }

    pub(super) fn len(self) -> u64 {
        self.len
    }

    /// The place of the project that an event is about. If there are enough events, every project has one.
    pub(super) fn project(self, index: u64) -> usize {
        let every = (self.len / self.projects).max(1);
        let (visit, rest) = (index / every, index % every);
        let place = if rest == 0 && visit < self.projects { visit * STRIDE } else { mix(index) };
        // Below the number of projects, which are in memory.
        usize::try_from(place % self.projects).unwrap_or(0)
    }

    /// An event's serial.
    fn serial(index: u64) -> i64 {
        // Indices are below `MOST`.
        let index_signed = i64::try_from(index).unwrap_or(i64::MAX / STEP);
        FIRST_SERIAL + index_signed * STEP + i64::from(mix(!index).to_le_bytes()[0] % 3)
    }

    /// The serial of the event before `end`, or the one before all events.
    pub(super) fn serial_before(end: u64) -> i64 {
        end.checked_sub(1).map_or(FIRST_SERIAL - 1, Self::serial)
    }

    /// The index of the first event whose serial is above `serial`.
    pub(super) fn first_after(self, serial: i64) -> u64 {
        let near = u64::try_from(serial.saturating_sub(FIRST_SERIAL).max(0) / STEP).unwrap_or(0);
        let near = near.min(self.len);
        if near < self.len && Self::serial(near) <= serial { near + 1 } else { near }
    }

    /// An event's time: four or so share one, and one in 64 steps back.
    pub(super) fn time(self, index: u64) -> i64 {
        // 2³⁰ events times 2³⁰ seconds fit 64 bits.
        let even = (index / 4 * 4) * SPAN / self.len.max(1);
        let back = if mix(index ^ STRIDE).is_multiple_of(64) { 1_800 } else { 0 };
        FIRST_TIME + i64::try_from(even).unwrap_or(0) - back
    }

    /// An event; `listed` is the project that it is about, `creation` tells that it is its first. Nothing that the project has is ever removed:
    /// removals are about releases that came before.
    pub(super) fn event(self, index: u64, listed: Listed<'_>, creation: bool) -> Event {
        let dice = mix(index.rotate_left(32));
        let old = format!("0.0.{}", dice >> 8 & 7);
        let file = |version: &str| format!("{}-py3-none-any.whl", stem(listed.name, version));
        let (version, action) = match (dice & 15, listed.version) {
            _ if creation => (None, "create".to_owned()),
            (0, _) => (None, "remove Owner bob".to_owned()),
            (1, _) => (None, "add Owner alice".to_owned()),
            (2, _) => (Some(old), "yank release".to_owned()),
            (3, _) => (Some(old), "remove release".to_owned()),
            (4, _) => (Some(old.clone()), format!("remove file {}", file(&old))),
            (5, _) => (None, "docupdate".to_owned()),
            (6..=9, Some(version)) => (Some(version.to_owned()), "new release".to_owned()),
            (_, Some(version)) => (Some(version.to_owned()), format!("add py3 file {}", file(version))),
            (_, None) => (Some(old), "new release".to_owned()),
        };
        let serial = crate::model::Serial(Self::serial(index));
        Event { serial, name: listed.name.to_owned(), version, time: self.time(index), action }
    }
}
