//! The model → PEP 691 pages, with files at our address.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};

use super::location;
use super::text::{Draft, Ours, Text};
use crate::model::Serial;
use crate::upstream::{CoreMetadata, Others, PageFile, ProjectPage, ProjectStatus, Yanked};

#[derive(Serialize)]
struct PageBody<'a> {
    meta: Meta<'a>,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    versions: &'a Option<Vec<String>>,
    #[serde(rename = "project-status", skip_serializing_if = "Option::is_none")]
    status: &'a Option<ProjectStatus>,
    files: Files<'a>,
    #[serde(flatten)]
    other: &'a Others,
}

#[derive(Serialize)]
struct Meta<'a> {
    #[serde(rename = "_last-serial", skip_serializing_if = "Option::is_none")]
    last_serial: Option<Serial>,
    #[serde(rename = "api-version")]
    api_version: String,
    #[serde(flatten)]
    other: &'a Others,
}

#[derive(Serialize)]
#[serde(rename_all = "kebab-case")]
struct File<'a> {
    filename: &'a str,
    url: Ours<'a>,
    hashes: &'a BTreeMap<String, String>,
    requires_python: &'a Option<String>,
    #[serde(serialize_with = "yanked")]
    yanked: &'a Yanked,
    #[serde(serialize_with = "core_metadata")]
    core_metadata: &'a CoreMetadata,
    /// PyPI's own older name. Never `dist-info-metadata`, PEP 691's: pip 22.3 to 23.0 stop at its digests
    /// (PEP 714).
    #[serde(serialize_with = "core_metadata")]
    data_dist_info_metadata: &'a CoreMetadata,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    upload_time: &'a Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gpg_sig: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provenance: Option<Provenance<'a>>,
    #[serde(flatten)]
    other: &'a Others,
}

/// Where a provenance is with us, or null.
#[derive(Serialize)]
#[serde(untagged)]
enum Provenance<'a> {
    Ours(Ours<'a>),
    None,
}

/// `false`, `true`, or the reason.
fn yanked<S: Serializer>(yanked: &Yanked, serializer: S) -> Result<S::Ok, S::Error> {
    match yanked {
        Yanked::No => serializer.serialize_bool(false),
        Yanked::Yes(None) => serializer.serialize_bool(true),
        Yanked::Yes(Some(reason)) => serializer.serialize_str(reason),
    }
}

/// `false`, `true`, or the digests.
fn core_metadata<S: Serializer>(advertised: &CoreMetadata, serializer: S) -> Result<S::Ok, S::Error> {
    match advertised {
        CoreMetadata::No => serializer.serialize_bool(false),
        CoreMetadata::Yes(hashes) if hashes.is_empty() => serializer.serialize_bool(true),
        CoreMetadata::Yes(hashes) => hashes.serialize(serializer),
    }
}

/// Writes the page.
pub(super) fn write(page: &ProjectPage, serial: Option<Serial>) -> serde_json::Result<Text> {
    let draft = Draft::default();
    draft.write(&PageBody {
        meta: Meta { last_serial: serial, api_version: format!("1.{}", page.api_minor), other: &page.meta },
        name: page.name.as_str(),
        versions: &page.versions,
        status: &page.status,
        files: Files { page, draft: &draft },
        other: &page.other,
    })?;
    Ok(draft.finish())
}

/// The files of a page, of which one at a time is made ready to be written.
struct Files<'a> {
    page: &'a ProjectPage,
    draft: &'a Draft,
}

impl Serialize for Files<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.page.files.iter().map(|one| file(one, self.page.api_minor, self.draft)))
    }
}

fn file<'a>(file: &'a PageFile, minor: u32, draft: &'a Draft) -> File<'a> {
    let provenance = match file.provenance.as_deref().and_then(location::provenance_path) {
        Some(path) => Some(Provenance::Ours(draft.ours(path))),
        // PEP 740, api-version 1.3: the key is there, and null says that there is none.
        None => (minor >= 3).then_some(Provenance::None),
    };
    let mut path = format!("/packages/{}", location::encoded(&file.path));
    if let Some(fragment) = &file.fragment {
        path.push('#');
        path.push_str(fragment);
    }
    File {
        filename: &file.filename,
        url: draft.ours(path),
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
    use serde_json::{Value, json};

    use super::*;
    use crate::model::ProjectName;
    use crate::upstream::Format;

    #[test]
    fn what_upstream_says_is_said_again_with_files_at_our_address() {
        let hex = "ab".repeat(32);
        let upstream = json!({
            "meta": {"_last-serial": 7, "api-version": "1.4", "tracks": []},
            "name": "a-b", "versions": ["1"], "project-status": {"status": "active"},
            "files": [{
                "filename": "A b-1.whl", "url": "/packages/aa/A%20b-1.whl", "hashes": {"sha256": hex},
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
        let page =
            ProjectPage::read_as(Format::Json, &name, upstream.to_string().as_bytes(), &url, usize::MAX)
                .unwrap();
        let text = write(&page, page.last_serial).unwrap();
        let ours: Value = serde_json::from_slice(&text.whole("http://relay.test")).unwrap();
        let mut expected = upstream;
        let files = &mut expected["files"];
        let first = page.files[0].path.to_string().replace(' ', "%20");
        files[0]["url"] = json!(format!("http://relay.test/packages/{first}"));
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
}
