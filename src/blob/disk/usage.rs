//! How much an entry is used, in the one number that every file has: its modification time.
//!
//! Its milliseconds say when the entry was used last; the microseconds below them, how often: a weight to
//! which each use adds one and which halves with the half-life. So recency and frequency survive a restart,
//! cost one system call, need no memory and no database, and cannot disagree with the file they are about.
//!
//! The nanoseconds below the microseconds are the entry's mark: made of its digest, so that neither the time that an edit
//! leaves nor another entry's is taken for it, but for one time in a thousand. An entry without its mark is read again
//! before it is believed. A file system of coarser times loses the weight and this check, nothing else.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::Sha256;

/// Steps of the weight's logarithm: 64 to a doubling, so that a thousand reach weights of 2^15.6.
const STEPS: f64 = 64.0;
/// The most steps that the microseconds below a millisecond hold.
const MOST: f64 = 999.0;
/// Half-lives that an entry is worth less for each doubling of its size: in the room of one large entry many small ones are
/// found. With more the bytes found become too few.
const SIZE: f64 = 0.16;
/// Half-lives that an entry is worth less which was used once only. Most that is asked for once is not asked for again:
/// what a mirror or a scanner reads goes before what others come back for.
const ONCE: f64 = 0.25;
/// Seconds that a use may lie in the future, by a clock that is being corrected or that of another machine's folder.
const SKEW: f64 = 60.0;

/// What an entry's modification time tells besides its use: whether it is as we left it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark(u32);

impl Mark {
    /// That of entries of before there were marks, and where the file system does not keep nanoseconds.
    pub(super) const NONE: Self = Self(0);

    /// An entry's own.
    pub(super) fn of(sha256: Sha256) -> Self {
        let [high, low, ..] = sha256.0;
        Self(1 + u32::from(u16::from_be_bytes([high, low])) % 999)
    }

    /// The one that a modification time has.
    pub(super) fn read(modified: SystemTime) -> Self {
        Self(nanoseconds(modified) % 1_000)
    }
}

/// When and how much an entry was used.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Usage {
    pub(super) last: SystemTime,
    /// Uses, the older the less; at least 1.
    pub(super) weight: f64,
}

impl Usage {
    /// Of an entry that has just come.
    pub(super) fn new(now: SystemTime) -> Self {
        Self { last: now, weight: 1.0 }
    }

    /// Reads a modification time; one that is not ours says when, and counts as one use.
    pub(super) fn read(modified: SystemTime, sha256: Sha256) -> Self {
        if ![Mark::NONE, Mark::of(sha256)].contains(&Mark::read(modified)) {
            return Self::new(modified);
        }
        let steps = nanoseconds(modified) / 1_000 % 1_000;
        Self { last: modified, weight: (f64::from(steps) / STEPS).exp2() }
    }

    /// The modification time that says this, with a mark.
    pub(super) fn written(self, mark: Mark) -> SystemTime {
        let since = self.last.duration_since(UNIX_EPOCH).unwrap_or_default();
        let steps = (self.weight.max(1.0).log2() * STEPS).round().min(MOST);
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 999")]
        let steps = steps as u32;
        let nanoseconds = since.subsec_millis() * 1_000_000 + steps * 1_000 + mark.0;
        UNIX_EPOCH + Duration::new(since.as_secs(), nanoseconds)
    }

    /// After further uses, the last of them at `last`.
    pub(super) fn again(self, uses: f64, last: SystemTime, half_life: Duration) -> Self {
        // A use before the last one: the clock was ahead then. The later word on what time it is holds.
        let halvings = seconds_between(self.last, last).max(0.0) / half_life.as_secs_f64();
        Self { last, weight: self.weight * (-halvings).exp2() + uses }
    }

    /// What the entry is worth, in seconds: its last use, and one half-life for each doubling of its weight; less for its
    /// size in bytes, and if it was used once only.
    /// All weights fade alike, so the order of two entries changes only when one is used. An entry whose last use lies in
    /// the future, because the clock was ahead, is as old as can be, or it would outlive all others until then.
    pub(super) fn worth(self, size: u64, now: SystemTime, half_life: Duration) -> f64 {
        let ahead = seconds_between(now, self.last) > SKEW;
        let last = if ahead { 0.0 } else { seconds_between(UNIX_EPOCH, self.last) };
        #[expect(clippy::cast_precision_loss, reason = "of its logarithm a share counts")]
        let doublings = (size.max(1) as f64).log2();
        let once = if self.weight > 1.0 { 0.0 } else { ONCE };
        last + half_life.as_secs_f64() * (self.weight.log2() - SIZE * doublings - once)
    }
}

