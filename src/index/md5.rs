//! The MD5 of a page's files, for mirrors that know no other digest (docs/wire.md section 9): what the page states, else
//! what the JSON document does, else what was computed of a kept file.

use std::collections::HashMap;
use std::sync::Arc;

use futures_util::{StreamExt as _, stream};
use tokio::task::spawn_blocking;

use super::kept_md5::KeptMd5;
use super::rendered::{RenderKey, Stamp};
use super::source::Kept;
use super::text::Text;
use super::{Form, Index, IndexError, JsonDocument, ProjectPage, Rendered, known, write_html};
use crate::journal::{Content, DocumentKey};
use crate::model::{Algorithm, Digest, FilePath, ProjectName, Sha256};
use crate::upstream::PageFile;

/// How many files of a page are read at once to compute it.
const AT_ONCE: usize = 2;

/// Of each file of a page, in its order.
type Md5s = Vec<Option<Digest>>;

impl Index {
    /// Says who reads kept files. Once; without it none is read.
    pub fn read_kept_by(&self, kept: KeptMd5) {
        // A second one changes nothing.
        let _ = self.inner.kept_md5.set(kept);
    }

    /// The page in HTML with `#md5=` where an MD5 is known.
    pub(super) async fn page_with_md5(
        &self,
        name: &ProjectName,
        page: &Kept<ProjectPage>,
        origin: &str,
    ) -> Result<Rendered, IndexError> {
        let document = self.document_with_md5(name, page).await?;
        let key = RenderKey { document: DocumentKey::Page(name.clone()), form: Form::Md5Html };
        let other = document.as_ref().map(|document| document.stamp);
        let stamp = Stamp { own: page.stamp, other, computed: 0 };
        // All of them are stated, and it is kept.
        if let Some(rendered) = self.inner.kept_rendering(&key, stamp, page, origin) {
            return Ok(rendered);
        }
        let document = document.map(|document| document.content.clone());
        let content = page.content.clone();
        let stated = spawn_blocking(move || stated(&content, document.as_deref()));
        let mut md5s = stated.await.map_err(|_| IndexError::Lost)?;
        let computed = self.compute(&page.content, &mut md5s).await?;
        let md5s = Arc::new(md5s);
        let write = move |page: &ProjectPage, serial| {
            Ok(Text::plain(write_html::write(page, serial, Some(md5s.as_slice())).into_bytes()))
        };
        self.inner.render(key, Stamp { computed, ..stamp }, page, write, origin).await
    }

    /// The JSON document, if the page itself does not state all. What upstream does not have states nothing; what it cannot
    /// give just now is a failure, or the same page would have other links a moment later.
    async fn document_with_md5(
        &self,
        name: &ProjectName,
        page: &Kept<ProjectPage>,
    ) -> Result<Option<Kept<JsonDocument>>, IndexError> {
        if page.content.files.iter().all(|file| own(file).is_some()) {
            return Ok(None);
        }
        match self.held_json(name, None).await {
            Ok(document) => Ok(Some(document)),
            Err(IndexError::NoSuchProject | IndexError::NoSuchRelease) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Fills in those of kept files. Tells what of them is known, as a number: 0 if none is missing.
    async fn compute(&self, page: &ProjectPage, md5s: &mut Md5s) -> Result<u64, IndexError> {
        let missing: Vec<usize> = (0..md5s.len()).filter(|&at| md5s[at].is_none()).collect();
        if missing.is_empty() {
            return Ok(0);
        }
        let digest = |&at: &usize| known::deciding(&page.files[at].hashes, page.files[at].unmatchable);
        let contents = self.inner.shared.journal.contents_of(missing.iter().map(digest).collect()).await?;
        let look = |(at, content): (usize, Option<Content>)| async move { (at, self.md5_of(content).await) };
        let mut found = stream::iter(missing.into_iter().zip(contents).map(look)).buffer_unordered(AT_ONCE);
        let mut count = 1;
        while let Some((at, md5)) = found.next().await {
            count += u64::from(md5.is_some());
            md5s[at] = md5;
        }
        Ok(count)
    }

    /// What is known of the file, or can be computed because it is kept.
    async fn md5_of(&self, content: Option<Content>) -> Option<Digest> {
        let content = content?;
        match content.md5 {
            Some(md5) => Some(md5),
            None => self.md5_of_kept(content.sha256).await,
        }
    }

    /// Computes it, and remembers it.
    async fn md5_of_kept(&self, sha256: Sha256) -> Option<Digest> {
        let md5 = self.inner.kept_md5.get()?(sha256).await?;
        if let Err(error) = self.inner.shared.journal.note_content(&md5, sha256).await {
            tracing::warn!(%sha256, %error, "the MD5 of a kept file cannot be remembered");
        }
        Some(md5)
    }
}

/// What the page and the document state.
fn stated(page: &ProjectPage, document: Option<&JsonDocument>) -> Md5s {
    let of_document: HashMap<FilePath, Digest> = document.into_iter().flat_map(JsonDocument::md5s).collect();
    page.files.iter().map(|file| own(file).or_else(|| of_document.get(&file.path).copied())).collect()
}

fn own(file: &PageFile) -> Option<Digest> {
    Digest::parse(Algorithm::Md5.name(), file.hashes.get(Algorithm::Md5.name())?)
}
