//! The JSON API's documents: passed through as upstream wrote them, with only their files' addresses ours.

use std::collections::HashSet;

use serde::ser::{Serialize, SerializeMap as _, Serializer};
use serde_json::{Map, Value};
use url::Url;

use super::text::{Draft, Text};
use super::{known, location};
use crate::journal::KnownFile;
use crate::model::{
    Algorithm, Digest, FilePath, FilePaths, NamedBy, ProjectName, Serial, latest, paths_of, project_of,
};
use crate::upstream::{
    MEMBER, Skipped, Stated, TABLE, lenient_json, serial_member, stated, strongest, whole_number,
};

/// The members of a file's object that advertise its metadata (PEP 658, PEP 714, and PyPI's own older name).
const METADATA: [&str; 3] = ["core-metadata", "data-dist-info-metadata", "dist-info-metadata"];

/// A document of `/pypi/NAME/json` or `/pypi/NAME/VERSION/json`.
#[derive(Debug, Clone, PartialEq)]
pub struct JsonDocument {
    /// The project that it is about.
    pub(super) project: ProjectName,
    /// All of it, in upstream's order, with upstream's addresses.
    pub value: Value,
    /// Its `last_serial`.
    pub last_serial: Option<Serial>,
    /// Where it came from: mirrors may write their files' addresses relative to it.
    pub(super) base: Url,
    /// What of it could not be used.
    pub(super) skipped: Skipped,
}

impl JsonDocument {
    /// Reads a document that takes at most `most` bytes of memory.
    pub(super) fn parse(project: &ProjectName, body: &[u8], base: Url, most: usize) -> Result<Self, String> {
        let mut skipped = Skipped::default();
        let value = lenient_json(body, most, &mut skipped)
            .map_err(|error| format!("a JSON document that cannot be read: {error}"))?;
        if !value["info"].is_object() {
            return Err("a JSON document without `info`".to_owned());
        }
        // A serial that is none says as little as a missing one.
        let last_serial = serial_member(&value["last_serial"]);
        Ok(Self { project: project.clone(), value, last_serial, base, skipped })
    }

    /// Bytes that it takes in memory.
    pub(super) fn weight(&self) -> usize {
        size_of::<Self>() + weight(&self.value)
    }

    /// The files that it names. Those whose address is none are left out.
    pub(super) fn known(&self) -> impl Iterator<Item = KnownFile> {
        self.file_objects().flat_map(|file| {
            let Some((url, FilePaths { path, earlier })) = located(file, &self.project, &self.base) else {
                return Vec::new();
            };
            let Stated { hashes, unmatchable, .. } = stated(&file["digests"]);
            let digest = known::deciding(&hashes, unmatchable);
            let size = whole_number(&file["size"]);
            // A page tells besides which of those on the index's own host went by another path before.
            let earlier = earlier.filter(|path| project_of(path.filename()).as_ref() == Some(&self.project));
            let known = |path| known::known(&self.project, path, url.as_str().into(), digest, size);
            std::iter::once(path).chain(earlier).map(known).collect()
        })
    }

    /// The MD5 that it states of its files, by their paths.
    pub(super) fn md5s(&self) -> impl Iterator<Item = (FilePath, Digest)> {
        self.file_objects().filter_map(|file| {
            let md5 = Digest::parse(Algorithm::Md5.name(), file["digests"]["md5"].as_str()?)?;
            Some((located(file, &self.project, &self.base)?.1.path, md5))
        })
    }

    /// Says of these files that they have no metadata of their own, where it says that they have.
    pub(super) fn leave_out_metadata(&mut self, of: &HashSet<FilePath>) {
        let (project, base) = (self.project.clone(), self.base.clone());
        let is_one =
            |file: &Value| located(file, &project, &base).is_some_and(|(_, paths)| of.contains(&paths.path));
        let releases = self.value.get_mut("releases").and_then(Value::as_object_mut);
        let listed = releases.into_iter().flat_map(Map::values_mut);
        let files = |files: &mut Value| {
            for file in files.as_array_mut().into_iter().flatten().filter(|file| is_one(file)) {
                for name in METADATA {
                    if let Some(advertised) = file.get_mut(name) {
                        *advertised = Value::Bool(false);
                    }
                }
            }
        };
        listed.for_each(files);
        if let Some(urls) = self.value.get_mut("urls") {
            files(urls);
        }
    }

