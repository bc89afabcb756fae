//! Bulk answers kept as bytes, by what was asked and our last serial: written once, coded once, read by all.
//!
//! Not a [`crate::memo::Memo`]: readers need not wait for the whole, and what it costs is counted while it grows and
//! until the last reader leaves.

use std::sync::Arc;

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::Semaphore;

use super::answer::{Answer, Pieces, StreamError};
use super::cursor::Scan;
use super::kept_renderings::KeptRenderings;
use super::rendering::{Rendering, units};
use crate::bounded::{Bounded, by_count};
use crate::journal::{AnswerKey, Slice};
use crate::model::Serial;
use crate::xmlrpc::Fault;

/// Codes an answer on its way, as the edge would: what it makes is kept.
pub type Coder = fn(Pieces) -> Pieces;

/// Entries that may be written at once besides those kept. A third is not kept: it goes straight to its reader.
const WRITING: usize = 2;
/// Questions whose answers are known to be too large to keep.
const UNFIT: u64 = 1_000;

/// What an answer is made of.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Subject {
    /// Events, with or without their serials.
    Slice { slice: Slice, serials: bool },
    /// A page of events.
    Page { scan: Scan, limit: usize },
    /// All projects, by the version of their table.
    Packages { serials: bool, version: i64 },
    /// Upstream's answer, by its stamp.
    Relayed { key: AnswerKey, stamp: u64 },
}

/// An answer's key.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Key {
    pub(super) subject: Subject,
    /// Our last serial: with the next event the answer may be another.
    pub(super) head: Option<Serial>,
    /// Wide numbers may be in it.
    pub(super) wide: bool,
}

/// How an answer is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Form {
    Plain,
    Coded,
}

/// The kept answers.
pub(super) struct Renderings {
    kept: Arc<KeptRenderings<(Key, Form)>>,
    unfit: Arc<Bounded<(Subject, Form), ()>>,
    room: Arc<Semaphore>,
    entry: u32,
}

impl Renderings {
    /// `bytes`: what all kept answers may take; `entry`: what one may.
    pub(super) fn new(bytes: usize, entry: usize) -> Self {
        let kept = Arc::new(KeptRenderings::new(units(bytes)));
        let units = usize::try_from(units(bytes + WRITING * entry)).unwrap_or(usize::MAX);
        let room = Arc::new(Semaphore::new(units.min(Semaphore::MAX_PERMITS)));
        Self { kept, unfit: Arc::new(by_count(UNFIT)), room, entry: self::units(entry) }
    }

    /// The answer that `make` writes: kept, on its way, or started now. Answers that would be too large, or have no
    /// room, go straight to their reader, which then codes them itself.
    pub(super) async fn answer(
        &self,
        key: Key,
        coder: Option<Coder>,
        make: impl Fn() -> Pieces + Send + Sync + 'static,
    ) -> Result<Answer, Fault> {
        let make = Arc::new(make);
        let Some(rendering) = self.rendering(&key, coder, &make) else {
            return Answer::streamed(make()).await;
        };
        // A slice by serial is the same pieces at any time: who was reading what turns out too large reads on in one
        // of its own. Others are cut, and would not continue where they ended.
        let frozen = matches!(key.subject, Subject::Slice { slice: Slice::Serials { .. }, .. });
        let retry = move || match coder {
            Some(coder) => coder(make()),
            None => make(),
        };
        let length = rendering.length();
        let pieces = if frozen { resumed(rendering.read(), retry) } else { rendering.read() };
        if coder.is_some() {
            Answer::coded(pieces, length).await
        } else {
            Answer::sized(pieces, length).await
        }
    }

    fn rendering<M>(&self, key: &Key, coder: Option<Coder>, make: &Arc<M>) -> Option<Arc<Rendering>>
    where
        M: Fn() -> Pieces + Send + Sync + 'static,
    {
        let form = if coder.is_some() { Form::Coded } else { Form::Plain };
        // A list of all names has some 70 MB; coded, a sixth.
        let large = matches!(key.subject, Subject::Packages { .. }) && form == Form::Plain;
        if large || self.unfit.contains_key(&(key.subject.clone(), form)) {
            return None;
        }
        let place = (key.clone(), form);
        let (kept, unfit, at) = (self.kept.clone(), self.unfit.clone(), place.clone());
        self.kept.get_or(&place, || {
            let room = self.room.clone().try_acquire_many_owned(self.entry).ok()?;
            let pieces = coder.map_or_else(|| make(), |coder| coder(make()));
            Some(Rendering::start(pieces, room, move |end| match end {
                Ok(()) => kept.settle(),
                Err(error) => {
                    kept.remove(&at);
                    if matches!(error, StreamError::TooLarge) {
                        unfit.insert((at.0.subject, at.1), ());
                    }
                }
            }))
        })
    }
}

