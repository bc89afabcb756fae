//! An answer on its way into memory, and everybody who reads it meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::answer::{Pieces, StreamError};

/// An answer that is written once, by a task of its own, and read by any number, while it is written and after.
/// Its bytes are accounted for until the last reader leaves.
pub(super) struct Rendering {
    written: Mutex<Written>,
    room: Mutex<Option<OwnedSemaphorePermit>>,
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Default)]
struct Progress {
    bytes: usize,
    end: Option<Result<(), StreamError>>,
}

/// What is there, in pieces that are joined as it grows.
#[derive(Default)]
struct Written {
    /// Joined pieces, then those that are not yet enough.
    pieces: Vec<Bytes>,
    joined: usize,
}

/// Bytes of a joined piece. Each piece wakes its client: a page of 13 MB takes Python 8 ms in pieces of 128 KiB, 5 in such.
const JOINED: usize = 1024 * 1024;

/// A KiB is the unit of room.
const UNIT: usize = 1024;

/// The room that so many bytes take.
pub(super) fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

impl Rendering {
    /// Starts writing. `room` is what the answer may take; what it does not need goes back at the end.
    pub(super) fn start(
        mut pieces: Pieces,
        room: OwnedSemaphorePermit,
        ended: impl FnOnce(&Result<(), StreamError>) + Send + 'static,
    ) -> Arc<Self> {
        let most = room.num_permits() * UNIT;
        let rendering = Arc::new(Self {
            written: Mutex::default(),
            room: Mutex::new(Some(room)),
            progress: watch::Sender::default(),
        });
        let landing = Landing(rendering.clone());
        tokio::spawn(async move {
            let rendering = &landing.0;
            let mut end = Ok(());
            while let Some(piece) = pieces.next().await {
                end = piece.and_then(|piece| rendering.push(piece, most));
                if end.is_err() {
                    break;
                }
            }
            rendering.shrink();
            ended(&end);
            rendering.progress.send_modify(|progress| progress.end = Some(end));
        });
        rendering
    }

    /// What is in it so far, in units of room.
    pub(super) fn weight(&self) -> u32 {
        units(self.progress.borrow().bytes)
    }

    /// All its bytes, if it has ended well.
    pub(super) fn length(&self) -> Option<u64> {
        let progress = self.progress.borrow();
        matches!(progress.end, Some(Ok(()))).then_some(u64::try_from(progress.bytes).ok()).flatten()
    }

    /// It ended, and not well.
    pub(super) fn failed(&self) -> bool {
        matches!(self.progress.borrow().end, Some(Err(_)))
    }

    fn push(&self, piece: Bytes, most: usize) -> Result<(), StreamError> {
        let bytes = self.progress.borrow().bytes + piece.len();
        if bytes > most {
            return Err(StreamError::TooLarge);
        }
        lock(&self.written).push(piece);
        self.progress.send_modify(|progress| progress.bytes = bytes);
        Ok(())
    }

    fn shrink(&self) {
        let needed = usize::try_from(self.weight()).unwrap_or(usize::MAX);
        let mut room = lock(&self.room);
        if let Some(permit) = room.as_mut() {
            let spare = permit.num_permits().saturating_sub(needed);
            drop(permit.split(spare));
        }
    }

