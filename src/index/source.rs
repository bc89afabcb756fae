//! How pages and documents are asked for, and what is known of them from elsewhere: the journal's events, removals and
//! project table.

use std::sync::Arc;
use std::time::Duration;

use super::IndexError;
use super::content::Content;
use super::parsed::Parsed;
use super::shared::{Shared, counter};
use crate::journal::{DocumentKey, JournalError, KeptDocument, Numbering};
use crate::memo::Memo;
use crate::metric;
use crate::model::{ProjectName, Serial};
use crate::revalidate::{Engine, Entry, Memory, Policy, Received, Revalidation, Source, Standing, Told};
use crate::upstream::{Document, Fetched, ProjectPage, UpstreamError};

/// A page or a document, with what it has of the other kind: documents fall back to pages, and go with them.
pub(super) trait Paired: Content {
    /// What its source needs of the other kind: documents fall back to pages, and go with them.
    type UnlockedJournal: Send + Sync + 'static;

    /// What upstream's other documents tell in place of one that it has not; `None` if they do not either.
    fn derived(
        documents: &Documents<Self>,
        key: &DocumentKey,
    ) -> impl Future<Output = Result<Option<Document>, IndexError>> + Send;

    /// What upstream sent with what it lacks added; `None` if it lacks nothing. `header`: the serial that was sent with it.
    fn completed(
        documents: &Documents<Self>,
        key: &DocumentKey,
        sent: &Self,
        header: Option<Serial>,
    ) -> impl Future<Output = Result<Option<Document>, IndexError>> + Send;

    /// The project's page, if there is one here, for what is no page itself.
    fn page_beside(
        documents: &Documents<Self>,
        key: &DocumentKey,
    ) -> impl Future<Output = Option<Kept<ProjectPage>>> + Send;

    /// Forgets what upstream does not have (any more).
    fn forget(
        documents: &Documents<Self>,
        key: &DocumentKey,
    ) -> impl Future<Output = Result<(), JournalError>> + Send;
}

/// Pages, or documents. `beside`: what they need of the other kind.
pub(super) struct Documents<T: Paired> {
    pub(super) shared: Arc<Shared>,
    pub(super) beside: T::UnlockedJournal,
}

/// What is kept in memory of a kind.
pub(super) type DocumentMemory<T> = Memory<Documents<T>>;

/// A page or document with what decides whether it is current.
pub(super) type Kept<T> = Arc<Entry<Parsed<T>>>;

/// Bounds what is kept in memory of a kind to this many bytes.
pub(super) fn document_memory<T: Paired>(bytes: u64) -> DocumentMemory<T> {
    Memo::new(bytes, |_, kept: &Kept<T>| kept.weight())
}

/// An engine for a kind.
pub(super) fn engine<T: Paired>(
    shared: &Arc<Shared>,
    max_age: Duration,
    document_memory: DocumentMemory<T>,
    beside: T::UnlockedJournal,
) -> Engine<Documents<T>> {
    let settings = &shared.settings;
    let policy = Policy {
        max_age,
        stale_if_error: settings.stale_if_error,
        failure_pause: settings.failure_pause,
        behind_pauses: settings.behind_pauses.clone(),
        behind_pause: settings.behind_pause,
        older_after: settings.older_after,
        absent_max_age: settings.absent_max_age,
        absent_entries: settings.absent_entries,
    };
    Engine::new(Documents { shared: shared.clone(), beside }, policy, document_memory)
}

impl Engine<Documents<ProjectPage>> {
    /// The current page of a project.
    pub(super) async fn page(&self, project: &ProjectName) -> Result<Kept<ProjectPage>, IndexError> {
        let wait = self.source().shared.wait();
        Ok(self.current(&DocumentKey::Page(project.clone()), wait).await?)
    }
}

impl<T: Paired> Source for Documents<T> {
    type Key = DocumentKey;
    type Value = Parsed<T>;
    type Raw = KeptDocument;
    type Error = IndexError;

    fn now(&self) -> i64 {
        self.shared.now()
    }

