//! A file fetched for nobody: to be kept.

use futures_util::StreamExt as _;

use super::target::Target;
use super::{Conditions, FetchError, FileAnswer, Relay, RelayError, Source};
use crate::blob::Key;
use crate::journal::KnownFile;

/// How a file that was to be kept was come by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fetched {
    /// Where its bytes came from; [`Source::Hit`] if it was there.
    pub source: Source,
    /// Bytes that came.
    pub bytes: u64,
}

impl Relay {
    /// It is here; that this was asked is no use of it.
    pub async fn is_kept(&self, file: &KnownFile) -> bool {
        match self.resources.content_of(&Target::new(file)).await {
            Some(sha256) => self.resources.store.has(&Key { sha256, size: None }).await,
            None => false,
        }
    }

    /// Makes sure that a flight is on its way for a file that is being uploaded.
    pub fn receive(&self, file: &KnownFile) -> Result<(), RelayError> {
        let Some(digest) = file.digest else { return Err(FetchError::NoDigest.into()) };
        self.delivery.join(&Target::new(file), digest).map(|_| ())
    }

    /// The most bytes that any file may have.
    pub fn largest_file(&self) -> u64 {
        self.resources.settings.max_file
    }

    /// Brings a file here, as a client's request would, and reads it to its end. A file that cannot be kept is
    /// passed through to here, for nothing.
    pub async fn fetch(&self, file: KnownFile) -> Result<Fetched, RelayError> {
        let served = self.delivery.serve(Target::new(&file), &Conditions::default()).await;
        let served = self.remember(served, &file).await?;
        let source = served.source;
        let mut bytes = 0;
        if let (FileAnswer::Whole(content) | FileAnswer::Part(_, content), false) =
            (served.answer, source == Source::Hit)
        {
            let mut stream = content.into_stream();
            while let Some(piece) = stream.next().await {
                bytes += piece?.len() as u64;
            }
        }
        if let Some(digest) = &file.digest {
            self.delivery.landed(digest).await;
        }
        Ok(Fetched { source, bytes })
    }
}
