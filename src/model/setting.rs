//! Settings: how one is declared, how a text becomes one, and how one is written.
//!
//! Each group of settings stands beside the part that it is for, in one [`settings!`] block. `config` reads them.

mod declare;
pub(crate) mod kinds;

use std::path::PathBuf;
use std::time::Duration;

use url::Url;

use super::{LEFT_OUT, redacted};
pub(crate) use declare::settings;
pub use kinds::{Kind, SettingReader};

/// A type that has one text form as a setting. Values from the environment and from flags are texts; a file may also
/// have TOML's numbers and booleans, which have a text form too.
pub trait Setting: Sized {
    /// What is expected, for complaints.
    const EXPECTED: &'static str;
    /// Reads the text form; `None` if it is not one.
    fn read(text: &str) -> Option<Self>;
    /// The text form, for the template.
    fn write(&self) -> String;
}

/// Settings whose text form is what they are parsed from and displayed as.
macro_rules! setting_by_text {
    ($($type:ty: $expected:literal;)+) => {$(
        impl $crate::model::Setting for $type {
            const EXPECTED: &'static str = $expected;
            fn read(text: &str) -> Option<Self> {
                text.parse().ok()
            }
            fn write(&self) -> String {
                self.to_string()
            }
        }
    )+};
}
pub(crate) use setting_by_text;

/// Settings that are one of some words.
macro_rules! setting_by_word {
    ($type:ty: $expected:literal, $($word:literal => $variant:ident),+) => {
        impl $crate::model::Setting for $type {
            const EXPECTED: &'static str = $expected;
            fn read(text: &str) -> Option<Self> {
                match text {
                    $($word => Some(Self::$variant),)+
                    _ => None,
                }
            }
            fn write(&self) -> String {
                let word = match self {
                    $(Self::$variant => $word,)+
                };
                word.to_owned()
            }
        }
    };
}
pub(crate) use setting_by_word;

setting_by_text! {
    bool: "true or false";
    u32: "a whole number";
    u64: "a whole number";
    usize: "a whole number";
    String: "a text";
}

impl Setting for PathBuf {
    const EXPECTED: &'static str = "a path";
    fn read(text: &str) -> Option<Self> {
        Some(text.into())
    }
    fn write(&self) -> String {
        self.display().to_string()
    }
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use url::Url;

    // `Kind` has methods of the same names.
    use super::Setting;

    #[test]
    fn what_is_written_is_read_back() {
        let duration = Duration::from_millis(90_500);
        assert_eq!(Duration::read(&duration.write()), Some(duration));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        assert!(Duration::read("0s").is_none() && Duration::read("5").is_none());
        assert!(["0", "NaN", "1e-300", "1e300", "inf"].iter().all(|text| f64::read(text).is_none()));
        for text in ["index.test", "ftp://index.test/", "http://index.test/?a=b", "http://index.test/#a"] {
            assert!(Url::read(text).is_none(), "{text}");
        }
    }
}
