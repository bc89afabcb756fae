//! A listing that is or was compared, and what its serials are worth.

use crate::journal::Difference;
use crate::model::Serial;
use crate::upstream::Validators;

/// What serials are worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Telling {
    /// They tell what changed.
    Serials,
    /// They may.
    Unproven,
    /// They say nothing.
    Nothing,
}

/// What a listing is, or one that upstream confirmed with a 304.
#[derive(Debug, Clone)]
pub(super) struct Issue {
    /// The serial that it is as new as.
    pub(super) head: Serial,
    /// When upstream made it, in Unix seconds.
    pub(super) taken: i64,
    pub(super) validators: Validators,
    /// It is the one that was compared before.
    pub(super) confirmed: bool,
    /// What its serials are worth.
    pub(super) telling: Telling,
    /// Projects that it has and of which no serial tells, if those are few enough to look at each time.
    pub(super) untold: Vec<Difference>,
    /// How many there are.
    pub(super) untold_in_all: usize,
}

impl Issue {
    /// A new one, before it was compared.
    pub(super) fn new(head: Serial, taken: i64, validators: Validators, telling: Telling) -> Self {
        Self { head, taken, validators, confirmed: false, telling, untold: Vec::new(), untold_in_all: 0 }
    }

    /// More projects than are looked at have no serial that tells what changes.
    pub(super) fn is_untold(&self, most: usize) -> bool {
        self.untold_in_all > most
    }

    /// It is new, and no serial will tell what changes.
    pub(super) fn says_nothing_of(&self, job: &Difference) -> bool {
        job.listed && !job.known && (job.serial.is_none() || self.telling != Telling::Serials)
    }

    /// New projects of which no serial tells are looked at from now on, too.
    pub(super) fn heed(&mut self, found: &[Difference], most: usize) {
        let new: Vec<_> = found.iter().filter(|job| self.says_nothing_of(job)).cloned().collect();
        let room = most.saturating_sub(self.untold.len());
        self.untold.extend(new.into_iter().take(room).map(|job| Difference { known: true, ..job }));
    }
}
