//! A file that goes out as it did before: no path is read, nothing is looked up.

use std::time::Duration;

use super::served::Content;
use super::{Relay, Served, Source};
use crate::blob::HotRef;
use crate::index::Validity;
use crate::model::{Clock, FilePath};

/// What a small file's going out rests on. It holds no bytes.
#[derive(Debug)]
pub struct RepeatableFile {
    validity: Validity,
    hot_ref: HotRef,
}

/// A file that goes out again.
#[derive(Debug)]
pub struct Again {
    /// All of it.
    pub content: Content,
    /// How long ago its fetch began.
    pub age: Duration,
    /// When it goes out, in seconds since 1970.
    pub now: i64,
}

impl Relay {
    /// A hold on a file that was just served from memory at the path `asked`, if it can be served there so again.
    pub fn repeatable(&self, asked: &FilePath, served: &Served) -> Option<RepeatableFile> {
        if served.source != Source::Hit || served.stale {
            return None;
        }
        let validity = self.index.validity(asked)?;
        Some(RepeatableFile { validity, hot_ref: self.resources.store.hot_ref(served.sha256?)? })
    }

    /// The whole file, if [`Relay::open`] would serve it now as it did then; else that has to be asked.
    pub fn again(&self, repeatable: &RepeatableFile) -> Option<Again> {
        let store = &self.resources.store;
        // Read once for all that asks for it.
        let now = store.clock().unix_millis();
        if !self.index.stands(&repeatable.validity, now.div_euclid(1000)) {
            return None;
        }
        let moment = Clock::moment(now);
        let hot = store.still_hot(&repeatable.hot_ref, moment)?;
        let age = store.age_of_hot(&hot, moment)?;
        let content = Content::ready(hot.bytes().clone(), Source::Hit, &self.resources);
        Some(Again { content, age, now: now.div_euclid(1000) })
    }
}
