//! The index as its users hold it.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use bytes::Bytes;
use tokio::task::spawn_blocking;
use url::Url;

use super::files::Line;
use super::held::Held;
use super::learn::Learning;
use super::rendered::{Kept, RenderKey};
use super::text::Text;
use super::unknown::Unknown;
use super::{
    Form, IndexError, IndexSettings, JsonDocument, ProjectPage, Rendered, location, write_html, write_json,
};
use crate::journal::{DocumentKey, Journal};
use crate::memo::Memo;
use crate::model::{FilePath, LONGEST_VERSION, ProjectName, Serial};
use crate::upstream::{FileHead, Upstream};

/// Paths whose project is remembered in memory. 100,000 of some 250 bytes: the files that are asked for often.
const PATHS: u64 = 100_000;

/// Files whose line on their page is remembered. 10,000 of some 500 bytes: those that are asked for most.
const LINES: u64 = 10_000;

/// Pages, documents and the files that they name. Clones share everything.
#[derive(Clone)]
pub struct Index {
    pub(super) inner: Arc<Inner>,
}

pub(super) type Shelf<T> = Memo<DocumentKey, Arc<Held<T>>, IndexError>;

/// Upstream has no such page or document.
#[derive(Debug, Clone, Copy)]
pub(super) struct Absence {
    /// Unix seconds of when it said so.
    pub(super) since: i64,
    /// The project's serial in the journal then.
    pub(super) serial: Option<Serial>,
}

pub(super) struct Inner {
    pub(super) upstream: Upstream,
    pub(super) journal: Journal,
    pub(super) settings: IndexSettings,
    pub(super) pages: Shelf<ProjectPage>,
    pub(super) documents: Shelf<JsonDocument>,
    /// Flights only: few ask twice.
    pub(super) provenance: Memo<Url, Bytes, IndexError>,
    pub(super) rendered: Memo<RenderKey, Arc<Kept>, IndexError>,
    /// What upstream said 404 to.
    pub(super) absent: moka::sync::Cache<DocumentKey, Absence>,
    /// Whose a path is: of files asked for lately, and of pages that could not be kept.
    pub(super) projects_of: moka::sync::Cache<FilePath, ProjectName>,
    /// Paths that had no tombstone when the journal's removals had this count.
    pub(super) untombed: moka::sync::Cache<FilePath, u64>,
    pub(super) removals: tokio::sync::watch::Receiver<u64>,
    /// The last change of what of a project's metadata is not to be advertised.
    pub(super) unadvertised: moka::sync::Cache<ProjectName, u64>,
    /// What names that upstream may not have may cost it.
    pub(super) unknown: Unknown,
    /// What search does not know yet.
    pub(super) learning: Learning,
    /// What pages say of files that are asked for often.
    pub(super) lines: moka::sync::Cache<FilePath, Line>,
    /// What the server of the files says of those for which a page states too little.
    pub(super) heads: moka::sync::Cache<super::unstated::FileId, FileHead>,
    /// The highest serial that a page or document here has; -1 before there is one.
    pub(super) seen: AtomicI64,
    /// When upstream stated it, in Unix seconds.
    pub(super) seen_at: AtomicI64,
    /// Pages and documents that were current. Looked up once: it is on the way of every file.
    pub(super) hits: metrics::Counter,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Index")
    }
}

impl Index {
    /// An index that asks `upstream` and keeps in `journal`.
    pub fn new(upstream: Upstream, journal: Journal, settings: IndexSettings) -> Self {
        let inner = Inner {
            upstream,
            removals: journal.watch_removals(),
            journal,
            // Pages weigh less than documents, and are asked for more.
            pages: Memo::new(settings.parsed_bytes / 2, |_, held: &Arc<Held<_>>| held.weight()),
            documents: Memo::new(settings.parsed_bytes / 2, |_, held: &Arc<Held<_>>| held.weight()),
            provenance: Memo::new(0, |_, _| 1),
            rendered: Memo::new(settings.rendered_bytes, |_, kept: &Arc<Kept>| kept.weight()),
            absent: moka::sync::Cache::new(settings.absent_entries),
            projects_of: moka::sync::Cache::new(PATHS),
            untombed: moka::sync::Cache::new(PATHS),
            unadvertised: moka::sync::Cache::new(super::unadvertised::REMEMBERED),
            unknown: Unknown::new(&settings),
            learning: Learning::new(&settings.learn),
            lines: moka::sync::Cache::new(LINES),
            heads: moka::sync::Cache::new(super::unstated::REMEMBERED),
            seen: AtomicI64::new(-1),
            seen_at: AtomicI64::new(0),
            hits: super::renew::counter("hit"),
            settings,
        };
        Self { inner: Arc::new(inner) }
    }

    /// What all that goes out is as new as: the highest serial that is known here, for answers that have none of their
    /// own (docs/wire.md section 7). It falls only where a page's serial turns out to have been wrong.
    pub fn last_serial(&self) -> Option<Serial> {
        let head = self.inner.journal.last_serial();
        let seen = Serial(self.inner.seen.load(Ordering::Relaxed));
        if seen.0 < 0 || Some(seen) <= head {
            return head;
        }
        if self.inner.journal.disproves(seen, self.inner.seen_at.load(Ordering::Relaxed)) {
            // Unless a higher one has come meanwhile.
            let _ = self.inner.seen.compare_exchange(seen.0, -1, Ordering::Relaxed, Ordering::Relaxed);
            return head;
        }
        Some(seen)
    }

