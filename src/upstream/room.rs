//! The bytes of bodies that are in memory while they are read: bounded over all of them.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bodies up to this size need no room, so that large ones do not delay the others: nearly all pages are smaller, and as many as
/// may be fetched at once take no more than a large one.
const SMALL: usize = 1 << 20;
/// A KiB is the unit of room.
const UNIT: usize = 1 << 10;
/// Large bodies up to a sixteenth of all room have a quarter of it for themselves: one of the largest, which may be read for
/// seconds, does not keep them out.
const LARGE: usize = 16;
const OF_LARGE: usize = 4;

/// The room that large bodies have, and that the largest have.
#[derive(Debug)]
pub(super) struct Room {
    large: Part,
    largest: Part,
    /// The most bytes of a large one.
    most: usize,
}

#[derive(Debug)]
struct Part {
    units: Arc<Semaphore>,
    all: u32,
}

/// What a body has of the room, until it was read.
#[derive(Debug, Clone, Default)]
pub struct Share(Option<Arc<OwnedSemaphorePermit>>);

impl Room {
    /// Room for `bytes` of the largest, and a quarter as much for large ones.
    pub(super) fn new(bytes: usize) -> Self {
        Self {
            large: Part::new(bytes / OF_LARGE),
            largest: Part::new(bytes),
            most: (bytes / LARGE).max(SMALL),
        }
    }

    /// How far a body may grow without room, or with that of a large one, if it is not known how long it is and it has this
    /// many bytes so far.
    pub(super) fn step(&self, bytes: usize) -> usize {
        if bytes <= self.most { self.most } else { usize::MAX }
    }

    /// Bytes that a body may have without room.
    pub(super) const FREE: usize = SMALL;

    /// Waits for room for so many bytes. What is larger than all of the room gets all of it. Who has a share gives it back
    /// before waiting for another.
    pub(super) async fn take(&self, bytes: usize) -> Share {
        match bytes {
            ..=SMALL => Share::default(),
            large if large <= self.most => self.large.take(large).await,
            largest => self.largest.take(largest).await,
        }
    }
}

impl Part {
    fn new(bytes: usize) -> Self {
        let all = units(bytes).max(1);
        Self { units: Arc::new(Semaphore::new(all as usize)), all }
    }

    async fn take(&self, bytes: usize) -> Share {
        let permit = self.units.clone().acquire_many_owned(units(bytes).min(self.all)).await;
        // It is never closed.
        Share(permit.ok().map(Arc::new))
    }
}

impl Share {
    /// Gives back what is not needed after all.
    pub(super) fn shrink(self, bytes: usize) -> Self {
        let Some(mut permit) = self.0.and_then(Arc::into_inner) else { return Self::default() };
        let spare = permit.num_permits().saturating_sub(units(bytes) as usize);
        drop(permit.split(spare));
        Self(Some(Arc::new(permit)))
    }
}

fn units(bytes: usize) -> u32 {
    u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use futures_util::poll;

    use super::*;

    #[tokio::test]
    async fn the_largest_bodies_wait_for_room_and_small_ones_do_not() {
        let room = Room::new(64 << 20);
        let first = room.take(200 << 20).await;
        let mut second = Box::pin(room.take(8 << 20));
        assert!(poll!(second.as_mut()).is_pending());
        room.take(SMALL).await;
        // It was smaller than it might have been.
        let first = first.shrink(56 << 20);
        let second = second.await;
        let mut third = Box::pin(room.take(8 << 20));
        assert!(poll!(third.as_mut()).is_pending());
        drop((first, second));
        third.await;
    }

    #[tokio::test]
    async fn large_bodies_wait_for_each_other_and_not_for_the_largest() {
        let room = Room::new(64 << 20);
        let _largest = room.take(64 << 20).await;
        let large = [room.take(4 << 20).await, room.take(4 << 20).await, room.take(4 << 20).await];
        let _last = room.take(4 << 20).await;
        let mut more = Box::pin(room.take(2 << 20));
        assert!(poll!(more.as_mut()).is_pending());
        drop(large);
        more.await;
    }
}
