//! DOAP records of releases.

use super::{OldAddresses, doap};
use crate::index::{IndexError, JsonDocument};
use crate::model::ProjectName;

/// A record.
#[derive(Debug, Clone)]
pub struct DoapRecord {
    /// In XML.
    pub body: String,
    /// What to save it as: `NAME-VERSION.xml`, of characters that need no quotes in a header field.
    pub filename: String,
}

impl OldAddresses {
    /// The record of a release, or of a project's latest one.
    pub async fn doap(&self, name: &ProjectName, version: Option<&str>) -> Result<DoapRecord, IndexError> {
        let project = self.0.index.json(name, None).await;
        // The project's document tells all of the release that it is about, and not every index has one a release.
        let document = match (project, version) {
            (Ok(project), None) => project,
            (Ok(project), Some(version)) if project.version() == Some(version) => project,
            (Err(error), None) => return Err(error),
            (Ok(_) | Err(_), Some(version)) => self.0.index.json(name, Some(version)).await?,
        };
        let JsonDocument { value, .. } = &*document;
        let info = &value["info"];
        let text = |field: &str| info[field].as_str().unwrap_or_default();
        let filename = format!("{}-{}.xml", plain(text("name")), plain(text("version")));
        Ok(DoapRecord { body: doap::write(info), filename })
    }
}

fn plain(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '+' | '!');
    text.chars().take(128).map(|c| if is_plain(c) { c } else { '_' }).collect()
}