    /// How many rendered pages and documents are kept in memory, and their bytes with their compressed forms.
    pub async fn rendered(&self) -> (u64, u64) {
        self.inner.rendered.kept().await
    }

    /// A project's page.
    pub async fn page(&self, name: &ProjectName) -> Result<Arc<ProjectPage>, IndexError> {
        Ok(self.held_page(name).await?.content.clone())
    }

    /// A project's page in a form, for a client that knows us at `origin` (`http://host:port`).
    pub async fn rendered_page(
        &self,
        name: &ProjectName,
        form: Form,
        origin: &str,
    ) -> Result<Rendered, IndexError> {
        let held = self.held_page(name).await?;
        let key = RenderKey { document: DocumentKey::Page(name.clone()), form };
        let write = move |page: &ProjectPage, serial| match form {
            Form::Html => Ok(Text::plain(write_html::write(page, serial).into_bytes())),
            Form::Json => write_json::write(page, serial),
        };
        self.inner.render(key, &held, write, origin).await
    }

    /// A project's JSON document, or that of one release, as upstream has it.
    pub async fn json(
        &self,
        name: &ProjectName,
        version: Option<&str>,
    ) -> Result<Arc<JsonDocument>, IndexError> {
        Ok(self.held_json(name, version).await?.content.clone())
    }

    /// The same in bytes, with files at our address, for a client that knows us at `origin`.
    pub async fn rendered_json(
        &self,
        name: &ProjectName,
        version: Option<&str>,
        origin: &str,
    ) -> Result<Rendered, IndexError> {
        let held = self.held_json(name, version).await?;
        let document = DocumentKey::Json(name.clone(), version.map(str::to_owned));
        let key = RenderKey { document, form: Form::Json };
        let rendered = self.inner.render(key, &held, JsonDocument::write, origin).await?;
        Ok(Rendered { content_type: "application/json", ..rendered })
    }

    /// A file's provenance (PEP 740) by its path on our address, `/integrity/NAME/VERSION/FILE/provenance`.
    pub async fn provenance(&self, name: &ProjectName, path: &str) -> Result<Bytes, IndexError> {
        let page = self.page(name).await?;
        let wanted = path.to_owned();
        // To read an address takes a microsecond, and the largest pages have a hundred thousand.
        let look = move || {
            let named = page.files.iter().filter_map(|file| file.provenance.as_deref());
            let mut own = named.filter(|url| location::provenance_path(url).as_deref() == Some(&wanted));
            own.next().and_then(|url| url.parse::<Url>().ok())
        };
        let url = spawn_blocking(look).await.map_err(|_| IndexError::Lost)?.ok_or(IndexError::NoSuchFile)?;
        // No page states its digest.
        self.inner.upstream.check_clear_text(&url, None)?;
        let (inner, address) = (self.inner.clone(), url.clone());
        let fetch = async move { Ok(inner.upstream.provenance(&address).await?) };
        self.inner.in_time(self.inner.settings.deadline, self.inner.provenance.fill(&url, fetch)).await
    }

    pub(super) async fn held_page(&self, name: &ProjectName) -> Result<Arc<Held<ProjectPage>>, IndexError> {
        self.inner.current(&self.inner.pages, &DocumentKey::Page(name.clone())).await
    }

    /// Neither upstream nor its page has it: the project's page tells whether it is the project that is not there.
    pub(super) async fn held_json(
        &self,
        name: &ProjectName,
        version: Option<&str>,
    ) -> Result<Arc<Held<JsonDocument>>, IndexError> {
        // Two of them would lead to other addresses upstream, and "" is the project's own row in the journal.
        if version
            .is_some_and(|version| matches!(version, "" | "." | "..") || version.len() > LONGEST_VERSION)
        {
            return Err(IndexError::NoSuchRelease);
        }
        let document = DocumentKey::Json(name.clone(), version.map(str::to_owned));
        let found = match version {
            Some(version) => self.inner.check_version(&document, version).await,
            None => Ok(()),
        };
        let found = match found {
            Ok(()) => self.inner.current(&self.inner.documents, &document).await,
            Err(error) => Err(error),
        };
        match found {
            Err(IndexError::NoSuchProject) => {
                self.held_page(name).await?;
                Err(IndexError::NoSuchRelease)
            }
            found => found,
        }
    }
}

impl Inner {
    /// The bytes of what is held, from the cache if they were made of the same document.
    async fn render<T, W>(
        &self,
        key: RenderKey,
        held: &Held<T>,
        write: W,
        origin: &str,
    ) -> Result<Rendered, IndexError>
    where
        T: Send + Sync + 'static,
        W: Fn(&T, Option<Serial>) -> serde_json::Result<Text> + Copy + Send + 'static,
    {
        let (stamp, serial) = (held.stamp, held.last_serial);
        let finish = |kept| Rendered::new(kept, origin, serial, held.stale);
        if let Some(kept) = self.rendered.get(&key).await
            && kept.stamp == stamp
        {
            return Ok(finish(kept));
        }
        // A flight under way may render the document before this one: then once more.
        loop {
            let (content, key_of_it) = (held.content.clone(), key.clone());
            let fill = async move {
                let task = spawn_blocking(move || {
                    write(&content, serial).map(|text| Arc::new(Kept::new(key_of_it, stamp, text)))
                });
                // Neither dies, nor do strings fail to be written.
                task.await.map_err(|_| IndexError::Lost)?.map_err(|_| IndexError::Lost)
            };
            let kept = self.rendered.fill(&key, fill).await?;
            if kept.stamp == stamp {
                return Ok(finish(kept));
            }
        }
    }
}
