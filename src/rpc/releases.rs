//! The removed methods about one project or release, revived from documents of the JSON API.

use std::sync::Arc;

use super::arguments::Arguments;
use super::{Rpc, release};
use crate::index::{IndexError, JsonDocument};
use crate::model::{AskedVersions, ProjectName, newest_first};
use crate::xmlrpc::{Fault, Value};

impl Rpc {
    pub(super) async fn package_releases(&self, arguments: &Arguments) -> Result<Value, Fault> {
        let Some(document) = self.document(arguments.text(0), None).await? else {
            return Ok(Value::Array(vec![]));
        };
        if arguments.flag(1) {
            return Ok(newest(&document).into_iter().collect());
        }
        Ok(document.version().into_iter().collect())
    }

    pub(super) async fn release_urls(&self, arguments: &Arguments, origin: &str) -> Result<Value, Fault> {
        let (name, version) = (arguments.text(0), arguments.text(1));
        // The project's document serves all questions about it, and not every index has one a release.
        let Some(project) = self.document(name, None).await? else { return Ok(Value::Array(vec![])) };
        let version = spelled(&project, version);
        let files = |document: &JsonDocument| {
            let files = document.files(version, origin)?;
            Some(files.into_iter().map(|(file, path, url)| release::file(file, path.as_str(), url)).collect())
        };
        if let Some(files) = files(&project) {
            return Ok(files);
        }
        let release = self.document(name, Some(version)).await?;
        Ok(release.and_then(|release| files(&release)).unwrap_or(Value::Array(vec![])))
    }

    pub(super) async fn release_data(&self, arguments: &Arguments) -> Result<Value, Fault> {
        let (name, version) = (arguments.text(0), arguments.text(1));
        let Some(project) = self.document(name, None).await? else { return Ok(Value::Struct(vec![])) };
        let version = spelled(&project, version);
        let versions = newest(&project);
        let place = versions.iter().position(|listed| *listed == version);
        let older = place.map_or(0, |newer| versions.len() - 1 - newer);
        let data = |document: &JsonDocument| {
            let info = &document.value["info"];
            // What is made of a page without metadata says which release it is, and nothing about it. Empty texts
            // in its place would be lies.
            if info.get("summary").is_none() {
                let message = "the index upstream tells no metadata of this release";
                return Err(Fault::raised("RuntimeError", message));
            }
            Ok(release::data(info, i64::try_from(older).unwrap_or(0)))
        };
        if project.version() == Some(version) {
            return data(&project);
        }
        match self.document(name, Some(version)).await? {
            Some(release) => data(&release),
            None => Ok(Value::Struct(vec![])),
        }
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

/// All versions of a project's document, newest first.
fn newest(project: &JsonDocument) -> Vec<&str> {
    let mut versions: Vec<&str> = project.versions().collect();
    newest_first(&mut versions, |version| version);
    versions
}
