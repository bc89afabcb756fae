//! What a request gets.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;

use super::RelayError;
use super::resources::Resources;
use super::source::Source;
use super::tally::Outcome;
use crate::model::{FilePath, ProjectName, Sha256};

/// An answer in the terms of files; the HTTP layer words it.
#[derive(Debug)]
pub struct Served {
    /// The file's path, in upstream's spelling.
    pub path: FilePath,
    /// The project whose page names it.
    pub project: ProjectName,
    /// Its digest, if the index states one.
    pub sha256: Option<Sha256>,
    /// Its whole size, if anybody states it.
    pub size: Option<u64>,
    /// Where the bytes come from.
    pub source: Source,
    /// Upstream could not be asked lately whether the file is still there.
    pub stale: bool,
    /// How long ago its fetch began, if it is here.
    pub age: Option<Duration>,
    /// The answer itself.
    pub answer: FileAnswer,
}

/// The kinds of answer.
#[derive(Debug)]
pub enum FileAnswer {
    /// The client has it already.
    NotModified,
    /// The file has no such bytes.
    Unsatisfiable,
    /// HEAD: everything but the bytes.
    Head,
    /// The whole file.
    Whole(Content),
    /// A part of it.
    Part(Range<u64>, Content),
}

/// A body's bytes. It ends without an error only if all of them are right; after an error the connection
/// must be cut.
pub struct Content(Bytewise);

enum Bytewise {
    /// All of them are here: one piece, and no future to poll.
    Ready(Ready),
    /// They come as they are asked for.
    Pumped(Pin<Box<dyn Stream<Item = Result<Bytes, RelayError>> + Send>>),
}

/// A body in memory; counted once it is taken, or left.
struct Ready {
    bytes: Bytes,
    source: Source,
    resources: Arc<Resources>,
    taken: bool,
}

impl Content {
    /// Bytes that are here.
    pub(super) fn ready(bytes: Bytes, source: Source, resources: &Arc<Resources>) -> Self {
        Self(Bytewise::Ready(Ready { bytes, source, resources: Arc::clone(resources), taken: false }))
    }

    /// Bytes that are fetched, read or awaited one by one.
    pub(super) fn pumped(stream: impl Stream<Item = Result<Bytes, RelayError>> + Send + 'static) -> Self {
        Self(Bytewise::Pumped(Box::pin(stream)))
    }

    /// The bytes, at the reader's pace.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, RelayError>> + Send + Unpin {
        self
    }
}

impl Stream for Content {
    type Item = Result<Bytes, RelayError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        match &mut self.0 {
            Bytewise::Ready(ready) => {
                if std::mem::replace(&mut ready.taken, true) || ready.bytes.is_empty() {
                    return Poll::Ready(None);
                }
                Poll::Ready(Some(Ok(ready.bytes.clone())))
            }
            Bytewise::Pumped(stream) => stream.as_mut().poll_next(cx),
        }
    }
}

impl Drop for Ready {
    fn drop(&mut self) {
        let (outcome, bytes) =
            if self.taken { (Outcome::Complete, self.bytes.len() as u64) } else { (Outcome::Left, 0) };
        self.resources.counters.count(self.source, outcome, bytes);
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content")
    }
}
