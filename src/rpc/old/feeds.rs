//! Feeds of releases and projects.

use std::sync::Arc;

use bytes::Bytes;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use sha2::{Digest as _, Sha256};
use tokio::task::spawn_blocking;

use super::OldAddresses;
use super::rss::{Channel, Item, write};
use crate::index::{IndexError, JsonDocument};
use crate::journal::{Recent, RecentKind};
use crate::model::{ProjectName, Stamp};

/// Items of a feed of releases.
const RELEASES: usize = 100;
/// Items of a feed of projects.
const PROJECTS: usize = 40;

/// What a name or a version may have as it is in an address.
const SEGMENT: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'+').remove(b'!');

/// A feed in XML.
#[derive(Debug, Clone)]
pub struct FeedDocument {
    /// All of it.
    pub body: Bytes,
    /// Its strong validator, with its quotes.
    pub etag: String,
}

impl FeedDocument {
    fn new(channel: &Channel<'_>) -> Self {
        let body = write(channel);
        let etag = format!("\"{}\"", hex::encode(&Sha256::digest(&body)[..16]));
        Self { body: body.into(), etag }
    }
}

impl OldAddresses {
    /// The newest releases, for a client that knows us at `origin`.
    pub async fn newest_releases(&self, origin: &str) -> Result<FeedDocument, IndexError> {
        let recent = self.recent(RecentKind::Releases, RELEASES).await?;
        let item = |recent: &Recent| {
            let version = recent.version.as_deref().unwrap_or_default();
            let title = format!("{} {version}", recent.name);
            item(title, page(origin, &recent.name, Some(version)), recent)
        };
        Ok(FeedDocument::new(&Channel {
            title: "Newest releases",
            description: "The newest releases of the package index that this relay serves",
            link: format!("{origin}/rss/updates.xml"),
            items: recent.iter().map(item).collect(),
        }))
    }

    /// The newest projects, likewise.
    pub async fn newest_projects(&self, origin: &str) -> Result<FeedDocument, IndexError> {
        let recent = self.recent(RecentKind::Projects, PROJECTS).await?;
        let item = |recent: &Recent| {
            let title = format!("{} added to PyPI", recent.name);
            item(title, page(origin, &recent.name, None), recent)
        };
        Ok(FeedDocument::new(&Channel {
            title: "Newest projects",
            description: "The newest projects of the package index that this relay serves",
            link: format!("{origin}/rss/packages.xml"),
            items: recent.iter().map(item).collect(),
        }))
    }

    /// The newest releases of a project, likewise, by its document.
    pub async fn releases_of(&self, name: &ProjectName, origin: &str) -> Result<FeedDocument, IndexError> {
        let document = match self.0.index.json(name, None).await {
            Ok(document) => Some(document),
            // Registered, and nothing released.
            Err(IndexError::NoSuchRelease) => None,
            Err(error) => return Err(error),
        };
        let (name, origin) = (name.clone(), origin.to_owned());
        // A project may have ten thousand releases: not on the reactor.
        let written = spawn_blocking(move || releases(&name, document.as_deref(), &origin));
        written.await.map_err(|_| IndexError::Lost)
    }

    /// What the journal tells, looked for once for all who ask within a minute, unless something happens.
    async fn recent(&self, kind: RecentKind, most: usize) -> Result<Arc<Vec<Recent>>, IndexError> {
        let journal = self.0.journal.clone();
        let minute = journal.clock().unix().div_euclid(60);
        let key = (kind, journal.last_serial(), journal.projects_version(), minute);
        if let Some(recent) = self.0.recent.get(&key) {
            return Ok(recent);
        }
        let fill = async move { Ok(Arc::new(journal.recent(kind, most).await?)) };
        Ok(self.0.recent.fill(&key, fill).await?)
    }
}

/// The releases that a project's document lists; none without a document.
fn releases(name: &ProjectName, document: Option<&JsonDocument>, origin: &str) -> FeedDocument {
    let info = document.map(|document| &document.value["info"]);
    let text = |field: &str| info.and_then(|info| info[field].as_str()).unwrap_or_default();
    let spelling = Some(text("name")).filter(|name| !name.is_empty()).unwrap_or(name.as_str());
    let releases = document.and_then(|document| document.value["releases"].as_object());
    let mut releases: Vec<(&String, Option<i64>)> = releases
        .into_iter()
        .flatten()
        // Without files it was removed, or never was one.
        .filter_map(|(version, files)| Some((version, files.as_array().filter(|files| !files.is_empty())?)))
        .map(|(version, files)| (version, files.iter().filter_map(uploaded).min()))
        .collect();
    releases.sort_by_key(|(_, time)| std::cmp::Reverse(*time));
    let items = releases.into_iter().take(RELEASES).map(|(version, time)| Item {
        title: version.clone(),
        link: page(origin, spelling, Some(version)),
        description: text("summary").to_owned(),
        time,
    });
    FeedDocument::new(&Channel {
        title: &format!("Releases of {spelling}"),
        description: &format!("The newest releases of {spelling}"),
        link: page(origin, spelling, None),
        items: items.collect(),
    })
}

fn item(title: String, link: String, recent: &Recent) -> Item {
    Item { title, link, description: recent.summary.clone(), time: Some(recent.time) }
}

/// The page for people.
fn page(origin: &str, name: &str, version: Option<&str>) -> String {
    let encoded = |text: &str| utf8_percent_encode(text, SEGMENT).to_string();
    let version = version.map_or_else(String::new, |version| format!("/{}", encoded(version)));
    format!("{origin}/pypi/{}{version}", encoded(name))
}

/// When a file came, in Unix seconds.
fn uploaded(file: &serde_json::Value) -> Option<i64> {
    let time = |name: &str| file[name].as_str().and_then(Stamp::parse);
    time("upload_time_iso_8601").or_else(|| time("upload_time")).map(Stamp::unix)
}
