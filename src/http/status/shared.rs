//! What all status pages answer from.

use std::sync::Arc;

use axum::http::request::Parts;

use super::inputs::StatusInputs;
use super::layout::Site;
use crate::http::admin::Admin;
use crate::http::origin::Origins;
use crate::index::Index;
use crate::rpc::Rpc;

/// How long caches on the way may keep what upstream or the disk may change at any moment.
pub(super) const ASK: &str = "no-cache";

/// The pages. Clones are one.
#[derive(Clone)]
pub(in crate::http) struct StatusPages(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) inputs: StatusInputs,
    pub(super) admin: Admin,
    pub(super) rpc: Rpc,
    pub(super) index: Index,
    pub(super) origins: Origins,
}

impl Inner {
    pub(super) fn site<'a>(&'a self, request: &'a Parts) -> Site<'a> {
        Site { origins: &self.origins, request }
    }
}
