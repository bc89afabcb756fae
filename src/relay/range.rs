//! The `Range` field (RFC 9110 section 14): the one range that is served, or none.

use std::ops::Range;

/// What a `Range` field asks of a file of known size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RangeRequest {
    /// The whole file: no range, one that is not understood, or several.
    Whole,
    /// These bytes; never empty.
    Part(Range<u64>),
    /// Bytes that the file does not have.
    Unsatisfiable,
}

impl RangeRequest {
    /// Reads the field. RFC 9110 lets a server ignore any it does not care for: several ranges are
    /// answered with the whole file, since no installer sends them and assembling parts invites overlap
    /// attacks.
    pub(super) fn of(field: &str, size: u64) -> Self {
        let Some((unit, set)) = field.split_once('=') else { return Self::Whole };
        if !unit.trim().eq_ignore_ascii_case("bytes") {
            return Self::Whole;
        }
        let Some((first, last)) = set.trim().split_once('-') else { return Self::Whole };
        let (first, last) = match (number(first), number(last)) {
            (Ok(None), Ok(Some(suffix))) => (size.saturating_sub(suffix), size),
            (Ok(Some(first)), Ok(None)) => (first, size),
            (Ok(Some(first)), Ok(Some(last))) if first <= last => (first, last.saturating_add(1).min(size)),
            (Ok(Some(_) | None), Ok(Some(_) | None)) | (Err(NotDigits), _) | (_, Err(NotDigits)) => {
                return Self::Whole;
            }
        };
        if first < last { Self::Part(first..last) } else { Self::Unsatisfiable }
    }
}

struct NotDigits;

/// A position; past 2^64 it is as far away as any.
fn number(text: &str) -> Result<Option<u64>, NotDigits> {
    if text.is_empty() {
        return Ok(None);
    }
    if !text.bytes().all(|b| b.is_ascii_digit()) {
        return Err(NotDigits);
    }
    Ok(Some(text.parse().unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn single_open_and_suffix_ranges_are_clipped_to_the_file() {
        for (field, part) in [
            ("bytes=0-0", 0..1),
            ("bytes=0-", 0..10),
            ("bytes=3-5", 3..6),
            ("Bytes = 3-5", 3..6),
            ("bytes=9-99", 9..10),
            ("bytes=-3", 7..10),
            ("bytes=-99", 0..10),
            ("bytes=0-99999999999999999999999", 0..10),
        ] {
            assert_eq!(RangeRequest::of(field, 10), RangeRequest::Part(part), "{field}");
        }
    }

    #[test]
    fn bytes_that_the_file_does_not_have_are_refused() {
        for field in ["bytes=10-", "bytes=10-20", "bytes=-0", "bytes=99999999999999999999999-"] {
            assert_eq!(RangeRequest::of(field, 10), RangeRequest::Unsatisfiable, "{field}");
        }
        assert_eq!(RangeRequest::of("bytes=0-", 0), RangeRequest::Unsatisfiable);
    }

    #[test]
    fn what_is_not_understood_means_the_whole_file() {
        for field in ["", "bytes", "bytes=", "bytes=-", "bytes=5-3", "bytes=a-b", "bytes=+1-2", "lines=1-2"] {
            assert_eq!(RangeRequest::of(field, 10), RangeRequest::Whole, "{field}");
        }
        assert_eq!(RangeRequest::of("bytes=0-1,3-4", 10), RangeRequest::Whole);
    }
}