fn nanoseconds(time: SystemTime) -> u32 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| since.subsec_nanos())
}

fn seconds_between(from: SystemTime, to: SystemTime) -> f64 {
    match to.duration_since(from) {
        Ok(after) => after.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ENTRY: Sha256 = Sha256([7; 32]);
    const DAY: Duration = Duration::from_hours(24);

    fn at(seconds: u64) -> SystemTime {
        UNIX_EPOCH + Duration::from_secs(1_700_000_000 + seconds)
    }

    #[test]
    fn a_time_keeps_last_use_to_the_millisecond_and_weight_to_a_hundredth() {
        for weight in [1.0, 2.0, 3.7, 100.0, 40_000.0] {
            let last = at(5) + Duration::from_nanos(123_456_789);
            for mark in [Mark::NONE, Mark::of(ENTRY)] {
                let written = Usage { last, weight }.written(mark);
                let read = Usage::read(written, ENTRY);
                assert!((read.weight / weight - 1.0).abs() < 0.01, "{weight}: {read:?}");
                assert!(read.last.duration_since(at(5)).unwrap().as_millis() == 123);
                assert_eq!(Mark::read(written), mark);
            }
        }
        let foreign = at(5) + Duration::from_nanos(123_456_789);
        assert_ne!(Mark::read(foreign), Mark::of(ENTRY));
        assert_eq!(Usage::read(foreign, ENTRY), Usage::new(foreign));
    }

    #[test]
    fn every_entry_has_a_mark_and_few_the_same() {
        let marks = (0..=u8::MAX).map(|first| Mark::of(Sha256([first; 32])));
        let marks: std::collections::HashSet<_> = marks.map(|mark| mark.0).collect();
        assert!(marks.len() > 200 && marks.iter().all(|mark| (1..1_000).contains(mark)), "{}", marks.len());
    }

    #[test]
    fn a_use_adds_one_and_a_half_life_halves() {
        let used = Usage::new(at(0)).again(3.0, at(0), DAY);
        assert!((used.weight - 4.0).abs() < 1e-9);
        let later = used.again(1.0, at(DAY.as_secs()), DAY);
        assert!((later.weight - 3.0).abs() < 1e-9);
    }

    #[test]
    fn eight_uses_outlast_two_by_two_half_lives() {
        let (often, now) = (Usage::new(at(0)).again(7.0, at(0), DAY), at(9 * DAY.as_secs()));
        let twice = |day: u64| Usage { last: at(day * DAY.as_secs()), weight: 2.0 }.worth(9, now, DAY);
        let often = often.worth(9, now, DAY);
        assert!(often > twice(1) && often < twice(3) && (often - twice(2)).abs() < 1.0);
    }

    #[test]
    fn each_doubling_of_the_size_is_worth_a_share_of_a_half_life_less() {
        let worth = |size, hours: u64| Usage::new(at(hours * 3600)).worth(size, at(9 * DAY.as_secs()), DAY);
        // Ten doublings: 38.4 hours.
        assert!(worth(1 << 20, 38) < worth(1 << 10, 0) && worth(1 << 20, 39) > worth(1 << 10, 0));
        assert!(worth(0, 0).is_finite());
    }

    #[test]
    fn what_was_used_once_only_is_worth_a_quarter_of_a_half_life_less() {
        let worth = |weight, hours: u64| {
            Usage { last: at(hours * 3600), weight }.worth(1000, at(9 * DAY.as_secs()), DAY)
        };
        assert!(worth(1.0, 5) < worth(1.001, 0) && worth(1.0, 7) > worth(1.001, 0));
    }

    #[test]
    fn a_use_in_the_future_is_worth_least_and_is_corrected_by_the_next() {
        let (now, ahead) = (at(0), at(30 * DAY.as_secs()));
        let wrong = Usage::new(ahead);
        assert!(wrong.worth(9, now, DAY) < Usage::new(at(0) - 365 * DAY).worth(9, now, DAY));
        assert!(wrong.worth(9, ahead, DAY) > Usage::new(at(0)).worth(9, ahead, DAY));
        let right = wrong.again(1.0, now, DAY);
        assert_eq!(right, Usage { last: now, weight: 2.0 });
        // Two clocks that differ a little are none that was wrong.
        assert!(Usage::new(at(50)).worth(9, now, DAY) > Usage::new(at(0)).worth(9, now, DAY));
    }
}
