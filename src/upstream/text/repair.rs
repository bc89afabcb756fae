//! JSON as Python's and other lax writers write it → JSON.
//!
//! Outside of strings `NaN`, `Infinity` and `-Infinity` become `null`. Within strings half a surrogate pair becomes the
//! replacement character, and a control character its escape. Everything else stays, so what is broken stays broken.

use std::borrow::Cow;
use std::io::{self, BufRead, Read};

/// A text that is repaired while it is read. It has to be UTF-8.
#[derive(Debug)]
pub(in crate::upstream) struct Repaired<R> {
    inner: R,
    repair: Repair,
    /// How much of what was repaired has been read.
    read: usize,
}

impl<R: BufRead> Repaired<R> {
    /// Over a text.
    pub(in crate::upstream) fn new(inner: R) -> Self {
        Self { inner, repair: Repair::default(), read: 0 }
    }
}

impl<R: BufRead> Read for Repaired<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while self.read == self.repair.out.len() {
            self.repair.out.clear();
            self.read = 0;
            let chunk = self.inner.fill_buf()?;
            let length = chunk.len();
            if length == 0 {
                return Ok(0);
            }
            self.repair.feed(chunk);
            self.inner.consume(length);
        }
        let left = &self.repair.out[self.read..];
        let length = out.len().min(left.len());
        out[..length].copy_from_slice(&left[..length]);
        self.read += length;
        Ok(length)
    }
}

/// A whole text; what is no UTF-8 is replaced too. `None` if there was nothing to repair.
pub(in crate::upstream) fn repaired(text: &[u8]) -> Option<Vec<u8>> {
    let valid = String::from_utf8_lossy(text);
    let mut repair = Repair::default();
    repair.feed(valid.as_bytes());
    let changed = matches!(valid, Cow::Owned(_)) || repair.out != text;
    changed.then_some(repair.out)
}

/// Where the reader is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Outside,
    /// A minus sign was read and not yet written.
    Minus,
    /// Within `NaN` or `Infinity`, whose `null` is written.
    Word,
    Inside,
    /// Behind a backslash that is not yet written.
    Escape,
    /// Within `\uXXXX`.
    Unicode,
}

#[derive(Debug, Default)]
struct Repair {
    state: State,
    /// The digits of an escape so far.
    digits: Vec<u8>,
    /// The first half of a surrogate pair, not yet written.
    half: Vec<u8>,
    out: Vec<u8>,
}

impl Repair {
    fn feed(&mut self, chunk: &[u8]) {
        let mut at = 0;
        while at < chunk.len() {
            let plain = self.plain(&chunk[at..]);
            self.out.extend_from_slice(&chunk[at..at + plain]);
            at += plain;
            if let Some(&byte) = chunk.get(at)
                && self.step(byte)
            {
                at += 1;
            }
        }
    }

    /// How many bytes there are only to copy.
    fn plain(&self, rest: &[u8]) -> usize {
        let special: fn(&u8) -> bool = match self.state {
            State::Outside => |byte| matches!(byte, b'"' | b'N' | b'I' | b'-'),
            State::Inside if self.half.is_empty() => |byte| matches!(byte, b'"' | b'\\' | ..0x20),
            State::Inside | State::Minus | State::Word | State::Escape | State::Unicode => return 0,
        };
        rest.iter().position(special).unwrap_or(rest.len())
    }

    /// Takes a byte; false if it has to be looked at again, in the new state.
    fn step(&mut self, byte: u8) -> bool {
        match (self.state, byte) {
            (State::Outside, b'"') => {
                self.out.push(byte);
                self.state = State::Inside;
            }
            (State::Outside, b'-') => self.state = State::Minus,
            (State::Outside, b'N') | (State::Outside | State::Minus, b'I') => {
                self.out.extend_from_slice(b"null");
                self.state = State::Word;
            }
            (State::Minus, _) => {
                self.out.push(b'-');
                self.state = State::Outside;
                return false;
            }
            (State::Word, byte) if byte.is_ascii_alphabetic() => {}
            (State::Word, _) => {
                self.state = State::Outside;
                return false;
            }
            (State::Inside, b'\\') => self.state = State::Escape,
            (State::Escape, b'u') => {
                self.digits.clear();
                self.state = State::Unicode;
            }
            (State::Unicode, _) => {
                self.digits.push(byte);
                if self.digits.len() == 4 {
                    self.state = State::Inside;
                    self.escaped();
                }
            }
            (State::Outside | State::Inside | State::Escape, _) => self.character(byte),
        }
        true
    }

