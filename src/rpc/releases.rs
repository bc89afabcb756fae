//! The removed methods about one project or release, revived from documents of the JSON API.

use std::sync::Arc;

use super::arguments::Arguments;
use super::{Rpc, release};
use crate::index::{IndexError, JsonDocument};
use crate::model::{ProjectName, newest_first};
use crate::xmlrpc::{Fault, Value};

impl Rpc {
    pub(super) async fn package_releases(&self, arguments: &Arguments) -> Result<Value, Fault> {
        let Some(document) = self.document(arguments.text(0), None).await? else {
            return Ok(Value::Array(vec![]));
        };
        if !arguments.flag(1) {
            let latest = document.value["info"]["version"].as_str();
            return Ok(latest.into_iter().collect());
        }
        Ok(versions(&document).into_iter().collect())
    }

    pub(super) async fn release_urls(&self, arguments: &Arguments, origin: &str) -> Result<Value, Fault> {
        let document = self.document(arguments.text(0), Some(arguments.text(1))).await?;
        let files = document.iter().flat_map(|document| document.urls(origin));
        Ok(files.map(|(file, path, url)| release::file(file, path.as_str(), url)).collect())
    }

    pub(super) async fn release_data(&self, arguments: &Arguments) -> Result<Value, Fault> {
        let (name, version) = (arguments.text(0), arguments.text(1));
        // The project's own document is asked for only to tell how many releases are older.
        let (release, project) = tokio::join!(self.document(name, Some(version)), self.document(name, None));
        let Some(release) = release? else { return Ok(Value::Struct(vec![])) };
        let info = &release.value["info"];
        let versions =
            project?.map(|project| versions(&project).iter().map(|v| (*v).to_owned()).collect::<Vec<_>>());
        let newer =
            versions.as_ref().and_then(|versions| versions.iter().position(|v| info["version"] == **v));
        let older = versions.iter().map(Vec::len).sum::<usize>().saturating_sub(newer.unwrap_or(0) + 1);
        Ok(release::data(info, i64::try_from(older).unwrap_or(i64::MAX)))
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

/// All versions of a project's document, newest first.
fn versions(document: &JsonDocument) -> Vec<&str> {
    let releases = document.value["releases"].as_object().into_iter().flatten();
    let mut versions: Vec<&str> = releases.map(|(version, _)| version.as_str()).collect();
    newest_first(&mut versions, |version| version);
    versions
}