    fn file_objects(&self) -> impl Iterator<Item = &Value> {
        let releases = self.value["releases"].as_object().into_iter().flat_map(Map::values);
        releases.chain([&self.value["urls"]]).filter_map(Value::as_array).flatten()
    }

    /// It does not say which release it is about, or which files that has, or as a project's (`whole`) which releases there
    /// are.
    pub(super) fn lacks(&self, whole: bool) -> bool {
        let releases = self.value["releases"].is_object();
        self.version().is_none() || !self.value["urls"].is_array() || (whole && !releases)
    }

    /// The version that the document is about: the one asked for, or the project's latest.
    pub fn version(&self) -> Option<&str> {
        self.value["info"]["version"].as_str()
    }

    /// The versions that a project's document lists, in upstream's order: in `releases`, which upstream calls deprecated,
    /// or where that is missing in `versions`. None in a release's.
    pub fn versions(&self) -> impl Iterator<Item = &str> + Clone {
        let releases = self.value["releases"].as_object().filter(|releases| !releases.is_empty());
        let listed = self.value["versions"].as_array().filter(|_| releases.is_none());
        let listed = listed.into_iter().flatten().filter_map(Value::as_str);
        releases.into_iter().flatten().map(|(version, _)| version.as_str()).chain(listed)
    }

    /// The version that an installer would take: that of the document, or if it is yanked the newest of the releases that
    /// are not. `None` if all are, or the document names none.
    pub fn standing_version(&self) -> Option<&str> {
        let files = |files: &Value, yanked: bool| {
            files.as_array().is_some_and(|files| files.iter().any(|file| (file["yanked"] == true) == yanked))
        };
        let version = self.version()?;
        let own = [&self.value["urls"], &self.value["releases"][version]];
        // Upstream takes a yanked one only if there is no other; other indexes may not look.
        let some_yanked = own.iter().any(|own| files(own, true));
        let yanked =
            self.value["info"]["yanked"] == true || some_yanked && !own.iter().any(|own| files(own, false));
        if !yanked {
            return Some(version);
        }
        let releases = self.value["releases"].as_object().into_iter().flatten();
        latest(releases.filter(|(_, release)| files(release, false)).map(|(version, _)| version.as_str()))
    }

    /// A release's files, if the document tells of that release: upstream's object for each, with the path
    /// below our `/packages/` and the address there, for a client that knows us at `origin`. Without those whose
    /// name is none, as on pages: clients save a file under the name that they are told.
    pub fn files(&self, version: &str, origin: &str) -> Option<Vec<(&Value, FilePath, String)>> {
        let listed = &self.value["releases"][version];
        let own = || (self.version() == Some(version)).then_some(&self.value["urls"]);
        let files = listed.as_array().or_else(|| own()?.as_array())?;
        let named = |file: &&Value| file["filename"].as_str().is_some_and(FilePath::is_filename);
        let local = |file| {
            let (path, ours) = local(file, &self.project, &self.base)?;
            Some((file, path, format!("{origin}{ours}")))
        };
        Some(files.iter().filter(named).filter_map(local).collect())
    }

    /// Writes it.
    /// `serial`: what we state of the project, in the head of the answer and in lists too; it may lead upstream's.
    pub(super) fn write(&self, serial: Option<Serial>) -> serde_json::Result<Text> {
        let draft = Draft::default();
        draft.write(&Written { document: self, serial, draft: &draft })?;
        Ok(draft.finish())
    }
}

/// What a value holds beside itself.
fn weight(value: &Value) -> usize {
    match value {
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
        Value::String(text) => text.capacity(),
        Value::Array(list) => list.capacity() * size_of::<Value>() + list.iter().map(weight).sum::<usize>(),
        Value::Object(members) => {
            let own = size_of::<Value>() + size_of::<String>() + MEMBER;
            let members: usize =
                members.iter().map(|(key, value)| own + key.capacity() + weight(value)).sum();
            if members == 0 { 0 } else { members + TABLE }
        }
    }
}

/// A document while it is written: as upstream has it, with our serial and our addresses of files.
struct Written<'a> {
    document: &'a JsonDocument,
    serial: Option<Serial>,
    draft: &'a Draft,
}

