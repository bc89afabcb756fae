//! Gives free memory back to the system while nobody asks anything.

use std::hint::black_box;
use std::time::Duration;

use tokio::task::spawn_blocking;

/// From one occasion to the next. mimalloc keeps what is freed for a second; after the largest answers all is given back
/// within a few turns, because one turn looks at a part of the allocator's regions only.
const TURN: Duration = Duration::from_secs(2);
/// More than shares a page with other blocks, so that its end is the end of a page. The memory is never written to, so
/// that the system gives none for it.
const BLOCK: usize = 1 << 20;

/// The allocator gives back what has been free for long enough whenever it lets go of a page, and at no other time. In an
/// idle relay that never happens, and the memory of the last rush would stay. Here a block of its own is taken and
/// freed now and then, which costs some microseconds.
pub(super) async fn give_back_for_ever() {
    let mut turns = tokio::time::interval(TURN);
    loop {
        turns.tick().await;
        // Not on the reactor: hundreds of megabytes may go back at once. It fails only while the runtime ends.
        let _ = spawn_blocking(|| drop(black_box(Vec::<u8>::with_capacity(BLOCK)))).await;
    }
}
