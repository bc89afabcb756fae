//! How fast upstream's last serial rises, and so which serials of upstream's may be believed at first sight.
//!
//! A serial that was wrong once must do no lasting harm: everything that is compared with it would be too old for years.
//! So one far beyond the pace of before counts as not stated, until upstream has said it again (see `follow`).

use rusqlite::Connection;

use super::{JournalSettings, facts};
use crate::model::Serial;

const HOUR: i64 = 3600;
const DAY: i64 = 24 * HOUR;
/// How often the pace is written down while nothing changes, in seconds. A minute: as often as polls come.
const KEPT_EVERY: i64 = 60;

/// What upstream named as its last serial, and when, in Unix seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Named {
    serial: i64,
    at: i64,
}

/// Upstream's last serial, for who compares it with what upstream says now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastNamed {
    /// What upstream named when it was last heard and believed, by its own numbers.
    pub last: Serial,
    /// The highest that is plausible now.
    pub most: Serial,
}

/// The pace of upstream's last serial.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pace {
    /// A day or two before, as far as upstream was heard for so long.
    from: Named,
    last: Named,
    kept_at: i64,
}

impl Pace {
    /// Of an upstream that names `serial` now, and of whose pace nothing is known.
    pub(super) fn anew(serial: Serial, now: i64) -> Self {
        Self::first(Named { serial: serial.0, at: now })
    }

    /// After `before`, if there is one, of an upstream that names `serial` now.
    pub(super) fn after(before: Option<Self>, serial: Serial, now: i64) -> Self {
        let named = Named { serial: serial.0, at: now };
        before.map_or(Self::first(named), |pace| pace.heard(named))
    }

    /// Whether it is to be written down, which it counts as then.
    pub(super) fn is_due(&mut self) -> bool {
        let due = self.last.at.saturating_sub(self.kept_at) >= KEPT_EVERY;
        if due {
            self.kept_at = self.last.at;
        }
        due
    }

    fn first(named: Named) -> Self {
        Self { from: named, last: named, kept_at: i64::MIN }
    }

    pub(super) fn get(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let named = |serial, at| -> rusqlite::Result<Option<Named>> {
            let (serial, at) = (facts::get(connection, serial)?, facts::get(connection, at)?);
            Ok(serial.zip(at).map(|(serial, at)| Named { serial, at }))
        };
        let from = named(facts::PACE_FROM_SERIAL, facts::PACE_FROM_TIME)?;
        let last = named(facts::PACE_SERIAL, facts::PACE_TIME)?;
        Ok(from.zip(last).map(|(from, last)| Self { from, last, kept_at: last.at }))
    }

    pub(super) fn keep(self, connection: &Connection) -> rusqlite::Result<()> {
        facts::set(connection, facts::PACE_FROM_SERIAL, self.from.serial)?;
        facts::set(connection, facts::PACE_FROM_TIME, self.from.at)?;
        facts::set(connection, facts::PACE_SERIAL, self.last.serial)?;
        facts::set(connection, facts::PACE_TIME, self.last.at)
    }

    fn heard(self, named: Named) -> Self {
        if named.at < self.last.at {
            // The clock was set back.
            return Self { kept_at: i64::MIN, ..Self::first(named) };
        }
        // One server of several that lags says nothing of the pace.
        let last = Named { serial: named.serial.max(self.last.serial), ..named };
        let mut from = self.from;
        let span = last.at - from.at;
        if span > 2 * DAY {
            let rise = i128::from(last.serial - from.serial) * i128::from(DAY) / i128::from(span);
            from = Named { serial: last.serial - i64::try_from(rise).unwrap_or(0), at: last.at - DAY };
        }
        Self { from, last, ..self }
    }

    /// What was named last, and what is plausible by the settings' clock.
    pub(super) fn named(self, settings: &JournalSettings) -> LastNamed {
        LastNamed { last: Serial(self.last.serial), most: self.most(settings.clock.unix(), settings) }
    }

    /// The highest serial that may be believed at `now`: as far beyond the last as `leap_factor` times the pace leads in
    /// the time since, and `leap_floor` further, once and for each day.
    pub(super) fn most(self, now: i64, settings: &JournalSettings) -> Serial {
        let since = i128::from(now.saturating_sub(self.last.at).max(0));
        let span = i128::from((self.last.at - self.from.at).max(HOUR));
        let risen = i128::from(self.last.serial - self.from.serial);
        let paced = i128::from(settings.leap_factor) * risen * since / span;
        let floor = i128::from(settings.leap_floor);
        let most = i128::from(self.last.serial) + paced + floor + floor * since / i128::from(DAY);
        Serial(i64::try_from(most).unwrap_or(i64::MAX)).min(Serial::MOST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: i64 = 1_700_000_000;

    fn settings() -> JournalSettings {
        JournalSettings { leap_floor: 1000, leap_factor: 10, ..JournalSettings::default() }
    }

    fn named(serial: i64, after: i64) -> Named {
        Named { serial, at: START + after }
    }

    #[test]
    fn what_is_plausible_grows_with_the_time_since_upstream_was_heard() {
        let mut pace = Pace::first(named(5000, 0));
        let most = |pace: Pace, after: i64| pace.most(START + after, &settings()).0;
        assert_eq!((most(pace, 0), most(pace, DAY)), (6000, 7000));
        // 240 a day, for ten days.
        for hour in 1..=240 {
            pace = pace.heard(named(5000 + 10 * hour, hour * HOUR));
        }
        let heard = 240 * HOUR;
        assert_eq!(most(pace, heard), 7400 + 1000);
        assert_eq!(most(pace, heard + DAY), 7400 + 2400 + 2000);
        // A week without a word.
        assert_eq!(most(pace, heard + 7 * DAY), 7400 + 7 * 2400 + 8000);
        assert!(pace.from.at >= START + heard - 2 * DAY, "the pace of long ago does not count");
    }

    #[test]
    fn a_clock_that_went_back_and_a_server_that_lags_spoil_nothing() {
        let pace = Pace::first(named(5000, 0)).heard(named(5100, DAY));
        assert_eq!(pace.heard(named(4000, DAY + 5)).last, named(5100, DAY + 5));
        let back = pace.heard(named(5101, 0));
        assert_eq!((back.from, back.last), (named(5101, 0), named(5101, 0)));
        assert_eq!(pace.most(START - 5 * DAY, &settings()), Serial(6100), "no negative time");
        let fast = Pace::first(named(0, 0)).heard(named(i64::from(i32::MAX), HOUR));
        assert_eq!(fast.most(START + 365 * DAY, &settings()), Serial::MOST);
    }
}
