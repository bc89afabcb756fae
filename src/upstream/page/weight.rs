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

/// What was read of a page so far, and the most that it may be.
#[derive(Debug, Default)]
pub(super) struct Weight {
    bytes: usize,
    most: usize,
}

impl Weight {
    pub(super) fn new(most: usize) -> Self {
        Self { bytes: 0, most }
    }

    /// Adds what is kept to what was kept before.
    pub(super) fn add<E: serde::de::Error>(&mut self, bytes: usize) -> Result<(), E> {
        self.bytes += bytes;
        if self.is_over() {
            return Err(over(self.most));
        }
        Ok(())
    }

    /// Checks that so much more could be there for a moment.
    pub(super) fn needs<E: serde::de::Error>(&self, bytes: usize) -> Result<(), E> {
        if self.bytes + bytes > self.most { Err(over(self.most)) } else { Ok(()) }
    }

    pub(super) fn is_over(&self) -> bool {
        self.bytes > self.most
    }
}

impl ProjectPage {
    /// Bytes that it takes in memory, about.
    pub fn weight(&self) -> usize {
        let files: usize = self.files.iter().map(PageFile::weight).sum();
        // Room that a list has beyond its length.
        let spare = (self.files.capacity() - self.files.len()) * size_of::<PageFile>();
        let versions = self.versions.as_ref().map_or(0, |versions| texts(versions));
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

/// Texts in a list.
pub(super) fn texts(texts: &[String]) -> usize {
    texts.iter().map(|text| size_of::<String>() + text.capacity()).sum()
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
        assert!(page("a-1.zip", &["1"; 100], "") >= least + 2400);
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
}
