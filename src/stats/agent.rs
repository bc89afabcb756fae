//! A user agent: as reports have it, and what it says of installer, Python and system.

use serde_json::Value;

/// The longest agent of which more than its beginning is read: pip's and uv's have 300 to 600 bytes.
const LONGEST: usize = 4096;
/// The most bytes of what is read out of an agent.
const COLUMN: usize = 64;

/// What an agent is called when there are too many, and one that says nothing.
pub(super) const OTHER: &str = "other";
const NONE: &str = "-";

/// A user agent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Agent {
    /// Its beginning, without control characters; never empty.
    pub text: Box<str>,
    /// What installs, such as `pip`; empty if it does not say, as all below.
    pub installer: Box<str>,
    /// Its version.
    pub installer_version: Box<str>,
    /// The version of Python.
    pub python: Box<str>,
    /// The system's name, such as `Linux`.
    pub system: Box<str>,
}

impl Agent {
    /// Reads what a client sent. `most`: bytes of its text that are kept.
    pub fn read(sent: &[u8], most: usize) -> Self {
        // Enough to fill the text: what is no UTF-8 becomes longer, never shorter.
        let beginning = String::from_utf8_lossy(&sent[..sent.len().min(most.saturating_add(4))]);
        let agent = Self::named(&cleaned(&beginning, most));
        if sent.len() > LONGEST {
            return agent;
        }
        let whole = String::from_utf8_lossy(sent);
        agent.with_columns(&whole)
    }

    /// One of which no more than its text is known; it is shortened and cleaned already.
    pub(super) fn named(text: &str) -> Self {
        let text = if text.is_empty() { NONE } else { text };
        Self { text: text.into(), ..Self::default() }
    }

    fn with_columns(self, whole: &str) -> Self {
        let stated =
            whole.find('{').and_then(|at| serde_json::from_str::<Value>(whole[at..].trim_end()).ok());
        let stated = stated.unwrap_or_default();
        let said = |value: &Value| value.as_str().map(column).filter(|text| !text.is_empty());
        // Of the words before the first bracket: the products of older clients stand there one by one.
        let plain = whole.split(['{', '(']).next().unwrap_or_default();
        let products = || plain.split_ascii_whitespace().filter_map(|word| word.split_once('/'));
        let product = |names: &[&str]| {
            products().skip(1).find(|(name, _)| names.iter().any(|one| one.eq_ignore_ascii_case(name)))
        };
        let first = products()
            .next()
            .filter(|_| plain.split_ascii_whitespace().next().is_some_and(|word| word.contains('/')));
        let installer = said(&stated["installer"]["name"]);
        let installer_version = match installer {
            Some(_) => said(&stated["installer"]["version"]),
            None => first.map(|(_, version)| column(version)),
        };
        let python = said(&stated["python"])
            .or_else(|| product(&["CPython", "PyPy", "Python"]).map(|(_, version)| column(version)));
        let system = said(&stated["system"]["name"])
            .or_else(|| product(&["Linux", "Darwin", "Windows"]).map(|(name, _)| column(name)));
        Self {
            installer: installer.or_else(|| first.map(|(name, _)| column(name))).unwrap_or_default(),
            installer_version: installer_version.unwrap_or_default(),
            python: python.unwrap_or_default(),
            system: system.unwrap_or_default(),
            ..self
        }
    }
}

/// At most so many bytes, cut at a character; control characters are spaces.
pub(super) fn cleaned(text: &str, most: usize) -> String {
    let end = text.char_indices().map(|(at, c)| at + c.len_utf8()).take_while(|end| *end <= most).last();
    let kept = &text[..end.unwrap_or(0)];
    let clean: String = kept.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    clean.trim_matches(' ').to_owned()
}

fn column(text: &str) -> Box<str> {
    cleaned(text, COLUMN).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIP: &str = r#"pip/23.0.1 {"ci":null,"cpu":"x86_64","distro":{"id":"bookworm","libc":{"lib":"glibc","version":"2.36"},"name":"Debian GNU/Linux","version":"12"},"implementation":{"name":"CPython","version":"3.11.2"},"installer":{"name":"pip","version":"23.0.1"},"openssl_version":"OpenSSL 3.0.8 7 Feb 2023","python":"3.11.2","rustc_version":"1.63.0","setuptools_version":"66.1.1","system":{"name":"Linux","release":"6.1.0"}}"#;
    const UV: &str = r#"uv/0.5.1 {"installer":{"name":"uv","version":"0.5.1"},"python":"3.12.1","implementation":{"name":"CPython","version":"3.12.1"},"distro":null,"system":{"name":"Darwin","release":"23"},"cpu":"arm64","ci":true}"#;

    fn columns(sent: &str) -> [String; 4] {
        let Agent { installer, installer_version, python, system, .. } = Agent::read(sent.as_bytes(), 256);
        [installer, installer_version, python, system].map(String::from)
    }

    #[test]
    fn what_pip_and_uv_say_is_read_before_the_cut() {
        assert!(PIP.len() > 256);
        assert_eq!(columns(PIP), ["pip", "23.0.1", "3.11.2", "Linux"]);
        assert_eq!(columns(UV), ["uv", "0.5.1", "3.12.1", "Darwin"]);
        assert_eq!(&*Agent::read(PIP.as_bytes(), 256).text, &PIP[..256]);
    }

    #[test]
    fn older_clients_name_their_products() {
        assert_eq!(columns("pip/1.5.6 CPython/2.7.9 Linux/3.16.0"), ["pip", "1.5.6", "2.7.9", "Linux"]);
        assert_eq!(columns("bandersnatch/1.5 (cpython 2.7.9, Linux 3.2)"), ["bandersnatch", "1.5", "", ""]);
        assert_eq!(columns("Python-urllib/2.7"), ["Python-urllib", "2.7", "", ""]);
        for odd in [
            "",
            "pep381client",
            "{",
            "pip {\"installer\":[]}",
            "x {\"installer\":{\"name\":5},\"python\":null}",
        ] {
            assert_eq!(columns(odd), ["", "", "", ""], "{odd}");
        }
    }

    #[test]
    fn a_text_is_cut_at_a_character_and_has_no_control_characters() {
        let text = |sent: &[u8]| Agent::read(sent, 8).text.to_string();
        assert_eq!(text(b""), "-");
        assert_eq!(text(b"\0\n\x7f"), "-");
        assert_eq!(text(b"a\0b\r\nc"), "a b  c");
        assert_eq!(text("\u{85}aaaaaaaäx".as_bytes()), "aaaaaa");
        assert_eq!(text("aaaaaaaäx".as_bytes()), "aaaaaaa");
        assert_eq!(text(b"\xff\xfe\xfd\xfc"), "\u{fffd}\u{fffd}");
        assert_eq!(text(&vec![b'a'; 100_000]), "aaaaaaaa");
        assert_eq!(text("aaaaaa\u{10348}".as_bytes()), "aaaaaa");
    }

    #[test]
    fn what_is_read_out_of_an_agent_is_bounded() {
        let long = "v".repeat(1000);
        let said = format!(
            r#"x/1 {{"installer":{{"name":"{long}","version":"{long}"}},"python":"a\u0000b","system":{{"name":"{long}"}}}}"#
        );
        assert_eq!(
            columns(&said),
            [long[..64].to_owned(), long[..64].to_owned(), "a b".to_owned(), long[..64].to_owned()]
        );
        // One that is far too long is not read at all.
        assert_eq!(columns(&format!("pip/1 {}", "x".repeat(100_000))), ["", "", "", ""]);
    }
}
