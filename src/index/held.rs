//! A page or document in memory, with what decides whether it is still current.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use super::content::Content;
use super::unadvertised::Unadvertised;
use crate::journal::KeptDocument;
use crate::model::{FilePath, ProjectName, Serial, is_near, is_younger};

/// No serial that upstream could have.
const NEVER: i64 = i64::MIN;

/// What the journal knows of a project.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing that could contradict a page.
    Unknown,
    /// Its last event.
    At(Serial),
    /// It is not listed, and nothing says that it was removed: only upstream's own word on its page counts.
    Unlisted,
    /// Upstream has removed it.
    Gone,
}

/// Since when, in Unix seconds, how long, and what the journal knew then.
#[derive(Debug, Clone, Copy)]
struct Settled {
    since: i64,
    pause: Duration,
    standing: Standing,
}

/// Something that is kept, read.
#[derive(Debug)]
pub(super) struct Held<T> {
    pub(super) content: Arc<T>,
    /// Tells one fetched document from another, for what is derived from it.
    pub(super) stamp: u64,
    /// Bytes that it takes in memory.
    pub(super) bytes: usize,
    pub(super) etag: Option<String>,
    pub(super) last_serial: Option<Serial>,
    /// Unix seconds of upstream's last word on it.
    pub(super) checked: i64,
    /// Given out because upstream failed.
    pub(super) stale: bool,
    /// What it was made without.
    pub(super) unadvertised: Unadvertised,
    /// It is believed for a while although it is too old or behind the journal.
    settled: Option<Settled>,
    /// The journal's last serial when the journal was last seen to agree.
    agreed_at: AtomicI64,
}

impl<T: Content> Held<T> {
    /// Reads a document, and leaves out what is not to be advertised.
    pub(super) fn read(
        project: &ProjectName,
        document: &KeptDocument,
        most: usize,
        (without, unadvertised): (HashSet<FilePath>, Unadvertised),
    ) -> Result<Self, String> {
        static STAMPS: AtomicU64 = AtomicU64::new(0);
        let mut content = T::read(project, document, most)?;
        if !without.is_empty() {
            content.leave_out_metadata(&without);
        }
        Ok(Self {
            // Journals of before kept whatever upstream stated.
            last_serial: document
                .last_serial
                .max(content.last_serial())
                .and_then(|serial| Serial::stated(serial.0)),
            bytes: content.weight() + size_of::<Self>(),
            content: Arc::new(content),
            stamp: STAMPS.fetch_add(1, Ordering::Relaxed),
            etag: document.etag.clone(),
            checked: document.checked,
            stale: false,
            unadvertised,
            settled: None,
            agreed_at: AtomicI64::new(NEVER),
        })
    }

    /// What it weighs in a cache.
    pub(super) fn weight(&self) -> u32 {
        u32::try_from(self.bytes).unwrap_or(u32::MAX)
    }
}

impl<T> Held<T> {
    /// The same content, confirmed by upstream `now`, in Unix seconds as everywhere here.
    pub(super) fn confirmed(&self, now: i64) -> Self {
        Self { checked: now, stale: false, settled: None, ..self.again() }
    }

    /// The same content, to be believed for a while whatever the journal says beyond `standing`.
    pub(super) fn settled(&self, now: i64, pause: Duration, standing: Standing, stale: bool) -> Self {
        Self { stale, settled: Some(Settled { since: now, pause, standing }), ..self.again() }
    }

    fn again(&self) -> Self {
        Self {
            content: self.content.clone(),
            stamp: self.stamp,
            bytes: self.bytes,
            etag: self.etag.clone(),
            last_serial: self.last_serial,
            checked: self.checked,
            stale: self.stale,
            unadvertised: self.unadvertised,
            settled: self.settled,
            agreed_at: AtomicI64::new(NEVER),
        }
    }

    /// Upstream's last word is younger than that, and it is not given out because upstream failed.
    pub(super) fn is_young(&self, now: i64, max_age: Duration) -> bool {
        !self.stale && is_younger(self.checked, now, max_age)
    }

    /// It may go out while upstream fails or is slow.
    pub(super) fn is_usable(&self, now: i64, stale_if_error: Duration) -> bool {
        is_near(self.checked, now, stale_if_error)
    }

    /// It was given out behind the journal, or stale, last time.
    pub(super) fn was_settled(&self) -> bool {
        self.settled.is_some()
    }

    /// Believed for the moment, if the journal knows nothing beyond `standing`.
    pub(super) fn is_settled(&self, now: i64, standing: Standing) -> bool {
        self.settled.is_some_and(|settled| {
            is_younger(settled.since, now, settled.pause) && settled.standing == standing
        })
    }

    /// Not older than what the journal knows.
    pub(super) fn agrees(&self, standing: Standing) -> bool {
        match standing {
            Standing::Unknown => true,
            Standing::At(serial) => self.last_serial >= Some(serial),
            Standing::Unlisted | Standing::Gone => false,
        }
    }

    /// It may go out without upstream's word. Of a project that is not listed any more nobody knows why, unless upstream
    /// had its page all the same.
    pub(super) fn may_outlast(&self, standing: Standing) -> bool {
        match standing {
            Standing::Unknown | Standing::At(_) => true,
            Standing::Unlisted => self.settled.is_some_and(|settled| settled.standing == standing),
            Standing::Gone => false,
        }
    }

    /// The journal, then at `head`, agreed.
    pub(super) fn note_agreement(&self, head: Option<Serial>) {
        self.agreed_at.store(head.map_or(NEVER, |serial| serial.0), Ordering::Relaxed);
    }

    /// The journal has not moved since it agreed.
    pub(super) fn agreed_at(&self, head: Option<Serial>) -> bool {
        head.is_some_and(|serial| self.agreed_at.load(Ordering::Relaxed) == serial.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::ProjectPage;

    #[test]
    fn it_weighs_what_it_takes_and_not_what_its_text_does() {
        let file = r#"{"filename":"a-1.zip","url":"a-1.zip"},"#.repeat(1000);
        let body = format!(r#"{{"files":[{}]}}"#, file.trim_end_matches(','));
        let document = KeptDocument {
            body: body.into(),
            content_type: "application/json".to_owned(),
            etag: None,
            last_serial: None,
            url: "http://index.test/simple/a/".to_owned(),
            checked: 0,
        };
        let (name, without) = (ProjectName::parse("a").unwrap(), (HashSet::new(), Unadvertised::default()));
        let held = Held::<ProjectPage>::read(&name, &document, usize::MAX, without).unwrap();
        assert!(
            held.weight() as usize > held.content.weight() && held.content.weight() > 5 * document.body.len()
        );
        assert_eq!(held.confirmed(1).weight(), held.weight());
    }
}
