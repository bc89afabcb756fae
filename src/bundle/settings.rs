//! Whose bundles are taken.

use std::path::PathBuf;

use crate::model::settings;

settings! {
    /// Whose bundles are taken.
    #[derive(Debug, Clone)]
    pub struct BundleSettings in "bundle" {
        /// The file with the public key of the relay whose bundles are imported, in PEM: what `cheesewire bundle key` prints there.
        public_key: Option<PathBuf> = None,
    }
}
