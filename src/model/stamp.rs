//! Moments, in the spellings that the protocols have for them.

use jiff::Timestamp;
use jiff::fmt::temporal::DateTimePrinter;
use jiff::tz::TimeZone;

/// A moment in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stamp(Timestamp);

impl Stamp {
    /// 1970: what stands for a time that nobody states, where a client needs one.
    pub const EPOCH: Self = Self(Timestamp::UNIX_EPOCH);

    /// From Unix seconds; `None` outside the years −9999 to 9999.
    pub fn from_unix(seconds: i64) -> Option<Self> {
        Timestamp::from_second(seconds).ok().map(Self)
    }

    /// Reads RFC 3339 with any offset, as `upload_time_iso_8601` and PEP 700's `upload-time` have it;
    /// a text without an offset is UTC, as the JSON API's `upload_time`.
    pub fn parse(text: &str) -> Option<Self> {
        if let Ok(stamp) = text.parse::<Timestamp>() {
            return Some(Self(stamp));
        }
        let civil: jiff::civil::DateTime = text.parse().ok()?;
        civil.to_zoned(TimeZone::UTC).ok().map(|zoned| Self(zoned.timestamp()))
    }

    /// Unix seconds, rounded down.
    pub fn unix(self) -> i64 {
        self.0.as_nanosecond().div_euclid(1_000_000_000).try_into().unwrap_or(i64::MIN)
    }

    /// XML-RPC's form: `20260131T23:59:59` (docs/wire.md section 2, rule 6).
    pub fn xmlrpc(self) -> String {
        self.0.to_zoned(TimeZone::UTC).strftime("%Y%m%dT%H:%M:%S").to_string()
    }

    /// The JSON API's `upload_time`: `2026-01-31T23:59:59`, without zone and fraction.
    pub fn json_seconds(self) -> String {
        self.0.to_zoned(TimeZone::UTC).strftime("%Y-%m-%dT%H:%M:%S").to_string()
    }

    /// RFC 822 with four digits of the year, in GMT, as feeds have it: `Sat, 31 Jan 2026 23:59:59 GMT`.
    pub fn rfc822(self) -> String {
        self.0.to_zoned(TimeZone::UTC).strftime("%a, %d %b %Y %H:%M:%S GMT").to_string()
    }

    /// RFC 3339 with microseconds and `Z`: `2026-01-31T23:59:59.000000Z`.
    pub fn rfc3339_micros(self) -> String {
        DateTimePrinter::new().precision(Some(6)).timestamp_to_string(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_moment_in_every_spelling() {
        let stamp = Stamp::from_unix(1_769_903_999).unwrap();
        assert_eq!(stamp.xmlrpc(), "20260131T23:59:59");
        assert_eq!(stamp.json_seconds(), "2026-01-31T23:59:59");
        assert_eq!(stamp.rfc822(), "Sat, 31 Jan 2026 23:59:59 GMT");
        assert_eq!(stamp.rfc3339_micros(), "2026-01-31T23:59:59.000000Z");
        for text in ["2026-01-31T23:59:59", "2026-01-31T23:59:59Z", "2026-01-31T23:59:59.25Z"] {
            assert_eq!(Stamp::parse(text).unwrap().unix(), 1_769_903_999, "{text}");
        }
        assert_eq!(Stamp::parse("yesterday"), None);
    }
}
