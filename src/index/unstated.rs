//! What a page does not state of its files, and a document of the JSON API has to: their sizes and times.
//!
//! HTML has neither (PEP 503). bandersnatch stops at a document that lacks one of them, and uv at a page of its mirror
//! whose size is no number above or equal to 0. The server of the files knows both: it is asked once for each file.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::IndexError;
use super::shared::Shared;
use crate::model::Stamp;
use crate::upstream::{FileHead, PageFile, ProjectPage, UpstreamError, strongest};

/// Files of a page that are asked for at once. Their host has its own limit besides; a mirror that reads the document
/// fetches them next.
const AT_ONCE: usize = 8;

impl Shared {
    /// The page with the sizes and times of files for which it states none, where their server tells them. Of a page that
    /// lacks more than [`super::IndexSettings::asked_files`] it is as it was.
    ///
    /// A server that wants silence makes this fail: what is unknown for a moment must not be told for long.
    pub(super) async fn with_sizes_and_times(
        &self,
        page: Arc<ProjectPage>,
    ) -> Result<Arc<ProjectPage>, IndexError> {
        let lacks = |file: &PageFile| file.size.is_none() || file.upload_time.is_none();
        let lacking: Vec<usize> = (0..page.files.len()).filter(|&at| lacks(&page.files[at])).collect();
        if lacking.is_empty() {
            return Ok(page);
        }
        if lacking.len() > self.settings.asked_files {
            let project = &page.name;
            tracing::info!(%project, files = lacking.len(), "too many files without size or time to ask for each");
            return Ok(page);
        }
        let (files, silent) = (page.files.clone(), Mutex::default());
        let asked = stream::iter(lacking).map(|at| {
            let file = &files[at];
            let silent = &silent;
            async move { self.head_of(file, silent).await.map(|head| (at, head)) }
        });
        let heads: Vec<_> = asked.buffer_unordered(AT_ONCE).try_collect().await?;
        let mut page = Arc::unwrap_or_clone(page);
        for (at, head) in heads {
            let file = &mut page.files[at];
            file.size = file.size.or(head.size);
            let modified = head.modified.and_then(Stamp::from_unix).map(Stamp::rfc3339_micros);
            file.upload_time = file.upload_time.take().or(modified);
        }
        Ok(Arc::new(page))
    }

    /// A failure leaves unknown what is unknown: the file may be there all the same. `silent`: hosts that were asked and
    /// did not answer, which are not waited for again.
    async fn head_of(
        &self,
        file: &PageFile,
        silent: &Mutex<HashSet<String>>,
    ) -> Result<FileHead, IndexError> {
        let id = (file.url.to_string(), file.hashes.clone());
        if let Some(known) = self.heads.get(&id) {
            return Ok(known);
        }
        let host = file.url.host_str().unwrap_or_default();
        if silent.lock().unwrap_or_else(PoisonError::into_inner).contains(host) {
            return Ok(FileHead::default());
        }
        let head = match self.upstream.check_clear_text(&file.url, strongest(&file.hashes).as_ref()) {
            Ok(()) => self.upstream.file_head(&file.url).await,
            Err(refused) => Err(refused),
        };
        match head {
            Ok(head) => {
                self.heads.insert(id, head);
                Ok(head)
            }
            Err(error @ UpstreamError::Limited { .. }) => Err(error.into()),
            Err(error) => {
                tracing::debug!(file = file.filename, %error, "a file's size and time stay unknown");
                if !matches!(error, UpstreamError::Absent(_) | UpstreamError::Status(_)) {
                    silent.lock().unwrap_or_else(PoisonError::into_inner).insert(host.to_owned());
                }
                Ok(FileHead::default())
            }
        }
    }
}
