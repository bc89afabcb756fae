//! What of an answer could not be used: counted, and named for the log.

use crate::metric;

/// Names that are told; more are only counted.
const NAMED: usize = 8;
/// The longest part of a name that is told, in characters.
const LONGEST: usize = 80;

/// Entries and members of one answer that could not be used.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Skipped {
    /// Files of a page, or projects of a listing, that are left out.
    pub entries: u64,
    /// Members that are left out of an entry, or of the answer itself.
    pub members: u64,
    /// The first of them, and why.
    pub named: Vec<String>,
}

impl Skipped {
    /// Notes an entry; `name` is as upstream wrote it.
    pub fn entry(&mut self, name: &str, why: &str) {
        self.entries += 1;
        self.tell(name, why);
    }

    /// Notes a member of an entry, or of the answer if `name` is empty.
    pub fn member(&mut self, name: &str, member: &str) {
        self.members += 1;
        self.tell(name, member);
    }

    /// Adds what was skipped elsewhere of the same answer.
    pub fn add(&mut self, other: Self) {
        self.entries += other.entries;
        self.members += other.members;
        self.named.extend(other.named);
        self.named.truncate(NAMED);
    }

    fn tell(&mut self, name: &str, what: &str) {
        if self.named.len() < NAMED {
            let name: String = name.chars().take(LONGEST).collect();
            self.named.push(if name.is_empty() { what.to_owned() } else { format!("{name}: {what}") });
        }
    }

    /// Nothing was skipped.
    pub fn is_empty(&self) -> bool {
        self.entries == 0 && self.members == 0
    }

    /// Counts them, and says so once. `entry`: what an entry is, for the metric; `of`: whose answer it was.
    pub fn report(&self, entry: &'static str, of: &str) {
        if self.is_empty() {
            return;
        }
        let Self { entries, members, named } = self;
        tracing::warn!(
            of,
            entries,
            members,
            ?named,
            "upstream's answer has parts that can't be used; skipped"
        );
        let count = |reason, by: u64| {
            metrics::counter!(metric::UPSTREAM_SKIPPED_ROWS_TOTAL, "reason" => reason).increment(by);
        };
        count(entry, *entries);
        count("member", *members);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_are_counted_and_the_first_are_named_shortly() {
        let mut skipped = Skipped::default();
        assert!(skipped.is_empty());
        skipped.member("", "versions");
        skipped.member(&"é".repeat(500), "size");
        for _ in 0..100 {
            skipped.entry("a", "no address");
        }
        assert_eq!((skipped.entries, skipped.members, skipped.named.len()), (100, 2, NAMED));
        assert_eq!(skipped.named[0], "versions");
        assert_eq!(skipped.named[1], format!("{}: size", "é".repeat(LONGEST)));
        assert_eq!(skipped.named[2], "a: no address");
    }
}