impl Serialize for Written<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        let files = |value| Files { value, document: self.document, draft: self.draft };
        let mut serial = self.serial;
        for (key, value) in self.document.value.as_object().into_iter().flatten() {
            match (key.as_str(), value) {
                ("last_serial", _) if serial.is_some() => map.serialize_entry(key, &serial.take())?,
                ("releases", Value::Object(releases)) => {
                    map.serialize_entry(key, &Releases(releases, &files))?;
                }
                ("urls", value) => map.serialize_entry(key, &files(value))?,
                (_, value) => map.serialize_entry(key, value)?,
            }
        }
        if let Some(serial) = serial {
            map.serialize_entry("last_serial", &serial)?;
        }
        map.end()
    }
}

struct Releases<'a, F>(&'a Map<String, Value>, F);

impl<'a, F: Fn(&'a Value) -> Files<'a>> Serialize for Releases<'a, F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(version, files)| (version, self.1(files))))
    }
}

/// The files of a release, or whatever stands in their place.
struct Files<'a> {
    value: &'a Value,
    document: &'a JsonDocument,
    draft: &'a Draft,
}

impl Serialize for Files<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.value {
            Value::Array(files) => serializer.collect_seq(files.iter().map(|file| File { file, of: self })),
            other => other.serialize(serializer),
        }
    }
}

struct File<'a> {
    file: &'a Value,
    of: &'a Files<'a>,
}

impl Serialize for File<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let JsonDocument { project, base, .. } = self.of.document;
        let (Some((_, path)), Value::Object(members)) = (local(self.file, project, base), self.file) else {
            return self.file.serialize(serializer);
        };
        let mut map = serializer.serialize_map(Some(members.len()))?;
        for (key, value) in members {
            match key.as_str() {
                "url" => map.serialize_entry(key, &self.of.draft.ours(path.clone()))?,
                _ => map.serialize_entry(key, value)?,
            }
        }
        map.end()
    }
}

/// A file object's address upstream, and its paths here. A digest of metadata is left out: the document may say later that
/// there is none, and the path has to stay.
fn located(file: &Value, project: &ProjectName, base: &Url) -> Option<(Url, FilePaths)> {
    let url = base.join(file["url"].as_str()?).ok()?;
    let Stated { hashes, unmatchable, .. } = stated(&file["digests"]);
    let digest = if unmatchable { None } else { strongest(&hashes) };
    let paths = paths_of(&url, &NamedBy { project, page: base, digests: [digest, None] })?;
    Some((url, paths))
}