    /// All of it from the start, as it comes.
    pub(super) fn read(self: &Arc<Self>) -> Pieces {
        let progress = self.progress.subscribe();
        stream::unfold(Some((self.clone(), progress, 0)), |reading| async move {
            let (rendering, mut progress, at) = reading?;
            let end = match progress.wait_for(|now| now.bytes > at || now.end.is_some()).await {
                Ok(now) if now.bytes > at => None,
                Ok(now) => now.end.clone(),
                Err(_) => Some(Err(StreamError::Lost)),
            };
            match end {
                None => {
                    let piece = lock(&rendering.written).from(at).ok_or(StreamError::Lost);
                    let after = at + piece.as_ref().map_or(0, Bytes::len);
                    Some((piece, Some((rendering, progress, after))))
                }
                Some(Ok(())) => None,
                Some(Err(error)) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}

impl Written {
    fn push(&mut self, piece: Bytes) {
        self.pieces.push(piece);
        let loose = &self.pieces[self.joined..];
        let bytes = loose.iter().map(Bytes::len).sum();
        if bytes < JOINED {
            return;
        }
        if loose.len() > 1 {
            let mut whole = BytesMut::with_capacity(bytes);
            for piece in loose {
                whole.extend_from_slice(piece);
            }
            self.pieces.truncate(self.joined);
            self.pieces.push(whole.freeze());
        }
        self.joined += 1;
    }

    /// The bytes from a place on, up to the end of a piece.
    fn from(&self, at: usize) -> Option<Bytes> {
        let mut start = 0;
        for piece in &self.pieces {
            if at < start + piece.len() {
                return Some(piece.slice(at - start..));
            }
            start += piece.len();
        }
        None
    }
}

/// Ends a flight whose task ends without a word.
struct Landing(Arc<Rendering>);

impl Drop for Landing {
    fn drop(&mut self) {
        self.0.progress.send_if_modified(|progress| {
            let lost = progress.end.is_none();
            progress.end.get_or_insert(Err(StreamError::Lost));
            lost
        });
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing panics while it is held.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;
    use tokio::sync::Semaphore;
    use tokio::sync::mpsc;
    use tokio_stream::wrappers::UnboundedReceiverStream;

    use super::*;

    async fn started(most: usize) -> (mpsc::UnboundedSender<Result<Bytes, StreamError>>, Arc<Rendering>) {
        let (sender, pieces) = mpsc::unbounded_channel();
        let room =
            Arc::new(Semaphore::new(units(most) as usize)).acquire_many_owned(units(most)).await.unwrap();
        (sender, Rendering::start(UnboundedReceiverStream::new(pieces).boxed(), room, |_| ()))
    }

    /// Six of them are joined.
    const PIECE: usize = JOINED / 5;

    fn piece(n: u8) -> Bytes {
        vec![n; PIECE].into()
    }

    #[tokio::test]
    async fn a_reader_anywhere_gets_the_same_bytes_though_pieces_are_joined() {
        let (sender, rendering) = started(4 << 20).await;
        let mut readers: Vec<(Pieces, Vec<u8>)> = Vec::new();
        for n in 0..13 {
            readers.push((rendering.read(), Vec::new()));
            sender.send(Ok(piece(n))).unwrap();
            // Each reader is as far as it can be, in pieces as they came or as they are joined by now.
            while rendering.progress.borrow().bytes < (usize::from(n) + 1) * PIECE {
                tokio::task::yield_now().await;
            }
            for (reader, read) in readers.iter_mut().step_by(2) {
                while let Some(Some(piece)) = reader.next().now_or_never() {
                    read.extend_from_slice(&piece.unwrap());
                }
            }
        }
        drop(sender);
        let all: Vec<u8> = (0..13).flat_map(piece).collect();
        for (reader, mut read) in readers {
            let rest: Vec<Bytes> = reader.map(Result::unwrap).collect().await;
            read.extend(rest.concat());
            assert!(read == all);
        }
        let sizes: Vec<usize> = rendering.read().map(|piece| piece.unwrap().len() / PIECE).collect().await;
        assert_eq!(sizes, [6, 6, 1]);
        assert_eq!(rendering.length(), Some(13 * PIECE as u64));
    }

    #[tokio::test]
    async fn what_does_not_fit_ends_with_what_did() {
        let (sender, rendering) = started(PIECE * 5 / 2).await;
        (0..4).for_each(|n| sender.send(Ok(piece(n))).unwrap());
        let read: Vec<_> = rendering.read().collect().await;
        assert_eq!(read.len(), 3);
        assert!(matches!(read[2], Err(StreamError::TooLarge)) && rendering.failed());
    }
}
