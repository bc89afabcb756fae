//! The addresses that mirrors and programs of PyPI's first server know (docs/wire.md section 9): status and header fields.

mod actions;
mod classifiers;
mod doap;
mod feeds;
mod moments;
mod signed;

use axum::Router;

use super::index::Documents;
use super::origin::Origins;
use super::push::Push;
use super::status::StatusPages;
use crate::index::Signatures;
use crate::rpc::OldAddresses;

/// The addresses of calls, to others than a POST. Web pages call nothing here, so these are not for them.
pub(super) fn actions(
    old: OldAddresses,
    documents: Documents,
    push: Push,
    pages: StatusPages,
    origins: Origins,
) -> Router {
    actions::routes(old, documents, push, pages, origins)
}

/// The other routes of old addresses. GET and HEAD only.
pub(super) fn routes(old: &OldAddresses, signatures: Signatures, origins: &Origins) -> Router {
    doap::routes(old.clone())
        .merge(feeds::routes(old.clone(), origins.clone()))
        .merge(moments::routes(old.clone(), origins.clone()))
        .merge(signed::routes(signatures, origins.clone()))
}