    async fn ask(
        &self,
        key: &DocumentKey,
        known: Option<&Entry<Parsed<T>>>,
        standing: Standing,
    ) -> Result<Revalidation<Self>, IndexError> {
        match self.fetch(key, known, standing).await {
            Err(IndexError::Upstream(UpstreamError::Absent(_))) => match T::derived(self, key).await {
                Ok(Some(document)) => self.instead(key, document, standing).await,
                Ok(None) => Ok(Revalidation::Absent),
                Err(IndexError::Upstream(error)) => Ok(failed(error)),
                Err(error) => Err(error),
            },
            // What servers of files say of what is not there.
            Err(IndexError::Upstream(UpstreamError::Status(401 | 403)))
                if self.shared.is_unlisted(key.project(), true).await? =>
            {
                Ok(Revalidation::Absent)
            }
            Err(IndexError::Upstream(error)) => {
                // An index that has no JSON API, but something else in its place, has its pages all the same.
                if known.is_none()
                    && is_something_else(&error)
                    && let Ok(Some(document)) = T::derived(self, key).await
                {
                    return self.instead(key, document, standing).await;
                }
                Ok(failed(error))
            }
            asked => asked,
        }
    }

    async fn load(&self, key: &DocumentKey) -> Result<Option<Entry<Parsed<T>>>, IndexError> {
        self.shared.load(key).await
    }

    async fn keep(&self, key: &DocumentKey, entry: &Entry<Parsed<T>>, raw: &KeptDocument) {
        let page = T::page_beside(self, key).await;
        self.shared.keep(key, entry, raw, page).await;
    }

    fn tell(&self, key: &DocumentKey, told: Told<'_, IndexError>) {
        let project = key.project();
        match told {
            Told::Hit => self.shared.hits.increment(1),
            Told::Renewed => counter("renewed").increment(1),
            Told::Slow => counter("slow").increment(1),
            Told::Late => counter("late").increment(1),
            Told::Stale(error, age) => {
                tracing::warn!(%project, %error, age, "upstream fails: a kept page goes out");
                metrics::counter!(metric::INDEX_STALE_TOTAL).increment(1);
            }
            Told::Behind(standing) => {
                metrics::counter!(metric::INDEX_BEHIND_TOTAL).increment(1);
                tracing::info!(%project, ?standing, "upstream's copy is older than its journal says");
            }
        }
    }

    async fn touch(&self, key: &DocumentKey, checked: i64) {
        if let Err(error) = self.shared.journal.touch_document(key, checked).await {
            tracing::error!(project = %key.project(), %error, "a confirmation cannot be kept");
        }
    }

    /// On a full disk it stays on the disk, until upstream is asked about it again.
    async fn forget(&self, key: &DocumentKey) {
        if let Err(error) = T::forget(self, key).await {
            tracing::error!(project = %key.project(), %error, "what upstream has no more cannot be forgotten");
        }
    }

    async fn admit(&self, key: &DocumentKey) -> Result<(), IndexError> {
        self.shared.check_registered(key).await
    }

    async fn unkept(&self, key: &DocumentKey, error: IndexError) -> Result<IndexError, IndexError> {
        match error {
            IndexError::Upstream(error) => self.shared.unconfirmed(key.project(), error).await,
            error => Ok(error),
        }
    }

    fn is_as_read(&self, key: &DocumentKey, value: &Parsed<T>) -> bool {
        self.shared.advertises_right(key.project(), value.unadvertised)
    }

    fn head(&self) -> Option<Serial> {
        self.shared.journal.last_serial()
    }

    async fn standing(&self, key: &DocumentKey, serial: Option<Serial>) -> Result<Standing, IndexError> {
        let journal = &self.shared.journal;
        Ok(match journal.registered(key.project()).await? {
            Some(row) => row.serial.map_or(Standing::Unknown, Standing::At),
            // It was there at a serial that the table covers, and is not in the table. A project that upstream never
            // listed has a page all the same.
            None if serial.is_some() && journal.projects_serial() >= serial => {
                let removed = journal.removed_after(key.project(), serial).await?;
                if removed { Standing::Gone } else { Standing::Unlisted }
            }
            None => Standing::Unknown,
        })
    }

