//! What a request gets.

use std::fmt;
use std::ops::Range;
use std::pin::Pin;

use bytes::Bytes;
use futures_util::Stream;

use super::RelayError;
use crate::model::{FilePath, Sha256};

/// An answer in the terms of files; the HTTP layer words it.
#[derive(Debug)]
pub struct Served {
    /// The file's path, in upstream's spelling.
    pub path: FilePath,
    /// Its digest, if the index states one.
    pub sha256: Option<Sha256>,
    /// Its whole size, if anybody states it.
    pub size: Option<u64>,
    /// Where the bytes come from.
    pub source: Source,
    /// The answer itself.
    pub answer: Answer,
}

/// The kinds of answer.
#[derive(Debug)]
pub enum Answer {
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

/// Where bytes come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// It is here, whole and right.
    Hit,
    /// This request started the fetch.
    Miss,
    /// Another request did.
    Joined,
    /// Passed through for this request alone, and not kept.
    Relayed,
}

impl Source {
    /// The word in metrics.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Hit => "hit",
            Self::Miss => "miss",
            Self::Joined => "joined",
            Self::Relayed => "relayed",
        }
    }
}

/// A body's bytes. It ends without an error only if all of them are right; after an error the connection
/// must be cut.
pub struct Content(pub(super) Pin<Box<dyn Stream<Item = Result<Bytes, RelayError>> + Send>>);

impl Content {
    /// The bytes, at the reader's pace.
    pub fn into_stream(self) -> impl Stream<Item = Result<Bytes, RelayError>> + Send {
        self.0
    }
}

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content")
    }
}
