//! All names in one text, with the serial of each: one pass finds and ranks.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

use memchr::memmem;
use rusqlite::Connection;

use crate::model::{Closeness, NameTerm};

/// The serial of a name that is no more.
const GONE: i64 = i64::MIN;
/// The serial of a project whose listing told none.
pub(super) const UNTOLD: i64 = -1;
/// New names that are held beside the text; then it is written anew, which takes some 20 ms. Upstream has about a
/// thousand a day.
const MOST_ADDED: usize = 4096;

/// A project whose row has changed: its serial now, or that it is not to be found any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::journal) struct Change {
    pub(super) name: String,
    /// `None`: not to be found any more.
    pub(super) serial: Option<i64>,
}

/// A name that matches, with what ranks it; the best is the least.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Ranked {
    /// How close the closest term comes.
    pub(super) closeness: Closeness,
    /// How many terms do not match.
    pub(super) missing: usize,
    pub(super) serial: Reverse<i64>,
    pub(super) name: String,
}

/// The names.
#[derive(Debug)]
pub(super) struct Names {
    /// A line feed, then each name with one after it, in order.
    text: String,
    /// Where each starts.
    starts: Vec<u32>,
    serials: Vec<i64>,
    added: BTreeMap<String, i64>,
}

impl Names {
    fn empty() -> Self {
        Self { text: "\n".to_owned(), starts: Vec::new(), serials: Vec::new(), added: BTreeMap::new() }
    }

    /// Reads the project table; 886 thousand rows take some 0.4 s.
    pub(super) fn read(connection: &Connection) -> rusqlite::Result<Self> {
        let sql = "SELECT name, serial FROM projects ORDER BY name";
        let mut statement = connection.prepare_cached(sql)?;
        let mut rows = statement.query([])?;
        let mut names = Self::empty();
        while let Some(row) = rows.next()? {
            names.push(row.get_ref(0)?.as_str()?, row.get::<_, Option<i64>>(1)?.unwrap_or(UNTOLD));
        }
        names.text.shrink_to_fit();
        names.starts.shrink_to_fit();
        names.serials.shrink_to_fit();
        Ok(names)
    }

    /// Adds a name after all others.
    fn push(&mut self, name: &str, serial: i64) {
        // Four GiB of names would be three hundred times what there are; further ones are not found.
        let Ok(start) = u32::try_from(self.text.len()) else { return };
        self.starts.push(start);
        self.serials.push(serial);
        self.text.push_str(name);
        self.text.push('\n');
    }

    pub(super) fn apply(&mut self, change: Change) {
        match (self.place(&change.name), change.serial) {
            (Some(place), serial) => self.serials[place] = serial.unwrap_or(GONE),
            (None, Some(serial)) => {
                self.added.insert(change.name, serial);
                if self.added.len() > MOST_ADDED {
                    self.merge();
                }
            }
            (None, None) => {
                self.added.remove(&change.name);
            }
        }
    }

    /// Writes the text anew, with what was added and without what is gone.
    fn merge(&mut self) {
        let old = std::mem::replace(self, Self::empty());
        let mut added = old.added.iter().peekable();
        for (place, &serial) in old.serials.iter().enumerate() {
            let name = old.name(place);
            while let Some((new, &serial)) = added.next_if(|(new, _)| new.as_str() < name) {
                self.push(new, serial);
            }
            if serial != GONE {
                self.push(name, serial);
            }
        }
        for (new, &serial) in added {
            self.push(new, serial);
        }
    }

    fn place(&self, name: &str) -> Option<usize> {
        let place = self.first_not(|other| other < name);
        (place < self.starts.len() && self.name(place) == name).then_some(place)
    }

    /// The first place whose name is not as all those before it are.
    fn first_not(&self, is: impl Fn(&str) -> bool) -> usize {
        let (mut low, mut high) = (0, self.starts.len());
        while low < high {
            let middle = low.midpoint(high);
            if is(self.name(middle)) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    fn start(&self, place: usize) -> usize {
        self.starts.get(place).map_or(self.text.len(), |&start| start as usize)
    }

    fn name(&self, place: usize) -> &str {
        &self.text[self.start(place)..self.start(place + 1) - 1]
    }

    /// The `most` best names that match one of `terms`, the best first.
    pub(super) fn scan(&self, terms: &[NameTerm], most: usize) -> Vec<Ranked> {
        let mut found: Vec<Ranked> = self
            .added
            .iter()
            .filter_map(|(name, &serial)| {
                let (closeness, missing) = rank(terms, name)?;
                Some(Ranked { closeness, missing, serial: Reverse(serial), name: name.clone() })
            })
            .collect();
        // Whoever is among the best of all is among the best for a term that it matches.
        for term in terms {
            found.extend(self.beginning_with(term, terms, most));
        }
        found.sort_unstable();
        found.dedup();
        let close = found.partition_point(|found| found.closeness <= Closeness::Prefix);
        // Short terms are in hundreds of thousands of names, and mostly enough begin with them.
        if close < most {
            for term in terms {
                found.extend(self.with_inside(term, terms, most - close));
            }
            found.sort_unstable();
            found.dedup();
        }
        found.truncate(most);
        found
    }

    /// The best of the names that begin with `term`, ranked by all terms. They stand together.
    fn beginning_with(&self, term: &NameTerm, terms: &[NameTerm], most: usize) -> Vec<Ranked> {
        let joined = term.joined();
        let from = self.first_not(|name| name < joined);
        let to = self.first_not(|name| name < joined || name.starts_with(joined));
        let mut best = Best::new(self, terms, most, Closeness::Exact);
        for place in from..to {
            best.look_at(place);
        }
        best.ranked()
    }

    /// The best of the others that match `term`, ranked by all terms.
    fn with_inside(&self, term: &NameTerm, terms: &[NameTerm], most: usize) -> Vec<Ranked> {
        let finder = memmem::Finder::new(term.longest());
        let mut best = Best::new(self, terms, most, Closeness::Word);
        let (mut at, mut place) = (0, 0);
        while let Some(found) = finder.find(&self.text.as_bytes()[at..]) {
            place = self.place_of(at + found, place);
            at = self.start(place + 1);
            best.look_at(place);
        }
        best.ranked()
    }

    /// Whose name has the byte at `at`; not before `from`, and mostly soon after it.
    fn place_of(&self, at: usize, from: usize) -> usize {
        let (mut low, mut step) = (from, 1);
        while self.start(low + step) <= at && low + step < self.starts.len() {
            low += step;
            step *= 2;
        }
        let high = (low + step).min(self.starts.len());
        low + self.starts[low..high].partition_point(|&start| start as usize <= at).saturating_sub(1)
    }
}

/// What ranks a name, its place last.
type Key = (Closeness, usize, Reverse<i64>, usize);

/// The best names of those that were looked at.
struct Best<'a> {
    names: &'a Names,
    terms: &'a [NameTerm],
    most: usize,
    /// Closer ones are not wanted.
    closest: Closeness,
    keys: BinaryHeap<Key>,
}

impl<'a> Best<'a> {
    fn new(names: &'a Names, terms: &'a [NameTerm], most: usize, closest: Closeness) -> Self {
        Self { names, terms, most, closest, keys: BinaryHeap::new() }
    }

