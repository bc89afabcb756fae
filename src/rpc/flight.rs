//! An answer on its way into memory, and everybody who reads it meanwhile.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::answer::{Pieces, StreamError};

/// An answer that is written once, by a task of its own, and read by any number, while it is written and after.
/// Its bytes are accounted for until the last reader leaves.
pub(super) struct Flight {
    pieces: Mutex<Vec<Bytes>>,
    room: Mutex<Option<OwnedSemaphorePermit>>,
    progress: watch::Sender<Progress>,
}

#[derive(Clone, Default)]
struct Progress {
    pieces: usize,
    bytes: usize,
    end: Option<Result<(), StreamError>>,
}

/// A KiB is the unit of room.
const UNIT: usize = 1024;

/// The room that so many bytes take.
pub(super) fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

impl Flight {
    /// Starts writing. `room` is what the answer may take; what it does not need goes back at the end.
    pub(super) fn start(
        mut pieces: Pieces,
        room: OwnedSemaphorePermit,
        ended: impl FnOnce(&Result<(), StreamError>) + Send + 'static,
    ) -> Arc<Self> {
        let most = room.num_permits() * UNIT;
        let flight = Arc::new(Self {
            pieces: Mutex::default(),
            room: Mutex::new(Some(room)),
            progress: watch::Sender::default(),
        });
        let landing = Landing(flight.clone());
        tokio::spawn(async move {
            let flight = &landing.0;
            let mut end = Ok(());
            while let Some(piece) = pieces.next().await {
                end = piece.and_then(|piece| flight.push(piece, most));
                if end.is_err() {
                    break;
                }
            }
            flight.shrink();
            ended(&end);
            flight.progress.send_modify(|progress| progress.end = Some(end));
        });
        flight
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
        lock(&self.pieces).push(piece);
        self.progress.send_modify(|progress| {
            progress.pieces += 1;
            progress.bytes = bytes;
        });
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
            let (flight, mut progress, at) = reading?;
            let end = match progress.wait_for(|now| now.pieces > at || now.end.is_some()).await {
                Ok(now) if now.pieces > at => None,
                Ok(now) => now.end.clone(),
                Err(_) => Some(Err(StreamError::Lost)),
            };
            match end {
                None => {
                    let piece = lock(&flight.pieces).get(at).cloned().ok_or(StreamError::Lost);
                    Some((piece, Some((flight, progress, at + 1))))
                }
                Some(Ok(())) => None,
                Some(Err(error)) => Some((Err(error), None)),
            }
        })
        .boxed()
    }
}

/// Ends a flight whose task ends without a word.
struct Landing(Arc<Flight>);

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
