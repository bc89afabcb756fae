//! Kinds of setting: how a text becomes one, and how one is written.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use url::Url;

use crate::http::{Cors, Listen, Proxies};
use crate::model::{LEFT_OUT, redacted};
use crate::upstream::AllowedHosts;

/// A type that a setting can have. Values from the environment and from flags are texts; a file may also
/// have TOML's numbers and booleans, which have a text form too.
pub(super) trait Setting: Sized {
    /// What is expected, for complaints.
    const EXPECTED: &'static str;
    /// Reads the text form; `None` if it is not one.
    fn read(text: &str) -> Option<Self>;
    /// The text form, for the template.
    fn write(&self) -> String;
}

macro_rules! settings_by_text {
    ($($kind:ty: $expected:literal, $write:expr;)*) => {$(
        impl Setting for $kind {
            const EXPECTED: &'static str = $expected;
            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
            fn write(&self) -> String {
                let write: fn(&Self) -> String = $write;
                write(self)
            }
        }
    )*};
}

settings_by_text! {
    bool: "true or false", ToString::to_string;
    u32: "a whole number", ToString::to_string;
    u64: "a whole number", ToString::to_string;
    usize: "a whole number", ToString::to_string;
    PathBuf: "a path", |path| path.display().to_string();
    String: "a text", Clone::clone;
    AllowedHosts: "hosts and networks with commas between, such as files.corp.test, 10.0.0.6:8080, 10.1.0.0/16", ToString::to_string;
    Proxies: "addresses and networks with commas between, such as 127.0.0.1, 10.0.0.0/8", ToString::to_string;
    Cors: "*, none, or origins with commas between, such as https://lab.test, http://localhost:8888", ToString::to_string;
}

impl Setting for f64 {
    const EXPECTED: &'static str = "a number from 0.001 to 1000000";
    fn read(text: &str) -> Option<Self> {
        text.parse().ok().filter(|n: &f64| (0.001..=1_000_000.0).contains(n))
    }
    fn write(&self) -> String {
        self.to_string()
    }
}

impl Setting for Duration {
    const EXPECTED: &'static str = "a duration above 0 such as 500ms, 30s or 5m";
    fn read(text: &str) -> Option<Self> {
        humantime::parse_duration(text).ok().filter(|duration| !duration.is_zero())
    }
    fn write(&self) -> String {
        humantime::format_duration(*self).to_string()
    }
}

impl Setting for Url {
    const EXPECTED: &'static str =
        "an address such as http://index.test/ (or https) without ? and #, with a password written out";
    fn read(text: &str) -> Option<Self> {
        // Paths are put behind it, where a query would be lost.
        // What was printed without its password is no address to be used.
        let is_base = |url: &Url| {
            url.has_host() && url.query().is_none() && url.fragment().is_none() && url.username() != LEFT_OUT
        };
        Url::parse(text).ok().filter(|url| matches!(url.scheme(), "http" | "https") && is_base(url))
    }
    /// Without user and password: it is printed.
    fn write(&self) -> String {
        redacted(self.as_str())
    }
}

/// One address at least, with commas between several.
impl Setting for Vec<Listen> {
    const EXPECTED: &'static str = "an address and port such as 127.0.0.1:3141, several with commas between them, each \
                                    with ?deadline=SECONDS if it has its own";
    fn read(text: &str) -> Option<Self> {
        text.split(',').map(|one| one.trim().parse().ok()).collect()
    }
    fn write(&self) -> String {
        let all: Vec<String> = self.iter().map(ToString::to_string).collect();
        all.join(", ")
    }
}

/// A number of bytes, in whatever integer the owner of the setting keeps it: `64 MiB`, `10GB`, `4096`.
pub(super) struct Bytes<T>(pub(super) T);

impl<T: TryFrom<u64> + Copy + TryInto<u64>> Setting for Bytes<T> {
    const EXPECTED: &'static str = "a size such as 64 MiB or 10 GB";
    fn read(text: &str) -> Option<Self> {
        let size: bytesize::ByteSize = text.parse().ok()?;
        T::try_from(size.as_u64()).ok().map(Self)
    }
    fn write(&self) -> String {
        let bytes: u64 = self.0.try_into().unwrap_or(u64::MAX);
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let unit = units.iter().find(|(_, shift)| bytes > 0 && bytes.trailing_zeros() >= *shift);
        unit.map_or_else(|| bytes.to_string(), |(name, shift)| format!("{} {name}", bytes >> shift))
    }
}

