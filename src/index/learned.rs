//! What a document tells search.

use super::shared::Shared;
use super::{JsonDocument, LearnSettings};
use crate::journal::{Learned, TextField};
use crate::model::{ProjectName, Serial};

impl Shared {
    /// Learns from a document that is kept.
    pub(super) async fn learn(&self, project: &ProjectName, document: &JsonDocument, serial: Option<Serial>) {
        let learned = learned(project, document, serial, &self.settings.learn);
        if let Err(error) = self.journal.learn(vec![learned]).await {
            tracing::error!(%project, %error, "search cannot learn from a document");
        }
    }
}

/// What a document tells.
pub(super) fn learned(
    project: &ProjectName,
    document: &JsonDocument,
    serial: Option<Serial>,
    settings: &LearnSettings,
) -> Learned {
    let info = &document.value["info"];
    let text = |field: TextField| {
        let most = match field {
            TextField::Description => settings.description_bytes,
            TextField::Summary
            | TextField::Keywords
            | TextField::Author
            | TextField::AuthorEmail
            | TextField::Maintainer
            | TextField::MaintainerEmail
            | TextField::HomePage
            | TextField::License
            | TextField::Platform
            | TextField::DownloadUrl => settings.text_bytes,
        };
        let mut text = info[field.name()].as_str().unwrap_or("").to_owned();
        if field == TextField::License {
            // What newer projects state instead.
            text.extend([" ", info["license_expression"].as_str().unwrap_or("")]);
        }
        text.truncate(text.floor_char_boundary(most));
        text
    };
    let version = document.version().unwrap_or("").to_owned();
    let mut versions: Vec<String> = document.versions().map(str::to_owned).collect();
    if versions.is_empty() && !version.is_empty() {
        versions.push(version.clone());
    }
    let texts = TextField::ALL.map(|field| (field, text(field)));
    Learned {
        project: project.clone(),
        serial,
        version,
        versions,
        summary: text(TextField::Summary),
        texts: texts.into(),
    }
}
