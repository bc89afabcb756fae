//! Whether upstream names a file at all, where "no" has to be upstream's word of now.

use super::target::Target;
use super::{Relay, relay::old_address};
use crate::model::FilePath;

impl Relay {
    /// Upstream's index of now does not name the file; false if upstream cannot be asked.
    pub async fn is_unnamed(&self, path: &FilePath) -> bool {
        let unnamed = self.index.is_unnamed(path, old_address(path).as_ref()).await;
        unnamed.unwrap_or_else(|error| {
            tracing::debug!(%path, %error, "whether upstream names a file is not known");
            false
        })
    }

    /// Waits until the file at the path is not on its way any more.
    pub async fn settled(&self, path: &FilePath) {
        if let Ok(found) = self.index.file(path).await
            && let Some(digest) = Target::new(&found.file).digest
        {
            self.delivery.landed(&digest).await;
        }
    }
}
