//! The rows of a question by time that is asked without a limit ([`super::uncut`]): which, and how they are read a piece at a
//! time.

use crate::model::Serial;

/// Where the reading of a slice stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadPosition {
    pub(super) time: i64,
    /// Of the last row read.
    pub serial: Serial,
}

/// Which events: those up to a serial that have a time at or after a moment or a serial above another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Bounds {
    /// The moment, in Unix seconds.
    pub(super) since: i64,
    /// The last serial that counts by its time alone.
    pub(super) known: i64,
    /// The last serial.
    pub(super) upto: i64,
    /// From which time on the index on time is walked.
    pub(super) floor: i64,
    /// There are events before that.
    pub(super) older: bool,
}

/// From a place on, forward; ?1 and ?2 are the place, ?3 to ?6 the bounds, ?7 is how many rows.
const WALK: &str = "SELECT serial, name, version, time, verb, object FROM events INDEXED BY events_time \
    WHERE time >= ?1 AND (time > ?1 OR serial > ?2) AND +serial <= ?4 AND (time >= ?5 OR serial > ?3) \
    ORDER BY time, serial LIMIT ?7";
/// Those before the floor.
const OLDER: &str = "SELECT serial, name, version, time, verb, object FROM events \
    WHERE serial > ?3 AND serial <= ?4 AND +time < ?6 AND (+time > ?1 OR +time = ?1 AND +serial > ?2) \
    ORDER BY +time, serial LIMIT ?7";
/// The same backward.
const WALK_BACK: &str = "SELECT serial, name, version, time, verb, object FROM events INDEXED BY events_time \
    WHERE time >= ?6 AND time <= ?1 AND (time < ?1 OR serial < ?2) AND +serial <= ?4 AND (time >= ?5 OR serial > ?3) \
    ORDER BY time DESC, serial DESC LIMIT ?7";
const OLDER_BACK: &str = "SELECT serial, name, version, time, verb, object FROM events \
    WHERE serial > ?3 AND serial <= ?4 AND +time < ?6 AND (+time < ?1 OR +time = ?1 AND +serial < ?2) \
    ORDER BY +time DESC, serial DESC LIMIT ?7";

impl Bounds {
    /// Before the first row.
    pub(super) fn start(self) -> ReadPosition {
        let time = if self.older { i64::MIN } else { self.floor };
        ReadPosition { time, serial: Serial(i64::MIN) }
    }

    /// After the last row.
    pub(super) fn end() -> ReadPosition {
        ReadPosition { time: i64::MAX, serial: Serial(i64::MAX) }
    }

    /// The statement for the rows after a place, and where those of another statement follow.
    pub(super) fn forward(self, from: ReadPosition) -> (&'static str, Option<ReadPosition>) {
        if from.time >= self.floor {
            return (WALK, None);
        }
        (OLDER, Some(ReadPosition { time: self.floor, serial: Serial(i64::MIN) }))
    }

    /// The same for the rows before a place, the last first.
    pub(super) fn backward(self, from: ReadPosition) -> (&'static str, Option<ReadPosition>) {
        if from.time < self.floor {
            return (OLDER_BACK, None);
        }
        let older = ReadPosition { time: self.floor.saturating_sub(1), serial: Serial(i64::MAX) };
        (WALK_BACK, self.older.then_some(older))
    }

    /// What all these statements are given.
    pub(super) fn parameters(self, from: ReadPosition, most: u32) -> [i64; 7] {
        let Self { since, known, upto, floor, .. } = self;
        [from.time, from.serial.0, known, upto, since, floor, most.into()]
    }
}
