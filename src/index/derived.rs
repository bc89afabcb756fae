//! Documents of the JSON API for an upstream that lacks them: made of its simple pages and of core metadata.
//!
//! Not every index has the JSON API, and some have a document a project and none a release. What a page tells of
//! files is most of what such a document says of them; the rest is in `.metadata` (PEP 658), where a file has one.
//! Of a release without, `info` says which it is and nothing more.

use std::collections::HashMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tokio::task::spawn_blocking;

use super::source::Documents;
use super::{Index, IndexError, JsonDocument, core_metadata};
use crate::model::{
    AskedVersions, FileHasher, FileKind, FilePath, KnownVersions, ProjectName, Serial, Stamp, latest,
    version_of, wheel_tag,
};
use crate::upstream::{
    CoreMetadata, Document, PageFile, ProjectPage, Share, UpstreamError, Yanked, strongest,
};

/// A page by its releases.
struct Outline {
    page: Arc<ProjectPage>,
    /// Versions in upstream's order, each with the places of its files on the page.
    releases: Vec<(String, Vec<usize>)>,
}

/// A release as a page tells it.
struct Release<'a> {
    version: &'a str,
    files: Vec<&'a PageFile>,
}

impl Index {
    /// All versions that a project's page tells, in its order, for a JSON document that lists none; empty if there is no
    /// such page.
    pub async fn versions_of_page(&self, project: &ProjectName) -> Result<Vec<String>, IndexError> {
        let page = match self.held_page(project).await {
            Ok(page) => page.content.clone(),
            Err(IndexError::NoSuchProject) => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        Ok(versions(page).await?.1)
    }
}

/// The version of a page that an installer would take, and all of them.
pub(super) async fn versions(page: Arc<ProjectPage>) -> Result<(Option<String>, Vec<String>), IndexError> {
    let read = || {
        let outline = Outline::of(page);
        let newest = outline.newest().map(|release| release.version.to_owned());
        (newest, outline.releases.into_iter().map(|(version, _)| version).collect())
    };
    spawn_blocking(read).await.map_err(|_| IndexError::Lost)
}

impl Documents<JsonDocument> {
    /// The document under a key of the JSON API; `None` if upstream's page knows no such project or release.
    pub(super) async fn made(
        &self,
        project: &ProjectName,
        version: Option<&str>,
    ) -> Result<Option<Document>, IndexError> {
        let page = match self.beside.page(project).await {
            Ok(page) => page,
            Err(IndexError::NoSuchProject) => return Ok(None),
            Err(error) => return Err(error),
        };
        // The largest pages have ten thousand files: not on the reactor.
        let content = self.shared.with_sizes_and_times(page.content.clone()).await?;
        let outline = spawn_blocking(move || Outline::of(content)).await.map_err(|_| IndexError::Lost)?;
        let release = match version {
            Some(version) => outline.release(version),
            None => outline.newest(),
        };
        let Some(release) = release else { return Ok(None) };
        let row = self.shared.journal.project(project).await?;
        let spelling = row.map_or_else(|| project.to_string(), |row| row.spelling);
        let info = self.info(project, &spelling, &release).await?;
        let mut document = json!({"info": info, "urls": release.objects()});
        if let Some(serial) = page.last_serial {
            document["last_serial"] = serial.0.into();
        }
        let all = version.is_none();
        let written = spawn_blocking(move || {
            if all {
                let releases = outline.all().map(|release| (release.version.to_owned(), release.objects()));
                document["releases"] = Value::Object(releases.collect());
            }
            document.to_string()
        });
        tracing::debug!(%project, ?version, "a JSON document was made of a page and of metadata");
        Ok(Some(Document {
            body: written.await.map_err(|_| IndexError::Lost)?.into(),
            content_type: "application/json".to_owned(),
            validators: Box::default(),
            last_serial: page.last_serial,
            url: self.shared.upstream.json_address(project, version),
            share: Share::default(),
        }))
    }

