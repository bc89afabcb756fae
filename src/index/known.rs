//! What a page lets be fetched.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::location;
use crate::journal::KnownFile;
use crate::model::{Digest, FilePath, ProjectName, Sha256};
use crate::upstream::{CoreMetadata, PageFile, metadata_path, strongest};

/// Stands for a stated digest that cannot be one: no bytes are known that have it, so none are delivered.
const UNMATCHED: Sha256 = Sha256([0; 32]);

impl PageFile {
    /// What may be fetched for this line: the file, and its metadata if advertised.
    pub(super) fn known(&self, project: &ProjectName) -> impl Iterator<Item = KnownFile> {
        self.known_at(&self.path, project)
    }

    /// The same by the path that the file had before, if that is another.
    pub(super) fn known_before(&self, project: &ProjectName) -> impl Iterator<Item = KnownFile> {
        self.earlier.iter().flat_map(|earlier| self.known_at(earlier, project))
    }

    fn known_at(&self, path: &FilePath, project: &ProjectName) -> impl Iterator<Item = KnownFile> + use<> {
        let address = self.url.as_str().into();
        let file = known(project, path.clone(), address, deciding(&self.hashes, self.unmatchable), self.size);
        let metadata = match &self.core_metadata {
            CoreMetadata::No => None,
            CoreMetadata::Yes(hashes) => metadata_path(path).map(|path| {
                let address = location::metadata_url(&self.url).as_str().into();
                known(project, path, address, strongest(hashes), None)
            }),
        };
        std::iter::once(file).chain(metadata)
    }
}

/// A file that an index names; `digest` decides whether its bytes are right.
pub(super) fn known(
    project: &ProjectName,
    path: FilePath,
    url: Arc<str>,
    digest: Option<Digest>,
    size: Option<u64>,
) -> KnownFile {
    let sha256 = digest.and_then(|digest| digest.sha256());
    // Some indexes state 0 where they do not know.
    let size = size.filter(|&size| size > 0);
    KnownFile { path, url, digest, sha256, size, project: project.clone() }
}

/// The digest that decides, of those that are stated: none that bytes can have, if all are wrong.
pub(super) fn deciding(hashes: &BTreeMap<String, String>, unmatchable: bool) -> Option<Digest> {
    if unmatchable { Some(UNMATCHED.into()) } else { strongest(hashes) }
}
