//! A file that goes out as it did before: no path is read, nothing is looked up.

use std::time::Duration;

use super::served::Content;
use super::{Relay, Served, Source};
use crate::blob::Grip;
use crate::index::Pledge;

/// What a small file's going out rests on. It holds no bytes.
#[derive(Debug)]
pub struct Hold {
    pledge: Pledge,
    grip: Grip,
}

impl Relay {
    /// A hold on a file that was just served from memory, if it can be served so again.
    pub fn hold(&self, served: &Served) -> Option<Hold> {
        if served.source != Source::Hit || served.stale {
            return None;
        }
        let pledge = self.index.pledge(&served.path)?;
        Some(Hold { pledge, grip: self.delivery.store.grip(served.sha256?)? })
    }

    /// The whole file and its age, if [`Relay::open`] would serve it now as it did then; else that has to be asked.
    pub fn again(&self, hold: &Hold) -> Option<(Content, Duration)> {
        if !self.index.stands(&hold.pledge) {
            return None;
        }
        let hot = self.delivery.store.gripped(&hold.grip)?;
        let age = self.delivery.store.age_of_hot(&hot)?;
        Some((Content::ready(hot.bytes().clone(), Source::Hit, &self.delivery), age))
    }
}
