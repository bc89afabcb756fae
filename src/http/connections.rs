//! The connections that are open: a bound on their number, and room for who is new.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{AbortHandle, Id, JoinSet};

use super::timeouts::SharedPhase;
use crate::metric;

/// How soon a reached connection limit is looked at again: all connections may have been busy.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// All connections, each a task.
///
/// When the limit is reached, the connection is closed that has waited longest for its peer: for a request, for the rest of its head, or
/// for the peer to take something of its answer. So whoever holds connections open without using them locks nobody out.
pub(super) struct Connections {
    tasks: JoinSet<()>,
    members: HashMap<Id, Member>,
    room: Arc<Semaphore>,
}

/// Holds something until the connection has ended. An `async` block would have room for the connection twice: where it is captured, and
/// where it is awaited. There are as many of these as there are connections.
fn holding(held: impl Send + 'static, connection: impl Future<Output = ()>) -> impl Future<Output = ()> {
    connection.map(move |()| drop(held))
}

/// Counts a connection as open until it is dropped, which it is with its task.
struct Open;

impl Open {
    fn new() -> Self {
        metrics::gauge!(metric::HTTP_CONNECTIONS).increment(1);
        Self
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        metrics::gauge!(metric::HTTP_CONNECTIONS).decrement(1);
    }
}

struct Member {
    phase: SharedPhase,
    task: AbortHandle,
}

impl Connections {
    /// `most`: how many there may be.
    pub(super) fn new(most: usize) -> Self {
        Self { tasks: JoinSet::new(), members: HashMap::new(), room: Arc::new(Semaphore::new(most)) }
    }

    /// Room for one more; who waits longest makes it, if there is none. If all are busy it takes until one is not.
    pub(super) async fn make_room(&mut self) -> OwnedSemaphorePermit {
        // Ended tasks are collected here, or they would pile up.
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            self.members.remove(&ended.map_or_else(|error| error.id(), |(id, ())| id));
        }
        if let Ok(permit) = self.room.clone().try_acquire_owned() {
            return permit;
        }
        loop {
            self.send_one_away();
            // The semaphore is never closed.
            if let Ok(Ok(permit)) = tokio::time::timeout(LOOK_AGAIN, self.room.clone().acquire_owned()).await
            {
                return permit;
            }
        }
    }

    /// Runs a connection in the room that was made.
    pub(super) fn admit(
        &mut self,
        permit: OwnedSemaphorePermit,
        phase: SharedPhase,
        connection: impl Future<Output = ()> + Send + 'static,
    ) {
        let task = self.tasks.spawn(holding((permit, Open::new()), connection));
        self.members.insert(task.id(), Member { phase, task });
    }

    /// Lets all go: now who waits for a request, the others with their answers. Ready when none is left.
    pub(super) async fn leave(&mut self) {
        self.members.values().for_each(|member| member.phase.leave());
        while self.tasks.join_next().await.is_some() {}
    }

    fn send_one_away(&mut self) {
        let waiting = |(id, member): (&Id, &Member)| Some((member.phase.waiting_since()?, *id));
        let longest = self.members.iter().filter_map(waiting).min_by_key(|(since, _)| *since);
        if let Some(member) = longest.and_then(|(_, id)| self.members.remove(&id)) {
            tracing::debug!("a connection that waited for its peer made room for another");
            metrics::counter!(metric::HTTP_SENT_AWAY_TOTAL).increment(1);
            member.task.abort();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_takes_its_own_room_and_no_second_one() {
        let connection = async {
            let state = [0_u8; 1000];
            std::future::pending::<()>().await;
            assert_eq!(state[999], 0);
        };
        let own = size_of_val(&connection);
        assert!(own >= 1000);
        assert!(size_of_val(&holding([0_u64; 3], connection)) <= own + 64);
    }

    #[tokio::test]
    async fn what_is_held_is_let_go_with_the_connection() {
        let room = Arc::new(Semaphore::new(1));
        let permit = room.clone().try_acquire_owned().unwrap();
        let mut held = Box::pin(holding(permit, async { tokio::task::yield_now().await }));
        assert!(futures_util::poll!(held.as_mut()).is_pending());
        assert_eq!(room.available_permits(), 0);
        held.await;
        assert_eq!(room.available_permits(), 1);
    }
}
