//! Numbers, times and ages as people read them.

use bytesize::ByteSize;
use maud::{Markup, html};

use crate::model::Stamp;

/// Bytes with a unit: `1.5 MiB`.
pub(super) fn bytes(bytes: u64) -> String {
    ByteSize(bytes).display().iec().to_string()
}

/// A moment in UTC, to the second; the number where it is no year that anybody writes.
pub(super) fn moment(unix: i64) -> Markup {
    let Some(stamp) = Stamp::from_unix(unix) else { return html! { (unix) } };
    let text = stamp.json_seconds();
    html! { time datetime=(format!("{text}Z")) { (text.replace('T', " ")) } }
}

/// How long ago: `12 s`, `3 min`, `5 h`, `2 days`; rounded down.
pub(super) fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `1 file`, `2 files`.
pub(super) fn count(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{number} {one}s") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_read_has_a_unit() {
        assert_eq!(bytes(3 << 19), "1.5 MiB");
        for (seconds, text) in [
            (0, "0 s"),
            (119, "119 s"),
            (120, "2 min"),
            (7_200, "2 h"),
            (172_800, "2 days"),
            (u64::MAX, "213503982334601 days"),
        ] {
            assert_eq!(age(seconds), text);
        }
        assert_eq!(count(1, "file") + &count(0, "file"), "1 file0 files");
    }

    #[test]
    fn a_moment_is_one_in_utc_whatever_an_event_says() {
        let text = "<time datetime=\"2026-01-31T23:59:59Z\">2026-01-31 23:59:59</time>";
        assert_eq!(moment(1_769_903_999).into_string(), text);
        assert_eq!(moment(i64::MAX).into_string(), i64::MAX.to_string());
    }
}
