//! The memory of bodies: large buffers from a common pool, and a small one of each body's own.
//!
//! hyper takes as much from a body as it can queue, some 400 KB a connection; with a thousand slow clients
//! that alone is 400 MB. So a buffer is lent, and comes back when its bytes are on the socket. A few clients
//! get the pool's and are quick; many hold the pool and go on with their own.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

use super::RelaySettings;

/// The pool that all bodies share.
#[derive(Debug)]
pub(super) struct Buffers {
    pool: Arc<Semaphore>,
    large: usize,
    small: usize,
}

/// One body's share.
#[derive(Debug)]
pub(super) struct Lane {
    own: Arc<Semaphore>,
    pool: Arc<Semaphore>,
    large: usize,
    small: usize,
}

/// The right to fill one buffer.
#[derive(Debug)]
pub(super) struct Turn {
    /// Bytes of the buffer, at least 1.
    pub(super) size: usize,
    permit: OwnedSemaphorePermit,
}

/// A buffer on its way to a socket.
#[derive(Debug)]
struct Lent {
    bytes: Vec<u8>,
    _permit: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Lent {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Buffers {
    pub(super) fn new(settings: &RelaySettings) -> Self {
        let (large, small) = (settings.pool_buffer.max(1), settings.own_buffer.max(1));
        Self { pool: Arc::new(Semaphore::new(settings.pool / large)), large, small }
    }

    pub(super) fn lane(&self) -> Lane {
        let (own, pool) = (Arc::new(Semaphore::new(1)), Arc::clone(&self.pool));
        Lane { own, pool, large: self.large, small: self.small }
    }
}

impl Lane {
    /// A buffer of the pool, else the own one, as soon as that is back.
    pub(super) async fn turn(&self) -> Result<Turn, AcquireError> {
        if let Ok(permit) = Arc::clone(&self.pool).try_acquire_owned() {
            return Ok(Turn { size: self.large, permit });
        }
        let permit = Arc::clone(&self.own).acquire_owned().await?;
        Ok(Turn { size: self.small, permit })
    }
}

impl Turn {
    /// Bytes that give the buffer back when the last reference to them is gone.
    pub(super) fn lend(self, bytes: Vec<u8>) -> Bytes {
        Bytes::from_owner(Lent { bytes, _permit: self.permit })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    fn buffers(pool: usize) -> Buffers {
        Buffers::new(&RelaySettings { pool, pool_buffer: 20, own_buffer: 10, ..RelaySettings::default() })
    }

    #[tokio::test]
    async fn a_body_has_the_pool_then_its_own_buffer_then_waits() {
        let lane = buffers(20).lane();
        let first = lane.turn().await.unwrap();
        let second = lane.turn().await.unwrap();
        assert_eq!((first.size, second.size), (20, 10));
        let (first, second) = (first.lend(vec![0; 20]), second.lend(vec![0; 10]));
        let part = second.slice(3..4);
        drop(second);
        assert!(lane.turn().now_or_never().is_none(), "a part of it is still on its way");
        drop(part);
        assert!(lane.turn().now_or_never().is_some());
        drop(first);
        assert_eq!(lane.turn().await.unwrap().size, 20);
    }

    #[tokio::test]
    async fn slow_bodies_never_take_the_last_buffer_of_another() {
        let buffers = buffers(20);
        let (slow, quick) = (buffers.lane(), buffers.lane());
        let _stuck = (slow.turn().await.unwrap(), slow.turn().await.unwrap());
        assert!(slow.turn().now_or_never().is_none());
        assert!(quick.turn().now_or_never().is_some());
    }
}
