//! Gives freed memory back to the system.
//!
//! The allocator gives back what has been free for a second, but looks for it only when a whole
//! page of its own becomes free. A server at rest never gets there: it would keep what it needed
//! for its start, and for its busiest minute. So a block that has a page of its own is taken, and
//! freed unused. While the server is busy, this changes nothing.

use std::convert::Infallible;
use std::hint::black_box;
use std::time::Duration;

const PAUSE: Duration = Duration::from_secs(1);
/// The allocator puts smaller blocks into pages that they share.
const BLOCK: usize = 1 << 20;

/// Gives back what is free, once a second.
pub(super) async fn give_back() -> Infallible {
    loop {
        tokio::time::sleep(PAUSE).await;
        drop(black_box(Vec::<u8>::with_capacity(BLOCK)));
    }
}
