//! What is remembered of a file that is asked for often.

use std::sync::Weak;

use super::parsed::Parsed;
use crate::journal::KnownFile;
use crate::revalidate::Entry;
use crate::upstream::ProjectPage;

/// A file's line on a page. The page is not held for it: that has its own bound.
#[derive(Debug, Clone)]
pub(super) struct Line {
    pub(super) file: KnownFile,
    pub(super) page: Weak<Entry<Parsed<ProjectPage>>>,
}
