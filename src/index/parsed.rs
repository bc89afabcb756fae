//! A page or document as it is in memory.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::content::Content;
use super::unadvertised::Unadvertised;
use crate::journal::KeptDocument;
use crate::model::{FilePath, ProjectName, Serial};
use crate::revalidate::Entry;

/// A page or document that was read.
#[derive(Debug)]
pub(super) struct Parsed<T> {
    pub(super) content: Arc<T>,
    /// Tells one fetched document from another, for what is derived from it.
    pub(super) stamp: u64,
    /// Bytes that it takes in memory.
    bytes: usize,
    pub(super) etag: Option<String>,
    /// What it was made without.
    pub(super) unadvertised: Unadvertised,
}

impl<T> Clone for Parsed<T> {
    fn clone(&self) -> Self {
        Self {
            content: self.content.clone(),
            stamp: self.stamp,
            bytes: self.bytes,
            etag: self.etag.clone(),
            unadvertised: self.unadvertised,
        }
    }
}

impl<T: Content> Parsed<T> {
    /// Reads a document, and leaves out what is not to be advertised.
    pub(super) fn read(
        project: &ProjectName,
        document: &KeptDocument,
        most: usize,
        (without, unadvertised): (HashSet<FilePath>, Unadvertised),
    ) -> Result<Entry<Self>, String> {
        static STAMPS: AtomicU64 = AtomicU64::new(0);
        let mut content = T::read(project, document, most)?;
        if !without.is_empty() {
            content.leave_out_metadata(&without);
        }
        // Journals of before kept whatever upstream stated.
        let serial = document.last_serial.max(content.last_serial());
        let parsed = Self {
            bytes: content.weight() + size_of::<Entry<Self>>(),
            content: Arc::new(content),
            stamp: STAMPS.fetch_add(1, Ordering::Relaxed),
            etag: document.etag.clone(),
            unadvertised,
        };
        Ok(Entry::new(parsed, serial.and_then(|serial| Serial::stated(serial.0)), document.checked))
    }

    /// What it weighs in a cache.
    pub(super) fn weight(&self) -> u32 {
        u32::try_from(self.bytes).unwrap_or(u32::MAX)
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
        let parsed = Parsed::<ProjectPage>::read(&name, &document, usize::MAX, without).unwrap();
        assert!(
            parsed.weight() as usize > parsed.content.weight()
                && parsed.content.weight() > 5 * document.body.len()
        );
        assert_eq!(Parsed::clone(&parsed).weight(), parsed.weight());
    }
}
