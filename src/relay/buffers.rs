//! The memory of bodies: one buffer each, and a common pool to read ahead with.
//!
//! hyper takes as much from a body as it can queue, some 400 KB a connection; with a thousand slow clients
//! that alone is 400 MB. So a buffer is lent, and comes back when its bytes are on the socket.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// The pool that all bodies share.
#[derive(Debug)]
pub(super) struct Buffers {
    pool: Arc<Semaphore>,
    chunk: usize,
}

/// One body's share.
#[derive(Debug)]
pub(super) struct Lane {
    own: Arc<Semaphore>,
    pool: Arc<Semaphore>,
    /// Bytes of a buffer.
    pub(super) chunk: usize,
}

/// A buffer on its way to a socket.
#[derive(Debug)]
struct Lent {
    bytes: Vec<u8>,
    _turn: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Buffers {
    pub(super) fn new(chunk: usize, read_ahead: usize) -> Self {
        let chunk = chunk.max(1);
        Self { pool: Arc::new(Semaphore::new(read_ahead / chunk)), chunk }
    }

    pub(super) fn lane(&self) -> Lane {
        Lane { own: Arc::new(Semaphore::new(1)), pool: Arc::clone(&self.pool), chunk: self.chunk }
    }
}

impl Lane {
    /// The right to fill one buffer: the own one, else one of the pool, else the own one when it is back.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, AcquireError> {
        let own = Arc::clone(&self.own);
        if let Ok(turn) = own.try_acquire_owned() {
            return Ok(turn);
        }
        if let Ok(turn) = Arc::clone(&self.pool).try_acquire_owned() {
            return Ok(turn);
        }
        Arc::clone(&self.own).acquire_owned().await
    }
}

/// Bytes that give the turn back when the last reference to them is gone.
pub(super) fn lent(bytes: Vec<u8>, turn: OwnedSemaphorePermit) -> Bytes {
    Bytes::from_owner(Lent { bytes, _turn: turn })
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_body_waits_for_its_own_buffer_once_the_pool_is_empty() {
        let lane = Buffers::new(10, 10).lane();
        let first = lent(vec![0; 10], lane.turn().await.unwrap());
        let second = lent(vec![0; 10], lane.turn().await.unwrap());
        assert!(lane.turn().now_or_never().is_none());
        drop(second);
        // The pool's came back, but a body that waits, waits for its own.
        assert!(lane.turn().now_or_never().is_some());
        drop(first);
        assert!(lane.turn().now_or_never().is_some());
    }

    #[tokio::test]
    async fn a_slow_body_never_takes_the_last_buffer_of_another() {
        let buffers = Buffers::new(10, 0);
        let (slow, quick) = (buffers.lane(), buffers.lane());
        let _stuck = lent(vec![0; 10], slow.turn().await.unwrap());
        assert!(slow.turn().now_or_never().is_none());
        assert!(quick.turn().now_or_never().is_some());
    }
}