    /// A document of upstream's with what it lacks added from the project's page: a project's `releases`, `urls`, and which
    /// release it is about. `None` if it lacks nothing. Without the page it is not known what is missing: then the page's
    /// failure is the document's, since a list that lacks releases would be taken for the whole.
    pub(super) async fn with_releases(
        &self,
        project: &ProjectName,
        version: Option<&str>,
        json: &JsonDocument,
        last_serial: Option<Serial>,
    ) -> Result<Option<Document>, IndexError> {
        if !json.lacks(version.is_none()) {
            return Ok(None);
        }
        let page = match self.beside.page(project).await {
            Ok(page) => Some(self.shared.with_sizes_and_times(page.content.clone()).await?),
            Err(IndexError::NoSuchProject) => None,
            Err(error) => return Err(error),
        };
        let (mut value, whole) = (json.value.clone(), version.is_none());
        let base = json.base.clone();
        let body = spawn_blocking(move || {
            complete(&mut value, page.map(Outline::of).as_ref(), whole);
            value.to_string().into()
        });
        tracing::debug!(%project, ?version, "a JSON document was completed from a page");
        Ok(Some(Document {
            body: body.await.map_err(|_| IndexError::Lost)?,
            content_type: "application/json".to_owned(),
            // Its page changes without it.
            validators: Box::default(),
            last_serial,
            url: base,
            share: Share::default(),
        }))
    }

    /// What the release's metadata says, or else which release it is.
    async fn info(
        &self,
        project: &ProjectName,
        spelling: &str,
        release: &Release<'_>,
    ) -> Result<Map<String, Value>, IndexError> {
        let mut info = Map::new();
        for file in &release.files {
            if let Some(found) = self.metadata(project, file).await? {
                info = found;
                break;
            }
        }
        let requires_python = release.files.iter().find_map(|file| file.requires_python.clone());
        info.insert("name".to_owned(), spelling.into());
        info.insert("version".to_owned(), release.version.into());
        if !info.contains_key("requires_python") {
            info.insert("requires_python".to_owned(), requires_python.into());
        }
        let (yanked, reason) = release.yanked();
        info.insert("yanked".to_owned(), yanked.into());
        info.insert("yanked_reason".to_owned(), reason.into());
        Ok(info)
    }

