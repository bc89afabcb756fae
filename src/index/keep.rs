//! To and from the journal. A store that cannot keep stops keeping, not serving (promise 4).

use std::collections::HashSet;
use std::sync::Arc;

use tokio::task::spawn_blocking;

use super::IndexError;
use super::content::Content;
use super::parsed::Parsed;
use super::shared::Shared;
use super::source::Kept;
use crate::journal::{DocumentKey, KeptDocument, KnownFile, NamedFiles, Numbering};
use crate::metric;
use crate::model::{ProjectName, Serial};
use crate::revalidate::Entry;
use crate::upstream::{Document, ProjectPage, UpstreamError};

impl Shared {
    /// What is kept under a key, read. One that cannot be read any more is as good as none.
    pub(super) async fn load<T: Content>(
        &self,
        key: &DocumentKey,
    ) -> Result<Option<Entry<Parsed<T>>>, IndexError> {
        let Some(document) = self.journal.document(key).await? else { return Ok(None) };
        let _share = self.upstream.room(document.body.len()).await;
        match self.read(key, document).await? {
            Ok((held, _)) => {
                self.saw(held.last_serial, held.checked);
                if self.journal.has_earlier_paths(key).await? {
                    self.restate_paths(key, &held).await;
                }
                Ok(Some(held))
            }
            Err(complaint) => {
                tracing::warn!(project = %key.project(), complaint, "a kept document is not used");
                Ok(None)
            }
        }
    }

    /// After an upgrade: what this version's pages link to has to be found.
    async fn restate_paths<T: Content>(&self, key: &DocumentKey, held: &Entry<Parsed<T>>) {
        let files = Files { content: held.content.clone(), project: key.project().clone(), page: None };
        if let Err(error) = self.journal.restate_paths(key, files).await {
            tracing::error!(project = %key.project(), %error, "the paths of a page's files cannot be kept");
        }
    }

    /// Reads what upstream sent. `serial`: what the journal knows, for an upstream that states none, or one that cannot
    /// be; `numbering`: what makes our number of what it states. Tells besides whether it stated one.
    pub(super) async fn receive<T: Content>(
        &self,
        key: &DocumentKey,
        document: Document,
        serial: Option<Serial>,
        numbering: Option<Numbering>,
    ) -> Result<(Entry<Parsed<T>>, KeptDocument, bool), IndexError> {
        let share = document.share;
        let document = KeptDocument {
            body: document.body,
            content_type: document.content_type,
            etag: document.validators.etag,
            last_serial: document.last_serial,
            url: document.url.to_string(),
            checked: self.now(),
        };
        let read = self.read::<T>(key, document).await?;
        drop(share);
        let (mut held, mut document) = read.map_err(UpstreamError::Unexpected)?;
        let said = held.last_serial.filter(|_| !self.journal.serials_say_nothing());
        let stated = said.and_then(|said| numbering.map_or(Some(said), |numbering| numbering.of_copy(said)));
        if let (Some(said), None) = (said, stated) {
            tracing::warn!(project = %key.project(), %said, "upstream states a serial that cannot be; not believed");
            metrics::counter!(metric::FOLLOW_UNBELIEVED_TOTAL, "what" => "document").increment(1);
        }
        held.last_serial = stated.or(serial);
        document.last_serial = held.last_serial;
        self.saw(held.last_serial, held.checked);
        Ok((held, document, stated.is_some()))
    }

    /// Keeps a document with the files that it names. `page`: the project's, if this is another of its documents.
    pub(super) async fn keep<T: Content>(
        self: &Arc<Self>,
        key: &DocumentKey,
        held: &Entry<Parsed<T>>,
        document: &KeptDocument,
        page: Option<Kept<ProjectPage>>,
    ) {
        let files =
            || Files { content: held.content.clone(), project: key.project().clone(), page: page.clone() };
        if let Err(error) = self.journal.keep_document(key, document, files()).await {
            tracing::error!(project = %key.project(), %error, "a document cannot be kept");
            metrics::counter!(metric::INDEX_UNKEPT_TOTAL).increment(1);
            let (files, shared) = (files(), Arc::clone(self));
            let remember = move || files.each(&mut |file| shared.projects_of.insert(file.path, file.project));
            // Ends early only while the runtime does.
            let _ = spawn_blocking(remember).await;
        }
        // A release's document tells of that release, which may be an old one.
        if let (DocumentKey::Json(project, None), Some(document)) = (key, held.content.json()) {
            self.learn(project, document, held.last_serial).await;
        }
        if held.content.is_quarantined()
            && let Err(error) = self.journal.seen_quarantined(key.project(), held.last_serial).await
        {
            tracing::error!(project = %key.project(), %error, "a quarantine cannot be noted");
        }
    }

    /// Reads a document beside the reactor: the largest take a tenth of a second.
    async fn read<T: Content>(
        &self,
        key: &DocumentKey,
        document: KeptDocument,
    ) -> Result<Result<(Entry<Parsed<T>>, KeptDocument), String>, IndexError> {
        let project = key.project().clone();
        let without = self.unadvertised(&project).await?;
        let most = self.upstream.document_memory();
        let read = move || Parsed::read(&project, &document, most, without).map(|held| (held, document));
        spawn_blocking(read).await.map_err(|_| IndexError::Lost)
    }
}

/// The files that a document names, less those that `page` names: a path belongs to the document that named it last, and
/// goes with it. The page names its files as long as the project exists, so what it names stays with the page.
struct Files<T> {
    content: Arc<T>,
    project: ProjectName,
    page: Option<Kept<ProjectPage>>,
}

impl<T: Content> NamedFiles for Files<T> {
    fn each(&self, take: &mut dyn FnMut(KnownFile)) {
        let Some(page) = &self.page else { return self.content.each_file(&self.project, take) };
        let named: HashSet<_> = page.content.files.iter().map(|file| &file.path).collect();
        self.content.each_file(&self.project, &mut |file| {
            if !named.contains(&file.path) {
                take(file);
            }
        });
    }
}
