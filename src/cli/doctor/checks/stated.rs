//! The serials that the beginning of a listing states.

use std::fmt;

use crate::model::Serial;
use crate::upstream::Probed;

/// The serials of the projects that a listing's beginning names, and its own.
pub(super) struct StatedSerials {
    projects: Vec<Serial>,
    /// Projects whose serial is none that can be believed: no number, or one that no client of XML-RPC can be told.
    odd: usize,
    own: Option<Serial>,
}

impl StatedSerials {
    pub(super) fn of(listing: &Probed) -> Self {
        let own = listing.last_serial;
        let text = String::from_utf8_lossy(&listing.body);
        let json = text.trim_ascii_start().starts_with('{');
        let Some((_, projects)) = text.split_once("\"projects\"").filter(|_| json) else {
            return Self { projects: Vec::new(), odd: 0, own };
        };
        // What stands after the list is the listing's own.
        let projects = projects.split(']').next().unwrap_or(projects);
        let mut stated: Vec<_> = projects.split("\"_last-serial\"").skip(1).map(serial).collect();
        if !listing.whole {
            // It may have lost its last digits.
            stated.pop();
        }
        let odd = stated.iter().filter(|serial| serial.is_none()).count();
        Self { projects: stated.into_iter().flatten().collect(), odd, own }
    }

    /// Whether they tell what changes. One for everything does not, unless there is one project only.
    pub(super) fn tell(&self) -> bool {
        match self.projects.as_slice() {
            [] => false,
            [_] => true,
            [first, rest @ ..] => rest.iter().any(|serial| serial != first),
        }
    }

    /// How many projects have one that counts.
    pub(super) fn projects(&self) -> usize {
        self.projects.len()
    }

    /// Whether there are some that do not count.
    pub(super) fn has_odd(&self) -> bool {
        self.odd > 0
    }

    pub(super) fn highest(&self) -> Option<Serial> {
        self.projects.iter().copied().chain(self.own).max()
    }
}

impl fmt::Display for StatedSerials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.projects.as_slice() {
            [] => f.write_str("none"),
            [_] => f.write_str("one project has its last serial"),
            [first, ..] if !self.tell() => {
                write!(f, "the same for every project, {first}: it says nothing")
            }
            [..] => f.write_str("each project has its last serial"),
        }?;
        match self.odd {
            0 => Ok(()),
            odd => write!(f, "; {odd} that are no serials count as not stated"),
        }
    }
}

/// The serial that a text begins with, behind the colon.
fn serial(rest: &str) -> Option<Serial> {
    let value = rest.trim_start().strip_prefix(':')?.trim_start().trim_start_matches('"');
    let end = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (digits, behind) = value.split_at(end);
    // A fraction or an exponent makes it none.
    let ends = behind.trim_start().starts_with(['"', ',', '}']);
    digits.parse().ok().filter(|_| ends).and_then(Serial::stated)
}
