//! What of a project's page matters for events.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::model::{KnownVersions, Serial, Stamp, version_of};
use crate::upstream::{CoreMetadata, ProjectPage, Validators, Yanked};

/// A project's page at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Sighting {
    /// The serial that the page is as new as.
    pub(super) serial: Option<Serial>,
    /// Under suspicion: files are those of the page before.
    pub(super) quarantined: bool,
    /// All releases, also those without files.
    pub(super) versions: Vec<String>,
    pub(super) files: Vec<SeenFile>,
    /// A digest of what else installers read on it; none in sightings of before.
    #[serde(default)]
    pub(super) rest: Option<String>,
    /// By what it can be asked for again.
    #[serde(default)]
    pub(super) validators: Validators,
    /// Its project is listed, and it was not there.
    #[serde(default)]
    pub(super) missing: bool,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SeenFile {
    pub(super) filename: String,
    /// `None` if its name does not tell.
    pub(super) version: Option<String>,
    /// Unix seconds.
    pub(super) uploaded: Option<i64>,
    pub(super) yanked: bool,
    /// `ALGORITHM=DIGITS`, if the page states any.
    #[serde(default)]
    pub(super) digest: Option<String>,
}

impl Sighting {
    /// What a page shows.
    pub(super) fn of(page: &ProjectPage) -> Self {
        let mut versions = KnownVersions::new(page.versions.iter().flatten().cloned());
        let mut files = Vec::with_capacity(page.files.len());
        for file in &page.files {
            let version = version_of(&file.filename, &page.name, &versions);
            // HTML, and pages older than PEP 700's, do not list versions.
            if let Some(version) = version.as_ref().filter(|version| !versions.lists(version)) {
                versions.push(version.clone());
            }
            let uploaded = file.upload_time.as_deref().and_then(Stamp::parse).map(Stamp::unix);
            let yanked = file.yanked != Yanked::No;
            let digest = file.hashes.get_key_value("sha256").or_else(|| file.hashes.iter().next());
            let digest = digest.map(|(algorithm, digits)| format!("{algorithm}={digits}"));
            files.push(SeenFile { filename: file.filename.clone(), version, uploaded, yanked, digest });
        }
        Self {
            serial: page.last_serial,
            quarantined: page.is_quarantined(),
            versions: versions.into_vec(),
            files,
            rest: Some(rest(page)),
            ..Self::default()
        }
    }

    /// As it must have looked at `moment`, by upload times alone: what has none was there already. What went since
    /// cannot be known.
    pub(super) fn at(&self, moment: i64) -> Self {
        let old = |file: &&SeenFile| file.uploaded.is_none_or(|uploaded| uploaded <= moment);
        let files: Vec<SeenFile> = self.files.iter().filter(old).cloned().collect();
        let of = |files: &[SeenFile]| -> HashSet<String> {
            files.iter().filter_map(|file| file.version.clone()).collect()
        };
        let (old, all) = (of(&files), of(&self.files));
        let was = |version: &&String| old.contains(*version) || !all.contains(*version);
        let versions = self.versions.iter().filter(was).cloned().collect();
        Self { serial: None, quarantined: false, versions, files, ..self.clone() }
    }
}

impl SeenFile {
    /// Other bytes have its name now.
    pub(super) fn is_replaced_by(&self, other: &Self) -> bool {
        let split = |digest: &Option<String>| {
            let (algorithm, digits) = digest.as_deref()?.split_once('=')?;
            Some((algorithm.to_owned(), digits.to_owned()))
        };
        let digests = split(&self.digest).zip(split(&other.digest));
        self.filename == other.filename && digests.is_some_and(|(a, b)| a.0 == b.0 && a.1 != b.1)
    }
}

/// What installers read beside names and digests. Addresses are left out: some servers sign them anew each time.
fn rest(page: &ProjectPage) -> String {
    let mut digest = Sha256::new();
    let mut add = |text: Option<&str>| {
        digest.update([u8::from(text.is_some())]);
        digest.update(text.unwrap_or_default());
        digest.update([0]);
    };
    for file in &page.files {
        add(Some(&file.filename));
        add(file.requires_python.as_deref());
        match &file.yanked {
            Yanked::No | Yanked::Yes(None) => add(None),
            Yanked::Yes(Some(reason)) => add(Some(reason)),
        }
        match &file.core_metadata {
            CoreMetadata::No => add(None),
            CoreMetadata::Yes(hashes) => add(Some(&format!("{hashes:?}"))),
        }
    }
    let status = page.status.as_ref();
    add(status.map(|status| status.status.as_str()));
    add(status.and_then(|status| status.reason.as_deref()));
    hex::encode(&digest.finalize()[..16])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ProjectName;

    #[test]
    fn how_a_page_looked_is_told_by_upload_times_and_what_has_none_was_there() {
        let file = |filename: &str, version: &str, uploaded| SeenFile {
            filename: filename.to_owned(),
            version: Some(version.to_owned()),
            uploaded,
            ..SeenFile::default()
        };
        let files =
            vec![file("a-1.zip", "1", Some(10)), file("a-2.zip", "2", Some(11)), file("a-3.zip", "3", None)];
        let versions = ["1", "2", "3", "without files"].map(str::to_owned).to_vec();
        let then = Sighting { versions, files, ..Sighting::default() }.at(10);
        assert_eq!(then.files.iter().map(|file| &*file.filename).collect::<Vec<_>>(), ["a-1.zip", "a-3.zip"]);
        assert_eq!(then.versions, ["1", "3", "without files"]);
    }

    #[test]
    fn a_page_shows_the_same_in_both_forms_but_for_times() {
        let name = ProjectName::parse("a").unwrap();
        let url = "https://index.test/simple/a/".parse().unwrap();
        let see = |kind, body: &str| {
            Sighting::of(&ProjectPage::read(&name, kind, body.as_bytes(), &url, usize::MAX).unwrap())
        };
        let html = "<title>Links for a</title><a href='a-1.zip' data-yanked=''>a-1.zip</a>\
            <a href='a-2-py3-none-any.whl'>a-2-py3-none-any.whl</a>";
        let json = r#"{"meta":{"api-version":"1.1"},"name":"a","versions":["1","2"],"files":[
            {"filename":"a-1.zip","url":"a-1.zip","hashes":{},"yanked":true},
            {"filename":"a-2-py3-none-any.whl","url":"a-2-py3-none-any.whl","hashes":{}}]}"#;
        let seen = see("text/html", html);
        assert_eq!(seen, see("application/vnd.pypi.simple.v1+json", json));
        assert_eq!(seen.versions, ["1", "2"]);
        assert_eq!(seen.files.iter().map(|file| file.yanked).collect::<Vec<_>>(), [true, false]);
        let quarantined = "<title>Links for a</title><meta name='pypi:project-status' content='quarantined'>";
        assert!(see("text/html", quarantined).quarantined);
    }
}
