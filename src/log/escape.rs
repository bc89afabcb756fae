//! Control characters in what is logged.

use std::borrow::Cow;
use std::fmt::Write as _;

/// A text in which no character ends a line, moves the cursor or turns the direction of writing. Such characters become
/// what JSON writes for them, `\u000a` for a newline, so a line of JSON stays one.
pub fn escaped(text: &str) -> Cow<'_, str> {
    escaped_but(text, |_| false)
}

/// The colours and styles that the log's formatter writes: nothing that hides a text or moves the cursor.
const STYLES: [&str; 9] = ["0m", "1m", "2m", "3m", "31m", "32m", "33m", "34m", "35m"];

/// A line as the log's formatter made it: the newline at its end stays, and with `colours` its styles.
pub(super) fn line(line: &str, colours: bool) -> Vec<u8> {
    let text = line.strip_suffix('\n').unwrap_or(line);
    let is_style = |at: usize| {
        let rest = text.get(at..).and_then(|rest| rest.strip_prefix("\u{1b}["));
        colours && rest.is_some_and(|rest| STYLES.iter().any(|style| rest.starts_with(style)))
    };
    let mut bytes = escaped_but(text, is_style).into_owned().into_bytes();
    bytes.push(b'\n');
    bytes
}

/// `stays`: whether the character at an index is left as it is.
fn escaped_but(text: &str, stays: impl Fn(usize) -> bool) -> Cow<'_, str> {
    if !text.contains(is_control) {
        return Cow::Borrowed(text);
    }
    let mut clean = String::with_capacity(text.len() + 16);
    for (at, character) in text.char_indices() {
        if is_control(character) && !stays(at) {
            // Writing to a text does not fail. All of them are below U+10000.
            let _ = write!(clean, "\\u{:04x}", u32::from(character));
        } else {
            clean.push(character);
        }
    }
    Cow::Owned(clean)
}

/// Control characters of ASCII and of Latin-1, the separators of lines and paragraphs, and the marks that turn the
/// direction of writing (Unicode Technical Report 36, section 2.2).
fn is_control(character: char) -> bool {
    character.is_control()
        || matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_event_stays_one_line() {
        for forged in ["a\nb", "a\r\nb", "a\u{85}b", "a\u{2028}b", "a\u{1b}[2Kb", "a\u{202e}b", "a\u{7f}b"] {
            for colours in [false, true] {
                let bytes = line(&format!("{forged}\n"), colours);
                let text = String::from_utf8(bytes).unwrap();
                let control = text.chars().filter(|c| is_control(*c)).collect::<String>();
                assert_eq!(control, "\n", "{text:?}");
            }
        }
    }

    #[test]
    fn the_formatters_own_colours_stay_where_there_are_some() {
        let styled = "\u{1b}[2mdim\u{1b}[0m \u{1b}[8mhidden";
        assert_eq!(line(styled, true), b"\x1b[2mdim\x1b[0m \\u001b[8mhidden\n");
        assert_eq!(line(styled, false), b"\\u001b[2mdim\\u001b[0m \\u001b[8mhidden\n");
    }

    #[test]
    fn what_has_none_is_as_it_was_and_json_stays_json() {
        assert!(matches!(escaped("Käse, 100 %"), Cow::Borrowed("Käse, 100 %")));
        let json = serde_json::json!({"a": "x\u{85}y\u{2028}\u{7f}z"}).to_string();
        let read: serde_json::Value = serde_json::from_str(&escaped(&json)).unwrap();
        assert_eq!(read["a"], "x\u{85}y\u{2028}\u{7f}z");
    }
}
