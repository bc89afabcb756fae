//! What a page takes in memory.

use std::collections::BTreeMap;

use super::super::text::over;
use super::model::{CoreMetadata, Others, PageFile, ProjectPage, Yanked};

/// What a member of a map takes beside its texts, about: maps have room for eleven in each node, and are half full.
pub(super) const NODE: usize = 96;
/// The first node of a map, which is there for one member already.
pub(super) const FIRST_NODE: usize = 544;

/// What the allocator adds to the texts of a file, and the room that its address has beyond its length.
const ROUNDED: usize = 96;

/// At most what an object takes as a map of its members: each has a colon after its name.
pub(in crate::upstream) fn members(object: &str) -> usize {
    object.len() + memchr::memchr_iter(b':', object.as_bytes()).count() * NODE
}

/// What was read of a page so far, and the most that it may be.
#[derive(Debug, Default)]
pub(super) struct Weight {
    bytes: usize,
    most: usize,
    is_over: bool,
}

impl Weight {
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: 0, most, is_over: false }
    }

    /// Adds what is kept to what was kept before.
    pub(super) fn add<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.bytes += bytes;
        self.needs(0)
    }

    /// Checks that so much more could be there for a moment.
    pub(super) fn needs<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.is_over |= self.bytes + bytes > self.most;
        if self.is_over { Err(over(self.most)) } else { Ok(()) }
    }

    /// A check has failed.
    pub(super) fn is_over(&self) -> bool {
        self.is_over
    }
}

impl ProjectPage {
    /// Bytes that it takes in memory, about.
    pub fn weight(&self) -> usize {
        let files: usize = self.files.iter().map(PageFile::weight).sum();
        // Room that a list has beyond its length.
        let spare = (self.files.capacity() - self.files.len()) * size_of::<PageFile>();
        let versions = self.versions.as_ref().map_or(0, |versions| versions.iter().map(listed).sum());
        size_of::<Self>() + files + spare + versions + self.other.weight() + self.meta.weight()
    }
}

impl PageFile {
    /// Bytes that it takes in memory, about.
    pub(super) fn weight(&self) -> usize {
        let text = |text: &Option<String>| text.as_ref().map_or(0, String::capacity);
        let yanked = match &self.yanked {
            Yanked::Yes(reason) => text(reason),
            Yanked::No => 0,
        };
        let metadata = match &self.core_metadata {
            CoreMetadata::Yes(hashes) => map(hashes),
            CoreMetadata::No => 0,
        };
        let optional = [&self.fragment, &self.requires_python, &self.upload_time, &self.provenance];
        size_of::<Self>()
            + self.filename.capacity()
            + self.url.as_str().len()
            + self.path.as_str().len()
            + self.earlier.as_ref().map_or(0, |path| path.as_str().len())
            + ROUNDED
            + optional.into_iter().map(text).sum::<usize>()
            + map(&self.hashes)
            + yanked
            + metadata
            + self.other.weight()
    }
}

impl Others {
    /// Bytes that they take in memory.
    pub(super) fn weight(&self) -> usize {
        self.0.iter().map(|(key, value)| NODE + key.capacity() + value.get().len()).sum()
    }
}

/// A text in a list. The allocator gives no room of less than 16 bytes.
pub(super) fn listed(text: &String) -> usize {
    size_of::<String>() + text.capacity().next_multiple_of(16)
}

