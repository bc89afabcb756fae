//! The index as its users hold it.

use std::fmt;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::task::spawn_blocking;
use url::Url;

use super::error::{LATE_RETRY, SHORT};
use super::kept_md5::KeptMd5;
use super::learn::queue::Learning;
use super::line::Line;
use super::parsed::Parsed;
use super::rendered::{Kept, RenderKey, Stamp};
use super::shared::{PATHS, Shared, counter};
use super::source::{self, Documents, document_memory, engine};
use super::text::Text;
use super::{
    Compressed, Form, IndexError, IndexSettings, JsonDocument, ProjectPage, Rendered, Side, location,
    write_html, write_json,
};
use crate::bounded::{Bounded, by_count};
use crate::journal::{DocumentKey, Journal};
use crate::memo::Memo;
use crate::model::{FilePath, LONGEST_VERSION, ProjectName, Serial};
use crate::revalidate::{Engine, Entry};
use crate::upstream::Upstream;

/// Files whose line on their page is remembered. 10,000 of some 500 bytes: those that are asked for most.
const LINES: u64 = 10_000;

/// Pages, documents and the files that they name. Clones share everything.
#[derive(Clone)]
pub struct Index {
    pub(super) inner: Arc<Inner>,
}

pub(super) struct Inner {
    pub(super) shared: Arc<Shared>,
    pub(super) pages: Engine<Documents<ProjectPage>>,
    pub(super) documents: Engine<Documents<JsonDocument>>,
    /// Flights only: few ask twice.
    provenance: Memo<Url, Bytes, IndexError>,
    pub(super) rendered: Memo<RenderKey, Arc<Kept>, IndexError>,
    /// Paths that had no tombstone when the journal's removals had this count.
    pub(super) untombed: Bounded<FilePath, u64>,
    pub(super) removals: tokio::sync::watch::Receiver<u64>,
    /// Reads kept files, if somebody does.
    pub(super) kept_md5: OnceLock<KeptMd5>,
    /// What search does not know yet.
    pub(super) learning: Learning,
    /// What pages say of files that are asked for often.
    pub(super) lines: Bounded<FilePath, Line>,
}

impl fmt::Debug for Index {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Index")
    }
}

impl Index {
    /// An index that asks `upstream` and keeps in `journal`.
    pub fn new(upstream: Upstream, journal: Journal, settings: IndexSettings) -> Self {
        let shared = Arc::new(Shared::new(upstream, journal, settings));
        let settings = &shared.settings;
        // Pages weigh less than documents, and are asked for more.
        let (shelf_of_pages, shelf_of_documents) =
            (document_memory(settings.parsed_bytes / 2), document_memory(settings.parsed_bytes / 2));
        // A page that goes takes its project's document along, and documents fall back to pages.
        let pages = engine(&shared, settings.page_max_age, shelf_of_pages, shelf_of_documents.clone());
        let documents = engine(&shared, settings.json_max_age, shelf_of_documents, pages.clone());
        let inner = Inner {
            pages,
            documents,
            provenance: Memo::new(0, |_, _| 1),
            rendered: Memo::new(settings.rendered_bytes, |_, kept: &Arc<Kept>| kept.weight()),
            untombed: by_count(PATHS),
            kept_md5: OnceLock::new(),
            removals: shared.journal.watch_removals(),
            learning: Learning::new(&settings.learn),
            lines: by_count(LINES),
            shared,
        };
        Self { inner: Arc::new(inner) }
    }

    /// What all that goes out is as new as: the highest serial that is known here, for answers that have none of their
    /// own (docs/wire.md section 7). It falls only where a page's serial turns out to have been wrong.
    pub fn last_serial(&self) -> Option<Serial> {
        self.inner.shared.last_serial()
    }

    /// How many rendered pages and documents are kept in memory, and their bytes with their compressed forms.
    pub fn rendered(&self) -> (u64, u64) {
        self.inner.rendered.kept()
    }

    /// A project's page.
    pub async fn page(&self, name: &ProjectName) -> Result<Arc<ProjectPage>, IndexError> {
        Ok(self.held_page(name).await?.content.clone())
    }

    /// The form of HTML pages for a program, by its `User-Agent`.
    pub fn html_for(&self, user_agent: Option<&str>) -> Form {
        let listed = user_agent.is_some_and(|agent| self.inner.shared.settings.md5_agents.has(agent));
        if listed { Form::Md5Html } else { Form::Html }
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
        let html =
            |page: &ProjectPage, serial| Ok(Text::plain(write_html::write(page, serial, None).into_bytes()));
        match form {
            Form::Html => self.inner.render(key, Stamp::of(held.stamp), &held, html, origin).await,
            Form::Json => {
                self.inner.render(key, Stamp::of(held.stamp), &held, write_json::write, origin).await
            }
            Form::Md5Html => self.page_with_md5(name, &held, origin).await,
        }
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
        let stamp = Stamp::of(held.stamp);
        let rendered = self.inner.render(key, stamp, &held, JsonDocument::write, origin).await?;
        Ok(Rendered { content_type: "application/json", ..rendered })
    }

