//! What a page lets be fetched.

use std::collections::BTreeMap;

use super::location;
use crate::journal::KnownFile;
use crate::model::{ProjectName, Sha256};
use crate::upstream::{CoreMetadata, PageFile, metadata_path};

/// Stands for a stated digest that cannot be one: no bytes are known that have it, so none are delivered.
pub(super) const UNMATCHED: Sha256 = Sha256([0; 32]);

impl PageFile {
    /// What may be fetched for this line: the file, and its metadata if advertised.
    pub(super) fn known(&self, project: &ProjectName) -> impl Iterator<Item = KnownFile> {
        let file = KnownFile {
            path: self.path.clone(),
            url: self.url.as_str().into(),
            sha256: if self.unmatchable { Some(UNMATCHED) } else { sha256(&self.hashes) },
            // Some indexes state 0 where they do not know.
            size: self.size.filter(|&size| size > 0),
            project: project.clone(),
        };
        let metadata = match &self.core_metadata {
            CoreMetadata::No => None,
            CoreMetadata::Yes(hashes) => metadata_path(&self.path).map(|path| KnownFile {
                path,
                url: location::metadata_url(&self.url).as_str().into(),
                sha256: sha256(hashes),
                size: None,
                project: project.clone(),
            }),
        };
        std::iter::once(file).chain(metadata)
    }
}

fn sha256(hashes: &BTreeMap<String, String>) -> Option<Sha256> {
    hashes.get("sha256")?.parse().ok()
}
