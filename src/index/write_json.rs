//! The model → PEP 691 pages, with files at our address.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::location;
use crate::model::Serial;
use crate::upstream::{CoreMetadata, PageFile, ProjectPage, ProjectStatus, Yanked};

#[derive(Serialize)]
struct Page<'a> {
    meta: Meta<'a>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    versions: &'a Option<Vec<String>>,
    #[serde(rename = "project-status", skip_serializing_if = "Option::is_none")]
    status: &'a Option<ProjectStatus>,
    files: Vec<File<'a>>,
    #[serde(flatten)]
    other: &'a Map<String, Value>,
}

#[derive(Serialize)]
struct Meta<'a> {
    #[serde(rename = "_last-serial", skip_serializing_if = "Option::is_none")]
    last_serial: Option<Serial>,
    #[serde(rename = "api-version")]
    api_version: String,
    #[serde(flatten)]
    other: &'a Map<String, Value>,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct File<'a> {
    filename: &'a str,
    url: String,
    hashes: &'a BTreeMap<String, String>,
    requires_python: &'a Option<String>,
    yanked: &'a Yanked,
    core_metadata: &'a CoreMetadata,
    /// PyPI's own older name. Never `dist-info-metadata`, PEP 691's: pip 22.3 to 23.0 stop at its digests
    /// (PEP 714).
    data_dist_info_metadata: &'a CoreMetadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload_time: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpg_sig: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provenance: Option<Value>,
    #[serde(flatten)]
    other: &'a Map<String, Value>,
}

impl Serialize for Yanked {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::No => serializer.serialize_bool(false),
            Self::Yes(None) => serializer.serialize_bool(true),
            Self::Yes(Some(reason)) => serializer.serialize_str(reason),
        }
    }
}

impl Serialize for CoreMetadata {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::No => serializer.serialize_bool(false),
            Self::Yes(hashes) if hashes.is_empty() => serializer.serialize_bool(true),
            Self::Yes(hashes) => hashes.serialize(serializer),
        }
    }
}

/// Writes the page for a client that knows us at `origin` (`http://host:port`).
pub(super) fn write(page: &ProjectPage, serial: Option<Serial>, origin: &str) -> serde_json::Result<Vec<u8>> {
    serde_json::to_vec(&Page {
        meta: Meta { last_serial: serial, api_version: format!("1.{}", page.api_minor), other: &page.meta },
        name: page.name.as_str(),
        versions: &page.versions,
        status: &page.status,
        files: page.files.iter().map(|one| file(one, page.api_minor, origin)).collect(),
        other: &page.other,
    })
}

fn file<'a>(file: &'a PageFile, minor: u32, origin: &str) -> File<'a> {
    let ours = file.provenance.as_deref().and_then(location::provenance_path);
    let provenance = match ours {
        Some(path) => Some(Value::String(format!("{origin}{path}"))),
        // PEP 740, api-version 1.3: the key is there, and null says that there is none.
        None => (minor >= 3).then_some(Value::Null),
    };
    File {
        filename: &file.filename,
        url: format!("{origin}/packages/{}", location::encoded(&file.path)),
        hashes: &file.hashes,
        requires_python: &file.requires_python,
        yanked: &file.yanked,
        core_metadata: &file.core_metadata,
        data_dist_info_metadata: &file.core_metadata,
        size: file.size,
        upload_time: &file.upload_time,
        gpg_sig: file.gpg_sig,
        provenance,
        other: &file.other,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::model::ProjectName;

    const JSON: &str = "application/vnd.pypi.simple.v1+json";

    #[test]
    fn what_upstream_says_is_said_again_with_files_at_our_address() {
        let hex = "ab".repeat(32);
        let upstream = json!({
            "meta": {"_last-serial": 7, "api-version": "1.4", "tracks": []},
            "name": "a-b", "versions": ["1"], "project-status": {"status": "active"},
            "files": [{
                "filename": "A b-1.whl", "url": "https://files.test/packages/aa/A%20b-1.whl", "hashes": {"sha256": hex},
                "requires-python": null, "yanked": "why", "core-metadata": {"sha256": hex},
                "data-dist-info-metadata": {"sha256": hex}, "size": 3, "upload-time": "2026-01-31T23:59:59.000000Z",
                "provenance": "https://index.test/integrity/a-b/1/A%20b-1.whl/provenance", "new-key": [1, null]
            }, {
                "filename": "a-2.zip", "url": "../../elsewhere/a-2.zip", "hashes": {}, "yanked": false, "core-metadata": false
            }],
            "alternate-locations": []
        });
        let name = ProjectName::parse("A.b").unwrap();
        let url = "https://index.test/simple/a-b/".parse().unwrap();
        let page = ProjectPage::read(&name, JSON, upstream.to_string().as_bytes(), &url).unwrap();
        let ours: Value =
            serde_json::from_slice(&write(&page, page.last_serial, "http://relay.test").unwrap()).unwrap();
        let mut expected = upstream;
        let files = &mut expected["files"];
        files[0]["url"] = json!("http://relay.test/packages/aa/A%20b-1.whl");
        files[0]["provenance"] = json!("http://relay.test/integrity/a-b/1/A%20b-1.whl/provenance");
        let second = format!("http://relay.test/packages/{}", location::encoded(&page.files[1].path));
        files[1]["url"] = json!(second);
        for (key, value) in [
            ("requires-python", json!(null)),
            ("data-dist-info-metadata", json!(false)),
            ("provenance", json!(null)),
        ] {
            files[1][key] = value;
        }
        assert_eq!(ours, expected);
    }

    #[test]
    fn one_bad_file_hides_no_other() {
        for bad in [
            r#"{"filename":"x","url":"http://[","hashes":{}}"#,
            r#"{"filename":"a-2.zip","url":"file:///packages/a-2.zip","hashes":{}}"#,
            r#"{"filename":null,"url":"https://files.test/packages/a-2.zip","hashes":{}}"#,
            r#"{"filename":"a-2.zip","url":"https://files.test/packages/a-2.zip","hashes":null}"#,
            r#"{"filename":"a-2.zip","url":"https://files.test/packages/a-2.zip","hashes":{},"size":"3"}"#,
            "null",
        ] {
            let good = r#"{"filename":"a-1.zip","url":"https://files.test/packages/a-1.zip","hashes":{}}"#;
            let body = format!(r#"{{"meta":{{"api-version":"1.1"}},"name":"a","files":[{bad},{good}]}}"#);
            let name = ProjectName::parse("a").unwrap();
            let page =
                ProjectPage::read(&name, JSON, body.as_bytes(), &"http://i.test/".parse().unwrap()).unwrap();
            let names: Vec<_> = page.files.iter().map(|file| file.filename.as_str()).collect();
            assert_eq!(names, ["a-1.zip"], "{bad}");
        }
        let other = br#"{"meta":{"api-version":"2.0"},"name":"a","files":[]}"#;
        assert!(
            ProjectPage::read(
                &ProjectName::parse("a").unwrap(),
                JSON,
                other,
                &"http://i.test/".parse().unwrap()
            )
            .is_err()
        );
    }
}