    /// The compressed body; `None` where it would save nothing.
    pub async fn compressed(&self, rendered: &Rendered) -> Result<Option<Compressed>, IndexError> {
        let (body, heavier) = rendered.compressed().await?;
        if heavier {
            // Weighed again.
            self.inner.rendered.put(&rendered.form.key, rendered.form.clone());
        }
        Ok(body)
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
        self.inner.shared.upstream.check_clear_text(&url, None)?;
        let (inner, address) = (self.inner.clone(), url.clone());
        let fetch = async move { Ok(inner.shared.upstream.provenance(&address).await?) };
        let fetched = self.inner.provenance.fill(&url, fetch);
        if let Ok(fetched) = tokio::time::timeout(self.inner.shared.settings.deadline, fetched).await {
            return Ok(fetched?);
        }
        // The fetch goes on.
        counter("late").increment(1);
        Err(IndexError::NotYet { retry: LATE_RETRY })
    }

    pub(super) async fn held_page(
        &self,
        name: &ProjectName,
    ) -> Result<source::Kept<ProjectPage>, IndexError> {
        self.inner.pages.page(name).await
    }

    /// Neither upstream nor its page has it: the project's page tells whether it is the project that is not there.
    pub(super) async fn held_json(
        &self,
        name: &ProjectName,
        version: Option<&str>,
    ) -> Result<source::Kept<JsonDocument>, IndexError> {
        // Two of them would lead to other addresses upstream, and "" is the project's own row in the journal.
        if version
            .is_some_and(|version| matches!(version, "" | "." | "..") || version.len() > LONGEST_VERSION)
        {
            return Err(IndexError::NoSuchRelease);
        }
        let document = DocumentKey::Json(name.clone(), version.map(str::to_owned));
        let found = match version {
            Some(version) => self.check_version(&document, version).await,
            None => Ok(()),
        };
        let found = match found {
            Ok(()) => self.document(&document).await,
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

    async fn document(&self, key: &DocumentKey) -> Result<source::Kept<JsonDocument>, IndexError> {
        Ok(self.inner.documents.current(key, self.inner.shared.wait()).await?)
    }

    /// Fails if the project's document tells that it has no such version: then the version's own is not asked for. One that is
    /// kept is asked about itself.
    async fn check_version(&self, key: &DocumentKey, version: &str) -> Result<(), IndexError> {
        if self.inner.documents.in_memory(key).is_some()
            || self.inner.shared.journal.document(key).await?.is_some()
        {
            return Ok(());
        }
        let project = DocumentKey::Json(key.project().clone(), None);
        let document = match self.document(&project).await {
            Ok(document) => document,
            // An index may have a release's document and none of the project.
            Err(error) if error.side() == Side::UpstreamBroken => return Ok(()),
            Err(error) => return Err(error),
        };
        if document.content.lists(version) {
            return Ok(());
        }
        // The document is old, and upstream fails: what it lacks may be there by now.
        if document.stale { Err(IndexError::NotYet { retry: SHORT }) } else { Err(IndexError::NoSuchRelease) }
    }
}

impl Inner {
    /// The bytes of what is held, if they are kept and were made of the same.
    pub(super) fn kept_rendering<T>(
        &self,
        key: &RenderKey,
        stamp: Stamp,
        held: &Entry<Parsed<T>>,
        origin: &str,
    ) -> Option<Rendered> {
        let kept = self.rendered.get(key).filter(|kept| kept.stamp == stamp)?;
        Some(Rendered::new(kept, origin, held.last_serial, held.stale))
    }

    /// The bytes of what is held, from the cache if they were made of the same. `stamp`: of what `write` makes them of.
    pub(super) async fn render<T, W>(
        &self,
        key: RenderKey,
        stamp: Stamp,
        held: &Entry<Parsed<T>>,
        write: W,
        origin: &str,
    ) -> Result<Rendered, IndexError>
    where
        T: Send + Sync + 'static,
        W: Fn(&T, Option<Serial>) -> serde_json::Result<Text> + Clone + Send + 'static,
    {
        let serial = held.last_serial;
        if let Some(rendered) = self.kept_rendering(&key, stamp, held, origin) {
            return Ok(rendered);
        }
        // A flight under way may render the document before this one: then once more.
        loop {
            let (content, key_of_it, write) = (held.content.clone(), key.clone(), write.clone());
            let fill = async move {
                let task = spawn_blocking(move || {
                    write(&content, serial).map(|text| Arc::new(Kept::new(key_of_it, stamp, text)))
                });
                // Neither dies, nor do strings fail to be written.
                task.await.map_err(|_| IndexError::Lost)?.map_err(|_| IndexError::Lost)
            };
            let kept = self.rendered.fill(&key, fill).await?;
            if kept.stamp == stamp {
                return Ok(Rendered::new(kept, origin, serial, held.stale));
            }
        }
    }
}
