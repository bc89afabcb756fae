//! Days and months, in UTC.

use std::fmt;
use std::str::FromStr;

use jiff::civil::Date;

const SECONDS: i64 = 86_400;
/// 9999-12-31: the last one with four digits.
const LAST: i64 = 2_932_896;
const EPOCH: Date = Date::constant(1970, 1, 1);

/// A day: 1970-01-01 at the earliest, 9999-12-31 at the latest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Day(i64);

impl Day {
    /// The day of a moment in seconds since 1970.
    pub fn at(unix: i64) -> Self {
        Self(unix.div_euclid(SECONDS).clamp(0, LAST))
    }

    /// The day with this number; 0 is 1970-01-01.
    pub fn of(number: i64) -> Self {
        Self(number.clamp(0, LAST))
    }

    /// Its number: days since 1970-01-01.
    pub fn number(self) -> i64 {
        self.0
    }

    /// The one after it.
    #[must_use]
    pub fn next(self) -> Self {
        Self::of(self.0 + 1)
    }

    /// The one so many days before it.
    #[must_use]
    pub fn before(self, days: i64) -> Self {
        Self::of(self.0 - days)
    }

    fn date(self) -> Date {
        // Within the limits of both.
        EPOCH.saturating_add(jiff::Span::new().days(self.0))
    }

    fn from_date(date: Date) -> i64 {
        let since = date - EPOCH;
        i64::from(since.get_days())
    }
}

impl fmt::Display for Day {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.date())
    }
}

/// Why a text is no day or no month.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DateError {
    /// No day.
    #[error("{0:?} is no day; give it as 2026-01-31")]
    Day(String),
    /// No month.
    #[error("{0:?} is no month; give it as 2026-01")]
    Month(String),
}

/// Ten characters, digits and `-` where they belong.
fn reads(text: &str, like: &str) -> bool {
    let fits = |(c, like): (u8, u8)| if like == b'0' { c.is_ascii_digit() } else { c == like };
    text.len() == like.len() && text.bytes().zip(like.bytes()).all(fits)
}

impl FromStr for Day {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let date = if reads(text, "0000-00-00") { text.parse::<Date>().ok() } else { None };
        let day = date.map(Self::from_date).filter(|day| (0..=LAST).contains(day));
        day.map(Self).ok_or_else(|| DateError::Day(text.chars().take(40).collect()))
    }
}

/// A month.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Month {
    first: Day,
    last: Day,
}

impl Month {
    /// The month of a day.
    pub fn of(day: Day) -> Self {
        let date = day.date();
        Self {
            first: Day::of(Day::from_date(date.first_of_month())),
            last: Day::of(Day::from_date(date.last_of_month())),
        }
    }

    /// Its first and its last day.
    pub fn days(self) -> (Day, Day) {
        (self.first, self.last)
    }
}

impl fmt::Display for Month {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let date = self.first.date();
        write!(f, "{:04}-{:02}", date.year(), date.month())
    }
}

impl FromStr for Month {
    type Err = DateError;

    fn from_str(text: &str) -> Result<Self, DateError> {
        let day = if reads(text, "0000-00") { format!("{text}-01").parse().ok() } else { None };
        day.map(Self::of).ok_or_else(|| DateError::Month(text.chars().take(40).collect()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_is_written_as_it_is_read() {
        for (text, number) in
            [("1970-01-01", 0), ("2011-07-22", 15_177), ("2024-02-29", 19_782), ("9999-12-31", LAST)]
        {
            let day: Day = text.parse().unwrap();
            assert_eq!((day.number(), day.to_string().as_str()), (number, text));
        }
        assert_eq!(Day::at(86_399), Day(0));
        assert_eq!(Day::at(86_400), Day(1));
        assert_eq!((Day::at(-1), Day::at(i64::MAX)), (Day(0), Day(LAST)));
    }

    #[test]
    fn what_is_no_day_is_refused() {
        for bad in
            ["", "2026-02-30", "2026-1-1", "2026-01-01x", "+026-01-01", "1969-12-31", "2026-01", "äöüäö"]
        {
            assert!(bad.parse::<Day>().is_err(), "{bad}");
        }
        for bad in ["", "2026-13", "2026-1", "2026-01-01", "abcd-ef"] {
            assert!(bad.parse::<Month>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_month_has_its_first_and_its_last_day() {
        let month: Month = "2024-02".parse().unwrap();
        assert_eq!(month.days(), ("2024-02-01".parse().unwrap(), "2024-02-29".parse().unwrap()));
        assert_eq!((month.to_string().as_str(), Month::of(month.days().1)), ("2024-02", month));
    }
}