    /// A file's metadata, if it is advertised, there, and what its digest says.
    async fn metadata(
        &self,
        project: &ProjectName,
        file: &PageFile,
    ) -> Result<Option<Map<String, Value>>, IndexError> {
        let CoreMetadata::Yes(hashes) = &file.core_metadata else { return Ok(None) };
        let url = super::location::metadata_url(&file.url);
        let stated = strongest(hashes);
        let fetched = match self.shared.upstream.check_clear_text(&url, stated.as_ref()) {
            Ok(()) => self.shared.upstream.metadata(&url).await,
            Err(refused) => Err(refused),
        };
        let bytes = match fetched {
            Ok(bytes) => bytes,
            // Advertised, and not to be had: another file of the release may have it.
            Err(UpstreamError::Refused(_)) => return Ok(None),
            Err(UpstreamError::Absent(status)) => {
                if let Ok(path) = FilePath::parse(&format!("{}.metadata", file.path)) {
                    let reason = format!("upstream answered {status} to {}", path.filename());
                    self.shared
                        .note_absent(&path, project, reason, self.shared.settings.absent_metadata_max_age)
                        .await;
                }
                return Ok(None);
            }
            Err(error) => return Err(error.into()),
        };
        if let Some(stated) = stated {
            let mut found = FileHasher::new(stated.algorithm());
            found.update(&bytes);
            let found = found.digest();
            if stated != found {
                tracing::warn!(file = file.filename, %stated, %found, "metadata with a wrong digest is not used");
                return Ok(None);
            }
        }
        match core_metadata::info(&bytes) {
            Ok(info) => Ok(Some(info)),
            Err(complaint) => {
                tracing::warn!(file = file.filename, complaint, "metadata is not used");
                Ok(None)
            }
        }
    }
}

/// Adds what a document lacks. `whole`: it is a project's.
fn complete(document: &mut Value, outline: Option<&Outline>, whole: bool) {
    if !document["info"]["version"].is_string()
        && let Some(newest) = outline.and_then(Outline::newest)
    {
        document["info"]["version"] = newest.version.into();
    }
    let version = document["info"]["version"].as_str().map(str::to_owned);
    if !document["urls"].is_array() {
        let listed = version.as_deref().and_then(|version| document["releases"].get(version)).cloned();
        let release = || {
            let version = version.as_deref()?;
            Some(outline?.release(version)?.objects())
        };
        document["urls"] = listed.or_else(release).unwrap_or_else(|| json!([]));
    }
    if whole && !document["releases"].is_object() {
        let named = outline.into_iter().flat_map(Outline::all);
        let mut releases: Map<String, Value> =
            named.map(|release| (release.version.to_owned(), release.objects())).collect();
        // What it lists itself is as new as it is; files' objects are the page's.
        let listed = document["versions"].as_array().filter(|listed| !listed.is_empty());
        if let Some(listed) = listed {
            let of_page = |version: &str| releases.get(version).cloned().unwrap_or_else(|| json!([]));
            let listed = listed.iter().filter_map(Value::as_str);
            releases = listed.map(|version| (version.to_owned(), of_page(version))).collect();
        }
        // What the document itself says of its release is more.
        if let Some(version) = version {
            let asked = AskedVersions::new([version.as_str()]);
            let spelled = releases.keys().find(|listed| asked.have(listed)).cloned();
            releases.insert(spelled.unwrap_or(version), document["urls"].clone());
        }
        document["releases"] = Value::Object(releases);
    }
}

impl Outline {
    /// Versions are those listed (PEP 700), and those that only files' names tell.
    fn of(page: Arc<ProjectPage>) -> Self {
        let mut versions = KnownVersions::new(page.versions.iter().flatten().cloned());
        let mut files: HashMap<String, Vec<usize>> = HashMap::new();
        for (at, file) in page.files.iter().enumerate() {
            let Some(version) = version_of(&file.filename, &page.name, &versions) else { continue };
            if !versions.lists(&version) {
                versions.push(version.clone());
            }
            files.entry(version).or_default().push(at);
        }
        let versions = versions.into_vec();
        let with_files = |version: String| {
            let own = files.remove(&version).unwrap_or_default();
            (version, own)
        };
        let releases = versions.into_iter().map(with_files).collect();
        Self { page, releases }
    }

    fn all(&self) -> impl Iterator<Item = Release<'_>> {
        self.releases.iter().map(|(version, files)| {
            let files = files.iter().filter_map(|&at| self.page.files.get(at)).collect();
            Release { version, files }
        })
    }

    /// The first release that is this version, in any spelling.
    fn release(&self, version: &str) -> Option<Release<'_>> {
        let asked = AskedVersions::new([version]);
        self.all().find(|release| asked.have(release.version))
    }

    /// What an installer would take: the newest final release that is not yanked.
    fn newest(&self) -> Option<Release<'_>> {
        let standing =
            latest(self.all().filter(|release| !release.yanked().0).map(|release| release.version));
        let newest = standing.or_else(|| latest(self.all().map(|release| release.version)))?;
        self.all().find(|release| release.version == newest)
    }
}

impl Release<'_> {
    /// Whether every file is yanked, and why.
    fn yanked(&self) -> (bool, Option<String>) {
        let all = !self.files.is_empty() && self.files.iter().all(|file| file.yanked != Yanked::No);
        let reason = self.files.iter().find_map(|file| match &file.yanked {
            Yanked::Yes(reason) => reason.clone(),
            Yanked::No => None,
        });
        (all, reason.filter(|_| all))
    }

    /// The files as the JSON API has them.
    fn objects(&self) -> Value {
        self.files.iter().map(|file| object(file)).collect()
    }
}