    fn look_at(&mut self, place: usize) {
        let serial = self.names.serials[place];
        // Comparing the name is what costs: not for one that could not be among the best at its closest.
        if serial == GONE || !self.has_room_for((self.closest, 0, Reverse(serial), place)) {
            return;
        }
        // One that only another term matches is found with that, too.
        let Some((closeness, missing)) = rank(self.terms, self.names.name(place)) else { return };
        let key = (closeness, missing, Reverse(serial), place);
        if closeness >= self.closest && self.has_room_for(key) {
            if self.keys.len() == self.most {
                self.keys.pop();
            }
            self.keys.push(key);
        }
    }

    fn has_room_for(&self, key: Key) -> bool {
        self.keys.len() < self.most || self.keys.peek().is_some_and(|worst| key < *worst)
    }

    fn ranked(self) -> Vec<Ranked> {
        let ranked = |(closeness, missing, serial, place)| Ranked {
            closeness,
            missing,
            serial,
            name: self.names.name(place).to_owned(),
        };
        self.keys.into_iter().map(ranked).collect()
    }
}

/// How close the closest term comes, and how many do not match; `None` if none does.
pub(super) fn rank(terms: &[NameTerm], name: &str) -> Option<(Closeness, usize)> {
    let found = terms.iter().filter_map(|term| term.closeness(name));
    let (closest, matching) =
        found.fold((None, 0), |(closest, matching): (Option<Closeness>, _), closeness| {
            (Some(closest.map_or(closeness, |closest| closest.min(closeness))), matching + 1)
        });
    closest.map(|closest| (closest, terms.len() - matching))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn change(name: &str, serial: Option<i64>) -> Change {
        Change { name: name.to_owned(), serial }
    }

    /// What a scan has to give.
    fn naive(all: &BTreeMap<String, i64>, terms: &[NameTerm], most: usize) -> Vec<Ranked> {
        let mut found: Vec<Ranked> = Vec::new();
        for (name, &serial) in all {
            let closest = terms.iter().filter_map(|term| term.closeness(name)).min();
            if let Some(closeness) = closest {
                let missing = terms.iter().filter(|term| term.closeness(name).is_none()).count();
                found.push(Ranked { closeness, missing, serial: Reverse(serial), name: name.clone() });
            }
        }
        found.sort();
        found.truncate(most);
        found
    }

    proptest! {
        #[test]
        fn a_scan_gives_what_looking_at_each_name_gives(
            first in prop::collection::btree_map("[ab]{1,2}(-[ab]{1,2}){0,2}", 0..9_i64, 0..40),
            changes in prop::collection::vec(("[ab]{1,2}(-[ab]{1,2}){0,2}", prop::option::of(0..9_i64)), 0..40),
            terms in prop::collection::vec("[ab]{1,2}([-. ][ab]{1,2}){0,2}", 1..4),
            most in 0..12_usize,
            merge in any::<bool>(),
        ) {
            let mut names = Names::empty();
            for (name, &serial) in &first {
                names.push(name, serial);
            }
            let mut all = first;
            for (name, serial) in changes {
                names.apply(change(&name, serial));
                match serial {
                    Some(serial) => all.insert(name, serial),
                    None => all.remove(&name),
                };
            }
            if merge {
                names.merge();
                prop_assert_eq!(names.serials.len(), all.len());
            }
            let terms: Vec<NameTerm> = terms.iter().filter_map(|term| NameTerm::parse(term)).collect();
            prop_assert_eq!(names.scan(&terms, most), naive(&all, &terms, most));
        }
    }

    #[test]
    fn many_new_names_are_merged_and_found() {
        let mut names = Names::empty();
        for n in 0..2 * MOST_ADDED + 10 {
            names.apply(change(&format!("n{n}"), Some(0)));
        }
        names.apply(change("n17", None));
        names.apply(change("n8200", None));
        assert!(names.added.len() < MOST_ADDED && names.serials.len() > MOST_ADDED);
        let all = names.scan(&[NameTerm::parse("n").unwrap()], usize::MAX);
        assert_eq!(all.len(), 2 * MOST_ADDED + 8);
    }
}