fn map(hashes: &BTreeMap<String, String>) -> usize {
    let texts: usize = hashes.iter().map(|(name, digits)| name.capacity() + digits.capacity()).sum();
    if hashes.is_empty() { 0 } else { texts + FIRST_NODE.max(hashes.len() * NODE) }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::ProjectName;

    fn read(kind: &str, text: &str) -> Result<ProjectPage, String> {
        let url = "https://index.test/simple/a/".parse().unwrap();
        ProjectPage::read(&ProjectName::parse("a").unwrap(), kind, text.as_bytes(), &url, usize::MAX)
    }

    #[test]
    fn a_page_weighs_what_its_texts_do() {
        let page = |url: &str, versions: &[&str], more: &str| {
            let file =
                json!({"filename": "a-1.zip", "url": url, "hashes": {"sha256": "ab".repeat(32)}, "x": more});
            read("", &json!({"files": [file], "versions": versions, "y": more}).to_string()).unwrap().weight()
        };
        let least = page("a-1.zip", &[], "");
        assert!((900..4000).contains(&least), "{least}");
        assert!(page(&format!("{}/a-1.zip", "x".repeat(500)), &[], "") >= least + 500);
        assert!(page("a-1.zip", &["1"; 100], "") >= least + 4000);
        assert!(page("a-1.zip", &[], &"x".repeat(1000)) >= least + 2000);
    }

    #[test]
    fn a_page_that_would_take_more_than_it_may_is_refused() {
        const MOST: usize = 1 << 20;
        let name = ProjectName::parse("a").unwrap();
        let url = "https://index.test/simple/a/".parse().unwrap();
        let json = |text: &str| super::super::json::read(&name, text.as_bytes(), &url, MOST);
        let many = |item: &str, size: usize| format!("{item},").repeat(MOST / size);
        let members = (0..MOST / NODE).map(|at| format!("\"{at}\":0,")).collect::<Vec<_>>().concat();
        let file = r#"{"filename":"a-1.zip","url":"a-1.zip"}"#;
        for text in [
            format!("{{\"files\":[{}{file}]}}", many(file, size_of::<PageFile>())),
            format!("{{\"files\":[],\"versions\":[{}\"1\"]}}", many("\"1\"", size_of::<String>())),
            format!("{{\"files\":[],\"meta\":{{{members}\"z\":0}}}}"),
            // This is no file, and is read whole to find out.
            format!("{{\"files\":[{{{members}\"z\":0}}]}}"),
            format!("{{\"files\":[],{members}\"z\":0}}"),
        ] {
            assert!(text.len() < MOST);
            let refused = json(&text).unwrap_err();
            assert!(refused.contains("more than 1048576 bytes of memory"), "{refused}");
        }
        let html = format!("<title>Links for a</title>{}", "<a href=a-1.zip>a</a>".repeat(MOST / FIRST_NODE));
        let refused = super::super::html::read(&name, html.as_bytes(), &url, MOST).unwrap_err();
        assert!(refused.contains("more than 1048576 bytes of memory"), "{refused}");
        // Of this nothing is kept.
        let nothing = format!("{{\"files\":[{}[]],\"versions\":[{}[]]}}", many("[]", 4), many("{}", 4));
        let page = json(&nothing).unwrap();
        assert!(page.weight() < 2000 && page.versions.is_some());
    }

    /// A long list is there twice while it is put together of its pieces.
    #[test]
    fn a_list_fits_only_if_it_can_be_put_together() {
        let name = ProjectName::parse("a").unwrap();
        let url = "https://index.test/simple/a/".parse().unwrap();
        let read = |text: &str, most| super::super::json::read(&name, text.as_bytes(), &url, most);
        let list = |item: &str, count: usize| vec![item; count].join(",");
        let files = list(r#"{"filename":"a-1.zip","url":"a-1.zip"}"#, 3000);
        for (text, size) in [
            (format!("{{\"files\":[{files}]}}"), size_of::<PageFile>()),
            (format!("{{\"files\":[],\"versions\":[{}]}}", list("\"1\"", 3000)), size_of::<String>()),
        ] {
            let page = read(&text, usize::MAX).unwrap();
            let kept = page.weight() - size_of::<ProjectPage>();
            let joined = kept + 3000 * size;
            assert!(read(&text, joined).is_ok());
            let refused = read(&text, joined - 1).unwrap_err();
            assert!(refused.contains("bytes of memory"), "{refused}");
        }
    }
}