fn object(file: &PageFile) -> Value {
    let kind = FileKind::of(&file.filename).ok();
    let python = match kind {
        Some(FileKind::Sdist) => "source",
        Some(FileKind::Wheel) => wheel_tag(&file.filename).unwrap_or(""),
        Some(_) | None => "",
    };
    let (yanked, reason) = match &file.yanked {
        Yanked::No => (false, None),
        Yanked::Yes(reason) => (true, reason.clone()),
    };
    // No client is ready for a document without them: -1 as calls have it, and a time that nobody takes for a real one.
    let size = file.size.map_or_else(|| json!(-1), Value::from);
    let time = file.upload_time.as_deref().unwrap_or("1970-01-01T00:00:00.000000Z");
    json!({
        "comment_text": "",
        "digests": file.hashes,
        "downloads": -1,
        "filename": file.filename,
        "has_sig": file.gpg_sig.unwrap_or(false),
        "md5_digest": file.hashes.get("md5"),
        "packagetype": kind.map_or("", FileKind::packagetype),
        "python_version": python,
        "requires_python": file.requires_python,
        "size": size,
        // JSON API's second form is to the second, in UTC, and has no zone.
        "upload_time": Stamp::parse(time).map(Stamp::json_seconds),
        "upload_time_iso_8601": time,
        "url": file.url.as_str(),
        "yanked": yanked,
        "yanked_reason": reason,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::same_version;

    #[test]
    fn versions_are_read_once_for_each_file_and_not_once_for_each_pair() {
        use crate::model::READ;
        let read = |releases: usize, listed: bool| {
            let files: Vec<_> = (0..releases)
                .map(|at| json!({"filename": format!("a-1.{at}.0.zip"), "url": format!("/packages/a-1.{at}.0.zip"), "hashes": {}}))
                .collect();
            let mut page = json!({"meta": {"api-version": "1.1"}, "name": "a", "files": files});
            if listed {
                // In another spelling than the files have.
                page["versions"] = (0..releases).map(|at| format!("1.{at}")).collect();
            }
            let (name, url) =
                (ProjectName::parse("a").unwrap(), "http://index.test/simple/a/".parse().unwrap());
            let page =
                ProjectPage::read(&name, "json", page.to_string().as_bytes(), &url, usize::MAX).unwrap();
            READ.with(|read| read.set(0));
            let outline = Outline::of(Arc::new(page));
            assert_eq!(outline.releases.len(), releases);
            let newest = format!("1.{}", releases - 1);
            assert!(same_version(outline.newest().unwrap().version, &newest));
            let mut document = json!({"info": {"version": newest}});
            complete(&mut document, Some(&outline), true);
            assert_eq!(document["releases"].as_object().unwrap().len(), releases);
            READ.with(std::cell::Cell::get)
        };
        for listed in [false, true] {
            let (some, more) = (read(100, listed), read(400, listed));
            assert!(more <= 5 * some, "{some} for 100 releases, {more} for 400");
        }
    }

    #[test]
    fn the_time_without_a_zone_is_in_utc() {
        let page = json!({"meta": {"api-version": "1.1"}, "name": "a", "versions": ["1"], "files": [{
            "filename": "a-1.zip", "url": "/packages/a-1.zip", "hashes": {}, "size": 1,
            "upload-time": "2026-02-01T00:59:59.5+01:00"}]});
        let (name, url) = (ProjectName::parse("a").unwrap(), "http://index.test/simple/a/".parse().unwrap());
        let page = ProjectPage::read(&name, "json", page.to_string().as_bytes(), &url, usize::MAX).unwrap();
        let files = Outline::of(Arc::new(page)).newest().unwrap().objects();
        assert_eq!(files[0]["upload_time"], "2026-01-31T23:59:59");
        assert_eq!(files[0]["upload_time_iso_8601"], "2026-02-01T00:59:59.5+01:00");
    }
}