/// `pieces`, and where they end for their size, the rest of what `again` writes.
fn resumed(pieces: Pieces, again: impl Fn() -> Pieces + Send + Sync + 'static) -> Pieces {
    stream::unfold((pieces, 0, true, again), |(mut pieces, at, first, again)| async move {
        match pieces.next().await? {
            Err(StreamError::TooLarge) if first => {
                let (piece, rest) = skipped(again(), at).await?;
                Some((piece, (rest, at, false, again)))
            }
            piece => {
                let after = at + piece.as_ref().map_or(0, Bytes::len);
                Some((piece, (pieces, after, first, again)))
            }
        }
    })
    .boxed()
}

/// What follows the first `bytes` bytes: pieces may be cut otherwise than those that were read before.
async fn skipped(mut pieces: Pieces, mut bytes: usize) -> Option<(Result<Bytes, StreamError>, Pieces)> {
    while let Some(piece) = pieces.next().await {
        let Ok(mut whole) = piece else { return Some((piece, pieces)) };
        if bytes < whole.len() {
            return Some((Ok(whole.split_off(bytes)), pieces));
        }
        bytes -= whole.len();
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::answer::Streamed;
    use super::*;

    fn key(after: i64) -> Key {
        let slice = Slice::Serials { after: Serial(after), upto: Serial(after + 1) };
        Key { subject: Subject::Slice { slice, serials: true }, head: Some(Serial(9)), wide: false }
    }

    /// Ten pieces.
    fn ten_of(bytes: usize) -> Pieces {
        stream::iter((0..10u8).map(move |n| Ok(Bytes::from(vec![n; bytes])))).boxed()
    }

    /// Ten pieces of 100 KiB.
    fn ten() -> Pieces {
        ten_of(100 << 10)
    }

    async fn bytes(answer: Answer) -> Vec<u8> {
        match answer {
            Answer::Whole(bytes) => bytes.to_vec(),
            Answer::Stream(Streamed { pieces, .. }) | Answer::Coded(Streamed { pieces, .. }) => {
                let pieces: Vec<Bytes> = pieces.map(Result::unwrap).collect().await;
                pieces.concat()
            }
        }
    }

    async fn all() -> Vec<u8> {
        bytes(Answer::Stream(Streamed { pieces: ten(), length: None })).await
    }

    #[tokio::test]
    async fn an_answer_is_written_and_coded_once_for_all_its_readers() {
        static CODED: AtomicUsize = AtomicUsize::new(0);
        let (renderings, made) = (Renderings::new(4 << 20, 2 << 20), Arc::new(AtomicUsize::new(0)));
        let coder: Coder = |pieces| {
            CODED.fetch_add(1, Ordering::SeqCst);
            pieces
        };
        let asked = (0..50).map(|_| {
            let made = made.clone();
            renderings.answer(key(0), Some(coder), move || {
                made.fetch_add(1, Ordering::SeqCst);
                ten()
            })
        });
        for answer in futures_util::future::join_all(asked).await {
            let answer = answer.unwrap();
            assert!(matches!(answer, Answer::Coded(_)));
            assert_eq!(bytes(answer).await, all().await);
        }
        assert_eq!((made.load(Ordering::SeqCst), CODED.load(Ordering::SeqCst)), (1, 1));
    }

    #[tokio::test]
    async fn what_turns_out_too_large_is_read_to_its_end_and_not_tried_again() {
        // Eight pieces fit, and seven of them are joined.
        const SIZE: usize = 150 << 10;
        let (renderings, counter) = (Renderings::new(4 << 20, 8 * SIZE), Arc::new(AtomicUsize::new(0)));
        let all = bytes(Answer::Stream(Streamed { pieces: ten_of(SIZE), length: None })).await;
        for expected in [2, 3] {
            let count = counter.clone();
            let make = move || {
                count.fetch_add(1, Ordering::SeqCst);
                ten_of(SIZE)
            };
            let answer = renderings.answer(key(0), None, make).await.unwrap();
            assert_eq!(bytes(answer).await, all);
            assert_eq!(counter.load(Ordering::SeqCst), expected);
        }
    }

    #[tokio::test]
    async fn readers_hold_room_and_without_room_nothing_is_kept() {
        let renderings = Renderings::new(1 << 20, 1 << 20);
        let mut reading = Vec::new();
        for n in 0..6 {
            let answer = renderings.answer(key(n), None, ten).await.unwrap();
            reading.push(answer);
        }
        // Three entries of a MiB: what is kept, and what may be written besides.
        assert!(renderings.room.available_permits() < 1 << 10);
        for answer in reading {
            assert_eq!(bytes(answer).await, all().await);
        }
        // One is still kept.
        assert_eq!(renderings.room.available_permits(), (3 << 10) - 1000);
    }

    #[tokio::test]
    async fn a_failure_is_told_and_not_kept() {
        let renderings = Renderings::new(4 << 20, 2 << 20);
        let broken = || stream::iter([Err(StreamError::Lost)]).boxed();
        assert!(renderings.answer(key(0), None, broken).await.is_err());
        let answer = renderings.answer(key(0), None, ten).await.unwrap();
        assert_eq!(bytes(answer).await, all().await);
    }
}