    fn disproves(&self, serial: Serial, checked: i64) -> bool {
        self.shared.journal.disproves(serial, checked)
    }

    async fn removed_after(&self, key: &DocumentKey, serial: Option<Serial>) -> Result<bool, IndexError> {
        Ok(self.shared.journal.removed_after(key.project(), serial).await?)
    }

    async fn serial(&self, key: &DocumentKey, by_now: bool) -> Result<Option<Serial>, IndexError> {
        let row = if by_now {
            self.shared.registered_by_now(key.project()).await?
        } else {
            self.shared.journal.registered(key.project()).await?
        };
        Ok(row.and_then(|row| row.serial))
    }
}

impl<T: Paired> Documents<T> {
    /// Asks for the document itself.
    async fn fetch(
        &self,
        key: &DocumentKey,
        known: Option<&Entry<Parsed<T>>>,
        standing: Standing,
    ) -> Result<Revalidation<Self>, IndexError> {
        let Shared { upstream, journal, .. } = &*self.shared;
        if known.is_none() {
            self.shared.may_ask_for(key.project()).await?;
        }
        // What upstream states of its copy, which a 304 need not tell, decides whether that is the one that we lead.
        let numbering = journal.numbering(key.project()).await?;
        let validator = known.filter(|_| numbering.lead.is_none()).and_then(|known| known.etag.as_deref());
        let fetched = match key {
            DocumentKey::Page(project) => upstream.project_page(project, validator).await,
            DocumentKey::Json(project, version) => {
                upstream.json_document(project, version.as_deref(), validator).await
            }
        };
        let document = match (fetched?, known) {
            (Fetched::NotModified, Some(_)) => return Ok(Revalidation::Same),
            // Upstream's client lets no 304 through that was not asked for.
            (Fetched::NotModified, None) => return Err(IndexError::Lost),
            (Fetched::Fresh(document), _) => document,
        };
        let (serial, header) = (standing.serial(), document.last_serial);
        let mut received = self.receive(key, document, serial, Some(numbering)).await?;
        if let Some(whole) = T::completed(self, key, &received.entry.content, header).await? {
            received = self.receive(key, whole, serial, Some(numbering)).await?;
        }
        // Told once of a page's version: the one before may have had the same.
        let skipped = received.entry.content.skipped();
        if known.is_none_or(|known| known.content.skipped() != skipped) {
            skipped.report("file", key.project().as_str());
        }
        Ok(Revalidation::New(received))
    }

    /// Takes a document for what upstream would have sent.
    async fn instead(
        &self,
        key: &DocumentKey,
        document: Document,
        standing: Standing,
    ) -> Result<Revalidation<Self>, IndexError> {
        Ok(Revalidation::Instead(self.receive(key, document, standing.serial(), None).await?))
    }

    async fn receive(
        &self,
        key: &DocumentKey,
        document: Document,
        serial: Option<Serial>,
        numbering: Option<Numbering>,
    ) -> Result<Received<Self>, IndexError> {
        let (entry, raw, stated) = self.shared.receive(key, document, serial, numbering).await?;
        Ok(Received { entry, stated, raw })
    }
}

fn failed<T: Paired>(error: UpstreamError) -> Revalidation<Documents<T>> {
    Revalidation::Failed { error: error.into(), pause: Duration::ZERO }
}

/// Upstream answered, but with no document, or would not have the question.
fn is_something_else(error: &UpstreamError) -> bool {
    match error {
        UpstreamError::Unexpected(_) => true,
        UpstreamError::Status(status) => matches!(status, 401 | 403 | 405 | 406 | 501),
        UpstreamError::Absent(_)
        | UpstreamError::Limited { .. }
        | UpstreamError::Unreachable(_)
        | UpstreamError::TimedOut
        | UpstreamError::TooLarge(_)
        | UpstreamError::Broken(_)
        | UpstreamError::Fault(_)
        | UpstreamError::Refused(_)
        | UpstreamError::Bundled
        | UpstreamError::Settings(_) => false,
    }
}
