//! One thing that was looked at, and how good it is.

use serde::Serialize;

/// How good a finding is for the relay as it is configured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Grade {
    /// As the relay would like it.
    Good,
    /// Missing, and the relay makes up for it: clients get the same.
    MadeUpFor,
    /// Clients get less, or get it later.
    Less,
    /// Clients do not get what a relay is there for.
    Unfit,
}

impl Grade {
    /// Good if it is so, and otherwise this.
    pub(super) fn good_or(good: bool, otherwise: Self) -> Self {
        if good { Self::Good } else { otherwise }
    }

    /// In a table.
    fn mark(self) -> &'static str {
        match self {
            Self::Good => "ok",
            Self::MadeUpFor => "--",
            Self::Less => "!!",
            Self::Unfit => "XX",
        }
    }
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    /// What was looked at.
    pub(super) check: &'static str,
    /// How good it is for the relay as it is configured.
    pub(super) grade: Grade,
    /// What was found.
    pub(super) found: String,
    /// How long the first byte took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) milliseconds: Option<u64>,
    /// What the relay does about it.
    pub(super) relay: String,
}

/// Columns of a terminal.
const COLUMNS: usize = 80;

impl Finding {
    /// Some lines for people, and nothing in them but the words: upstream has chosen some of these.
    pub(super) fn lines(&self) -> String {
        let Self { check, grade, found, milliseconds, relay } = self;
        let took = milliseconds.map_or_else(String::new, |took| format!(" ({took} ms)"));
        let found = crate::log::escaped(found);
        let mut lines = String::new();
        wrap(&format!("{} {check}: {found}{took}", grade.mark()), "", "   ", &mut lines);
        wrap(relay, "      ", "      ", &mut lines);
        lines
    }
}

/// Adds the words of a text in lines that fit a terminal, as far as words do. `first` and `next` begin the lines.
fn wrap(text: &str, first: &str, next: &str, lines: &mut String) {
    let mut line = first.to_owned();
    let mut empty = true;
    for word in text.split_whitespace() {
        if !empty && line.chars().count() + 1 + word.chars().count() > COLUMNS {
            lines.push_str(&line);
            lines.push('\n');
            next.clone_into(&mut line);
            empty = true;
        }
        if !empty {
            line.push(' ');
        }
        line.push_str(word);
        empty = false;
    }
    lines.push_str(&line);
    lines.push('\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(found: &str, milliseconds: Option<u64>, relay: &str) -> Finding {
        let grade = Grade::good_or(milliseconds.is_some(), Grade::MadeUpFor);
        Finding { check: "a", grade, found: found.to_owned(), milliseconds, relay: relay.to_owned() }
    }

    #[test]
    fn people_read_what_was_found_and_what_follows_from_it() {
        assert_eq!(finding("b", Some(5), "c").lines(), "ok a: b (5 ms)\n      c\n");
        assert_eq!(finding("b", None, "c").lines(), "-- a: b\n      c\n");
    }

    #[test]
    fn lines_fit_a_terminal_and_upstreams_words_make_no_further_ones() {
        let words = "word ".repeat(40);
        let lines = finding(&words, None, &words).lines();
        assert!(lines.lines().all(|line| line.len() <= COLUMNS), "{lines}");
        assert_eq!(lines.matches("word").count(), 80);
        assert!(
            lines.lines().all(|line| line.starts_with("-- a: word") || line.starts_with("   ")),
            "{lines}"
        );
        // Nothing can be done about a long word.
        let long = "w".repeat(100);
        assert_eq!(finding("b", None, &long).lines(), format!("-- a: b\n      {long}\n"));
        let forged = finding("no\nok listing: all is well\u{1b}[2K", None, "c").lines();
        assert_eq!(forged, "-- a: no\\u000aok listing: all is well\\u001b[2K\n      c\n");
    }
}
