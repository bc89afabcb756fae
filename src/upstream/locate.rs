//! Where the simple index is: below `simple/` of the address that was given, or directly below that address.
//!
//! The first answer that shows an index decides, for as long as the process runs; in the usual case that is the first thing
//! that is asked for anyway. Only a 404 (or what servers of files say in its place) makes the other address worth a look,
//! never an index that is down. The unusual address needs more to be believed: a page with files. A site's own front page
//! has links, too, and a mirror's folder lists `simple/` as if it were a project.

use bytes::Bytes;
use tokio::task::spawn_blocking;
use url::Url;

use super::addresses::Addresses;
use super::client::ACCEPT_SIMPLE;
use super::page::ProjectPage;
use super::transport::Kind;
use super::{Document, Fetched, Listed, Listing, Probed, Target, Upstream, UpstreamError, Validators};
use crate::model::ProjectName;

/// Projects of a listing whose pages are looked at to learn whether it is an index's.
const LOOKS: usize = 3;

impl Upstream {
    /// Where the simple index is, as far as that is known yet.
    pub fn simple_index(&self) -> Option<&Url> {
        self.transport.addresses.simple()
    }

    /// The beginning of the listing of all projects; on the way it is found out where that is, if it is not known.
    pub async fn locate(&self) -> Result<Probed, UpstreamError> {
        let likely = self.likely_simple().clone();
        let probed = self.probe(Target::Listing).await?;
        if probed.status == 200 && probed.lists_projects() {
            self.transport.addresses.note_simple(&likely);
            return Ok(probed);
        }
        if self.simple_index().is_none() {
            // What it says is asked for again by who wants to know.
            let _ = self.listing_unless(&Validators::default()).await;
        }
        if self.likely_simple() == &likely { Ok(probed) } else { self.probe(Target::Listing).await }
    }

    /// Where it is, or where it is likeliest.
    pub(super) fn likely_simple(&self) -> &Url {
        self.transport.addresses.likely_simple()
    }

    /// A project's simple page, JSON if upstream has it, else HTML. `validator` is the `ETag` of what is kept.
    pub async fn project_page(
        &self,
        name: &ProjectName,
        validator: Option<&str>,
    ) -> Result<Fetched, UpstreamError> {
        self.project_page_unless(name, &Validators::etag(validator)).await
    }

    /// Whether upstream refused this page with "too many requests" and would give out others earlier.
    pub fn page_rests_alone(&self, name: &ProjectName) -> bool {
        self.transport.rests.rests_alone(&Addresses::page(self.likely_simple(), name))
    }

    /// The same as [`Self::project_page`], unless it is still the copy that `known` is of.
    pub async fn project_page_unless(
        &self,
        name: &ProjectName,
        known: &Validators,
    ) -> Result<Fetched, UpstreamError> {
        let addresses = &self.transport.addresses;
        if let Some(simple) = addresses.simple() {
            return self.page_below(simple, name, known).await;
        }
        Box::pin(self.page_somewhere(name, known)).await
    }

    async fn page_somewhere(&self, name: &ProjectName, known: &Validators) -> Result<Fetched, UpstreamError> {
        let addresses = &self.transport.addresses;
        let mut first = None;
        for (at, simple) in addresses.candidates().iter().enumerate() {
            let fetched = self.page_below(simple, name, known).await;
            // Below the unlikely one an empty page proves nothing.
            let proof = |page: &ProjectPage| at == 0 || !page.files.is_empty();
            let shown = match &fetched {
                Ok(Fetched::NotModified) => true,
                Ok(Fetched::Fresh(document)) => shows(name, document, self.document_memory(), proof).await,
                Err(_) => false,
            };
            if shown {
                addresses.note_simple(simple);
                return fetched;
            }
            if fetched.as_ref().is_err_and(|error| !error.may_be_elsewhere()) {
                return fetched;
            }
            first.get_or_insert(fetched);
        }
        first.unwrap_or(Err(UpstreamError::Settings("an index without an address")))
    }

    async fn page_below(
        &self,
        simple: &Url,
        name: &ProjectName,
        known: &Validators,
    ) -> Result<Fetched, UpstreamError> {
        self.document(Kind::Page, &Addresses::page(simple, name), ACCEPT_SIMPLE, known).await
    }

    /// The listing of all projects, unless it is still the copy that `known` is of. Extra memory is bounded: the
    /// body is parsed while it is read.
    pub async fn listing_unless(&self, known: &Validators) -> Result<Listed, UpstreamError> {
        let addresses = &self.transport.addresses;
        if let Some(simple) = addresses.simple() {
            return self.listing_at(simple, known).await;
        }
        Box::pin(self.listing_somewhere(known)).await
    }

    async fn listing_somewhere(&self, known: &Validators) -> Result<Listed, UpstreamError> {
        let addresses = &self.transport.addresses;
        let mut first = None;
        for (at, simple) in addresses.candidates().iter().enumerate() {
            let listed = self.listing_at(simple, known).await;
            let shown = match &listed {
                Ok(Listed::New(listing)) => at == 0 || self.is_index(simple, listing).await,
                Ok(Listed::Same { .. }) => true,
                Err(_) => false,
            };
            if shown {
                addresses.note_simple(simple);
                return listed;
            }
            if listed.as_ref().is_err_and(|error| !error.may_be_elsewhere()) {
                return listed;
            }
            first.get_or_insert(listed);
        }
        first.unwrap_or(Err(UpstreamError::Settings("an index without an address")))
    }

    /// Whether the projects that a listing of the unlikely address names have pages with files.
    async fn is_index(&self, simple: &Url, listing: &Listing) -> bool {
        let names = || listing.projects.iter().filter_map(|project| ProjectName::parse(&project.name).ok());
        // It has just said that there is no such page: what it lists are the folders of a mirror.
        if names().any(|name| name.as_str() == "simple") {
            return false;
        }
        for name in names().take(LOOKS) {
            if let Ok(Fetched::Fresh(document)) = self.page_below(simple, &name, &Validators::default()).await
                && shows(&name, &document, self.document_memory(), |page| !page.files.is_empty()).await
            {
                return true;
            }
        }
        false
    }
}

/// Whether a document is an index's page of which `proof` holds. Read beside the reactor: it may be a large one.
async fn shows(
    name: &ProjectName,
    document: &Document,
    most: usize,
    proof: impl FnOnce(&ProjectPage) -> bool + Send,
) -> bool {
    let (name, body, url): (_, Bytes, _) = (name.clone(), document.body.clone(), document.url.clone());
    let media_type = document.content_type.clone();
    let read = spawn_blocking(move || ProjectPage::read(&name, &media_type, &body, &url, most)).await;
    read.is_ok_and(|page| page.is_ok_and(|page| proof(&page)))
}