/// Bytes of something that goes on only if it has some: a buffer, a part.
pub(super) struct Room<T>(pub(super) T);

/// Less is a slip, and would be more calls than bytes.
const LEAST_ROOM: u64 = 1 << 10;

impl<T: TryFrom<u64> + Copy + TryInto<u64>> Setting for Room<T> {
    const EXPECTED: &'static str = "a size from 1 KiB on, such as 64 KiB";
    fn read(text: &str) -> Option<Self> {
        let Bytes(room): Bytes<T> = Bytes::read(text)?;
        let bytes: u64 = room.try_into().ok()?;
        (bytes >= LEAST_ROOM).then_some(Self(room))
    }
    fn write(&self) -> String {
        Bytes(self.0).write()
    }
}

/// How many of something at least one is needed: none would wait for ever, or ask without end.
pub(super) struct Count<T>(pub(super) T);

/// More of anything counted is a slip, and past what semaphores can count at last.
const MOST: u64 = 1_000_000_000;

impl<T: TryFrom<u64> + Copy + fmt::Display> Setting for Count<T> {
    const EXPECTED: &'static str = "a whole number from 1 to 1000000000";
    fn read(text: &str) -> Option<Self> {
        let count = text.parse().ok().filter(|count| (1..=MOST).contains(count))?;
        T::try_from(count).ok().map(Self)
    }
    fn write(&self) -> String {
        self.0.to_string()
    }
}

/// Which lines are logged, in `tracing`'s words.
pub(super) struct Filter(pub(super) String);

impl Setting for Filter {
    const EXPECTED: &'static str =
        "a level such as info, or levels by module such as info,cheesewire::http=debug";
    fn read(text: &str) -> Option<Self> {
        EnvFilter::try_new(text).is_ok().then(|| Self(text.to_owned()))
    }
    fn write(&self) -> String {
        self.0.clone()
    }
}

/// An empty text is "not set".
impl<T: Setting> Setting for Option<T> {
    const EXPECTED: &'static str = T::EXPECTED;
    fn read(text: &str) -> Option<Self> {
        if text.is_empty() { Some(None) } else { T::read(text).map(Some) }
    }
    fn write(&self) -> String {
        self.as_ref().map_or_else(String::new, Setting::write)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        for bytes in [0_u64, 1, 4096, 64 << 20, 10 << 30, 10_000_000] {
            assert_eq!(Bytes::<u64>::read(&Bytes(bytes).write()).map(|read| read.0), Some(bytes));
        }
        for listen in ["127.0.0.1:3141", "127.0.0.1:0, [::1]:3142?deadline=9", "0.0.0.0:1?deadline=2.5"] {
            assert_eq!(Vec::<Listen>::read(listen).map(|read| read.write()).as_deref(), Some(listen));
        }
        let duration = Duration::from_millis(90_500);
        assert_eq!(Duration::read(&duration.write()), Some(duration));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(Duration::read("0s").is_none() && Duration::read("5").is_none());
        for text in ["", "127.0.0.1", "127.0.0.1:1,", "127.0.0.1:1?deadline=0", "127.0.0.1:1?dedline=3"] {
            assert!(Vec::<Listen>::read(text).is_none(), "{text}");
        }
        assert!(["0", "NaN", "1e-300", "1e300", "inf"].iter().all(|text| f64::read(text).is_none()));
        assert!(["0", "-1", "18446744073709551615"].iter().all(|text| Count::<usize>::read(text).is_none()));
        assert!(Count::<u32>::read("1").is_some_and(|count| count.0 == 1));
        assert!(Filter::read("a=b=c").is_none() && Filter::read("info,cheesewire::http=debug").is_some());
        for text in ["index.test", "ftp://index.test/", "http://index.test/?a=b", "http://index.test/#a"] {
            assert!(Url::read(text).is_none(), "{text}");
        }
        assert!(Bytes::<u32>::read("10 GiB").is_none());
        assert!(<Option<String>>::read("").is_some_and(|value| value.is_none()));
    }
}
