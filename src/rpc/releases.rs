//! The removed methods about one project or release, revived from documents of the JSON API.

use std::sync::Arc;

use super::arguments::Arguments;
use super::statistics::count_of;
use super::{Rpc, release};
use crate::index::{IndexError, JsonDocument};
use crate::model::{AskedVersions, ProjectName, latest, newest_first, same_version};
use crate::xmlrpc::{Fault, Value};

impl Rpc {
    pub(super) async fn package_releases(&self, arguments: &Arguments) -> Result<Value, Fault> {
        let Some(document) = self.document(arguments.text(0), None).await? else {
            return Ok(Value::Array(vec![]));
        };
        if arguments.flag(1) {
            return Ok(self.newest(arguments.text(0), &document).await?.into_iter().collect());
        }
        if document.version().is_some() {
            return Ok(document.standing_version().into_iter().collect());
        }
        let versions = self.newest(arguments.text(0), &document).await?;
        Ok(latest(versions.iter().map(String::as_str)).into_iter().collect())
    }

    pub(super) async fn release_urls(&self, arguments: &Arguments, origin: &str) -> Result<Value, Fault> {
        let (name, version) = (arguments.text(0), arguments.text(1));
        let Some((document, version)) = self.release_document(name, version).await? else {
            return Ok(Value::Array(vec![]));
        };
        let counts = self.downloads_if_known(name).await;
        let downloads = |file: &serde_json::Value| {
            counts.as_ref().map_or(-1, |counts| count_of(counts, file["filename"].as_str().unwrap_or("")))
        };
        let files = document.files(&version, origin).unwrap_or_default();
        let file = |(file, path, url): (_, _, _)| {
            let path: crate::model::FilePath = path;
            release::file(file, path.as_str(), url, downloads(file))
        };
        Ok(files.into_iter().map(file).collect())
    }

    /// The document that has the files of a release, and the version as it spells it.
    pub(super) async fn release_document(
        &self,
        name: &str,
        version: &str,
    ) -> Result<Option<(Arc<JsonDocument>, String)>, Fault> {
        // The project's document serves all questions about it, and not every index has one a release.
        let Some(project) = self.document(name, None).await? else { return Ok(None) };
        let version = spelled(&project, version).to_owned();
        if project.files(&version, "").is_some() {
            return Ok(Some((project, version)));
        }
        let Some(release) = self.document(name, Some(&version)).await? else { return Ok(None) };
        // It is about what was asked for, in a spelling of its own.
        let version = release.version().filter(|version| release.files(version, "").is_some());
        Ok(version.map(str::to_owned).map(|version| (release, version)))
    }

    pub(super) async fn release_data(&self, arguments: &Arguments) -> Result<Value, Fault> {
        let (name, version) = (arguments.text(0), arguments.text(1));
        let Some(project) = self.document(name, None).await? else { return Ok(Value::Struct(vec![])) };
        let version = spelled(&project, version);
        let versions = self.newest(name, &project).await?;
        let place = versions.iter().position(|listed| *listed == version);
        let older = place.map_or(0, |newer| versions.len() - 1 - newer);
        let downloads = self.recent_downloads(name).await;
        let data = |document: &JsonDocument| {
            let info = &document.value["info"];
            // What is made of a page without metadata says which release it is, and nothing about it. Empty texts
            // in its place would be lies.
            if info.get("summary").is_none() {
                let message = "the index upstream tells no metadata of this release";
                return Err(Fault::raised("RuntimeError", message));
            }
            Ok(release::data(info, i64::try_from(older).unwrap_or(0), downloads))
        };
        if project.version() == Some(version) {
            return data(&project);
        }
        match self.document(name, Some(version)).await? {
            Some(release) => data(&release),
            None => Ok(Value::Struct(vec![])),
        }
    }

    /// All versions of a project, newest first: those of its document, or where that lists none those of its page.
    async fn newest(&self, name: &str, project: &JsonDocument) -> Result<Vec<String>, Fault> {
        let mut versions: Vec<String> = project.versions().map(str::to_owned).collect();
        if versions.is_empty()
            && let Ok(name) = ProjectName::parse(name)
        {
            versions = self.0.index.versions_of_page(&name).await?;
            let own = project.version().filter(|own| !versions.iter().any(|other| same_version(own, other)));
            versions.extend(own.map(str::to_owned));
        }
        newest_first(&mut versions, |version| version);
        Ok(versions)
    }

    /// A document of the JSON API; `None` if there is no such project or release, or can be none of that name.
    pub(super) async fn document(
        &self,
        name: &str,
        version: Option<&str>,
    ) -> Result<Option<Arc<JsonDocument>>, Fault> {
        let Ok(name) = ProjectName::parse(name) else { return Ok(None) };
        match self.0.index.json(&name, version).await {
            Ok(document) => Ok(Some(document)),
            Err(IndexError::NoSuchProject | IndexError::NoSuchRelease) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }
}

/// A version as the project's document spells it: `1` is its `1.0`. One that it does not list stays as it is.
fn spelled<'a>(project: &'a JsonDocument, version: &'a str) -> &'a str {
    let mut listed = project.versions().chain(project.version());
    if listed.clone().any(|listed| listed == version) {
        return version;
    }
    let asked = AskedVersions::new([version]);
    listed.find(|listed| asked.have(listed)).unwrap_or(version)
}