    /// A character that is none of the above.
    fn character(&mut self, byte: u8) {
        self.end_half();
        match (self.state, byte) {
            (State::Escape, _) => {
                self.out.extend_from_slice(&[b'\\', byte]);
                self.state = State::Inside;
            }
            (State::Inside, b'"') => {
                self.out.push(byte);
                self.state = State::Outside;
            }
            (State::Inside, ..0x20) => self.out.extend_from_slice(format!("\\u{byte:04x}").as_bytes()),
            (_, _) => self.out.push(byte),
        }
    }

    /// A whole `\uXXXX`.
    fn escaped(&mut self) {
        let text = std::str::from_utf8(&self.digits).ok();
        let code = text.and_then(|digits| u16::from_str_radix(digits, 16).ok());
        match code {
            Some(0xD800..0xDC00) => {
                self.end_half();
                self.half.clone_from(&self.digits);
            }
            Some(0xDC00..0xE000) if !self.half.is_empty() => {
                for half in [&self.half, &self.digits] {
                    self.out.extend_from_slice(b"\\u");
                    self.out.extend_from_slice(half);
                }
                self.half.clear();
            }
            Some(0xDC00..0xE000) => self.out.extend_from_slice(b"\\ufffd"),
            Some(_) | None => {
                self.end_half();
                self.out.extend_from_slice(b"\\u");
                self.out.extend_from_slice(&self.digits);
            }
        }
    }

    /// The second half has not come.
    fn end_half(&mut self) {
        if !self.half.is_empty() {
            self.half.clear();
            self.out.extend_from_slice(b"\\ufffd");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    fn repair(text: &str) -> String {
        let whole = repaired(text.as_bytes())
            .map_or_else(|| text.to_owned(), |text| String::from_utf8(text).unwrap());
        for capacity in [1, 3, 7] {
            let reader = Repaired::new(BufReader::with_capacity(capacity, text.as_bytes()));
            assert_eq!(io::read_to_string(reader).unwrap(), whole);
        }
        whole
    }

    #[test]
    fn numbers_that_are_none_become_null_and_texts_stay() {
        assert_eq!(
            repair(r#"{"NaN":NaN,"a":[Infinity,-Infinity,-1,1e-5,"-Infinity \" NaN"]}"#),
            r#"{"NaN":null,"a":[null,null,-1,1e-5,"-Infinity \" NaN"]}"#
        );
    }

    #[test]
    fn half_a_pair_is_replaced_and_a_pair_stays() {
        assert_eq!(
            repair(
                r#"["\ud800","\udc00","\ud83d\ude00","\ud800\ud83d\ude00","\ud800x","\ud800\n","\\ud800","\u00e9"]"#
            ),
            r#"["\ufffd","\ufffd","\ud83d\ude00","\ufffd\ud83d\ude00","\ufffdx","\ufffd\n","\\ud800","\u00e9"]"#
        );
        assert_eq!(repair("[\"a\tb\"]"), "[\"a\\u0009b\"]");
    }

    #[test]
    fn bytes_that_are_no_text_are_replaced() {
        assert_eq!(repaired(b"[\"a\xff\"]").unwrap(), "[\"a\u{fffd}\"]".as_bytes());
        assert_eq!(repaired(b"[1]"), None);
    }

    proptest! {
        #[test]
        fn json_stays_as_it_is(value in "[a-z\\\\\"\n\u{e9}\u{1f600}-]{0,20}", number in any::<i32>()) {
            let text = serde_json::json!({"a": [value, number]}).to_string();
            prop_assert_eq!(repair(&text), text);
        }
    }
}
