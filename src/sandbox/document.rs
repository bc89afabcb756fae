//! `/pypi/NAME/json` and `/pypi/NAME/VERSION/json`, with today's fields.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::model::{Serial, Stamp};

use super::info::Info;
use super::page::Origins;
use super::project::{Project, Release, Upload};

/// The document of a release; with `releases` if it is the project's. Keys in Warehouse's order.
pub(super) fn json(
    project: &Project,
    release: &Release,
    whole: bool,
    serial: Option<Serial>,
    origins: &Origins,
) -> Value {
    let mut document = Map::new();
    document.insert("info".to_owned(), info(project, release, origins));
    if let Some(serial) = serial {
        document.insert("last_serial".to_owned(), json!(serial));
    }
    let ownership = json!({ "organization": project.organization, "roles": project.roles });
    document.insert("ownership".to_owned(), ownership);
    if whole {
        // Warehouse sorts keys as text.
        let releases: BTreeMap<&str, Value> =
            project.shown().map(|release| (release.version.as_str(), files(release, origins))).collect();
        document.insert("releases".to_owned(), json!(releases));
    }
    document.insert("urls".to_owned(), files(release, origins));
    document.insert("vulnerabilities".to_owned(), json!([]));
    Value::Object(document)
}

fn info(project: &Project, release: &Release, origins: &Origins) -> Value {
    let info = &release.info;
    let list = |items: &[String]| (!items.is_empty()).then(|| items.to_vec());
    let page = format!("{}project/{}/", origins.index, project.name);
    json!({
        "author": info.author,
        "author_email": info.author_email,
        "bugtrack_url": info.bugtrack_url,
        "classifiers": info.classifiers,
        "description": info.description,
        "description_content_type": info.description_content_type,
        "docs_url": info.docs_url,
        "download_url": info.download_url,
        "downloads": { "last_day": -1, "last_month": -1, "last_week": -1 },
        "dynamic": list(&info.dynamic),
        "home_page": info.home_page,
        "keywords": info.keywords,
        "license": info.license,
        "license_expression": info.license_expression,
        "license_files": list(&info.license_files),
        "maintainer": info.maintainer,
        "maintainer_email": info.maintainer_email,
        "name": project.name,
        "package_url": page,
        "platform": info.platform,
        "project_url": page,
        "project_urls": links(info),
        "provides_extra": list(&info.provides_extra),
        "release_url": format!("{page}{}/", release.version),
        "requires_dist": list(&info.requires_dist),
        "requires_python": info.requires_python,
        "summary": info.summary,
        "version": release.version,
        "yanked": release.yanked.is_some(),
        "yanked_reason": reason(release),
    })
}

/// The declared links, and the home page and the download address under Warehouse's own labels. `null` for none.
fn links(info: &Info) -> Option<BTreeMap<&str, &str>> {
    let own = [("Homepage", &info.home_page), ("Download", &info.download_url)];
    let own = own.into_iter().filter_map(|(label, url)| Some((label, url.as_deref()?)));
    let declared = info.project_urls.iter().map(|(label, url)| (label.as_str(), url.as_str()));
    let links: BTreeMap<&str, &str> = own.filter(|(_, url)| !url.is_empty()).chain(declared).collect();
    (!links.is_empty()).then_some(links)
}

fn files(release: &Release, origins: &Origins) -> Value {
    let file = |Upload { time, file }: &Upload| {
        let stamp = Stamp::from_unix(*time);
        json!({
            "comment_text": file.comment,
            "core-metadata": super::page::core_metadata(file),
            "digests": {
                "blake2b_256": file.digests.blake2b_256,
                "md5": file.digests.md5,
                "sha256": file.digests.sha256,
            },
            "downloads": -1,
            "filename": file.filename,
            "has_sig": false,
            "md5_digest": file.digests.md5,
            "packagetype": file.kind.packagetype(),
            "python_version": file.tag,
            "requires_python": file.requires_python,
            "size": file.content.size(),
            "upload_time": stamp.map(Stamp::json_seconds),
            "upload_time_iso_8601": stamp.map(Stamp::rfc3339_micros),
            "url": origins.file(file),
            "yanked": release.yanked.is_some(),
            "yanked_reason": reason(release),
        })
    };
    release.files.iter().map(file).collect()
}

/// `null` where none was given, as Warehouse has it.
fn reason(release: &Release) -> Option<&str> {
    release.yanked.as_deref().filter(|reason| !reason.is_empty())
}