/// Where a file object's file is with us: its path, and its address without what precedes the path in it.
fn local(file: &Value, project: &ProjectName, base: &Url) -> Option<(FilePath, String)> {
    let (_, FilePaths { path, .. }) = located(file, project, base)?;
    let ours = format!("/packages/{}", location::encoded(&path));
    Some((path, ours))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn parse(body: &[u8], base: Url) -> Result<JsonDocument, String> {
        JsonDocument::parse(&ProjectName::parse("a").unwrap(), body, base, usize::MAX)
    }

    #[test]
    fn only_addresses_of_files_change() {
        let file = |url: &str| {
            format!(r#"{{"digests":{{"sha256":"{}"}},"size":3,"url":"{url}","z":1.5}}"#, "ab".repeat(32))
        };
        let document = |url: &str| {
            let file = file(url);
            format!(
                r#"{{"urls":[{file}],"info":{{"package_url":"https://index.test/project/a/"}},"releases":{{"2":[],"1":[{file}]}},"last_serial":4}}"#
            )
        };
        let parsed_of = |url: &str| {
            parse(document(url).as_bytes(), "http://index.test/pypi/a/json".parse().unwrap()).unwrap()
        };
        let parsed = parsed_of("http://index.test/packages/aa/a-1.zip");
        let relative = parsed_of("../../packages/aa/a-1.zip");
        let written = relative.write(None).unwrap().whole("http://relay.test");
        assert_eq!(
            String::from_utf8(written.into()).unwrap(),
            document("http://relay.test/packages/aa/a-1.zip")
        );
        let known = relative.known().next().unwrap();
        assert_eq!(&*known.url, "http://index.test/packages/aa/a-1.zip");
        let written = parsed.write(Some(Serial(4))).unwrap().whole("http://relay.test");
        assert_eq!(
            String::from_utf8(written.into()).unwrap(),
            document("http://relay.test/packages/aa/a-1.zip")
        );
        let known: Vec<_> = parsed.known().collect();
        assert_eq!((known.len(), known[0].path.as_str(), known[0].size), (2, "aa/a-1.zip", Some(3)));
        assert_eq!(parsed.last_serial, Some(Serial(4)));
    }

    #[test]
    fn a_document_weighs_what_its_values_do() {
        let weight = |more: &str| {
            let text = format!(r#"{{"info":{{}},"x":{more}}}"#);
            let base = "http://index.test/pypi/a/json".parse().unwrap();
            parse(text.as_bytes(), base).unwrap().weight()
        };
        let least = weight("0");
        assert!(weight(&json!("x".repeat(1000)).to_string()) >= least + 1000);
        assert!(weight(&json!(vec![json!([]); 1000]).to_string()) >= least + 1000 * size_of::<Value>());
        assert!(weight(&json!(vec![json!({"a": 0}); 1000]).to_string()) >= least + 2000 * size_of::<Value>());
    }

    #[test]
    fn our_serial_is_told_also_where_upstream_tells_another_or_none() {
        for (stated, told) in [(r#","last_serial":4"#, r#","last_serial":9"#), ("", r#","last_serial":9"#)] {
            let document = |serial| format!(r#"{{"info":{{}},"urls":[]{serial}}}"#);
            let base = "http://index.test/pypi/a/json".parse().unwrap();
            let parsed = parse(document(stated).as_bytes(), base).unwrap();
            let written = parsed.write(Some(Serial(9))).unwrap().whole("http://relay.test");
            assert_eq!(String::from_utf8(written.into()).unwrap(), document(told));
        }
    }

    #[test]
    fn the_standing_version_is_none_if_all_are_yanked_and_never_one_that_is() {
        let standing = |info: &str, releases: &[(&str, &[bool])]| {
            let file = |yanked: &bool| json!({"filename": "a", "yanked": yanked});
            let releases: serde_json::Map<_, _> = releases
                .iter()
                .map(|(version, files)| ((*version).to_owned(), files.iter().map(file).collect()))
                .collect();
            let mut document = json!({"info": serde_json::from_str::<Value>(info).unwrap()});
            if !releases.is_empty() {
                document["releases"] = releases.into();
            }
            let base = "http://index.test/pypi/a/json".parse().unwrap();
            let document = parse(document.to_string().as_bytes(), base).unwrap();
            document.standing_version().map(str::to_owned)
        };
        let two = |version: &str| Some(version.to_owned());
        assert_eq!(standing(r#"{"version":"2"}"#, &[]), two("2"));
        assert_eq!(standing(r#"{"version":"2","yanked":false}"#, &[("2", &[])]), two("2"));
        assert_eq!(standing(r#"{"version":"2"}"#, &[("2", &[true, false])]), two("2"));
        assert_eq!(standing(r#"{"version":"2","yanked":true}"#, &[]), None);
        assert_eq!(standing(r#"{"version":"2","yanked":true}"#, &[("2", &[true]), ("1", &[true])]), None);
        assert_eq!(standing(r#"{"version":"2"}"#, &[("2", &[true]), ("1", &[true, true])]), None);
        let others: [(&str, &[bool]); 3] = [("2", &[true]), ("1.9", &[false]), ("1.10", &[false, true])];
        assert_eq!(standing(r#"{"version":"2","yanked":true}"#, &others), two("1.10"));
        assert_eq!(standing(r#"{"version":null}"#, &others), None);
    }

    #[test]
    fn a_release_has_no_file_whose_name_leads_elsewhere() {
        let names = [r#""a-1.zip""#, r#""../a-1.zip""#, r#""/etc/a-1.zip""#, r#""..""#, r#""""#, "null", "3"];
        let file = |name| format!(r#"{{"filename":{name},"url":"http://index.test/packages/aa/a-1.zip"}}"#);
        let files = names.map(file).join(",");
        let document = format!(r#"{{"info":{{}},"releases":{{"1":[{files}]}}}}"#);
        let base = "http://index.test/pypi/a/json".parse().unwrap();
        let parsed = parse(document.as_bytes(), base).unwrap();
        let told = parsed.files("1", "http://relay.test").unwrap();
        assert_eq!(told.iter().map(|(file, ..)| &file["filename"]).collect::<Vec<_>>(), ["a-1.zip"]);
    }

    #[test]
    fn what_is_no_document_says_so() {
        for bad in ["", "[]", "{}", "<html>", r#"{"info":null}"#] {
            let error = parse(bad.as_bytes(), "http://index.test/".parse().unwrap()).unwrap_err();
            assert!(!error.contains("html"), "{error}");
        }
    }
}
