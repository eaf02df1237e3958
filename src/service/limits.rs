//! How much work the server takes on at once. The defaults suit a machine with 1 GiB of memory;
//! `Settings` can change some of them.

use crate::service::admission::{Admission, Share};
use std::sync::Arc;

/// The most waits at once, of all principals.
const WAITS: usize = 2_048;
/// The most open event streams, of one principal and of all.
const STREAMS: (usize, usize) = (64, 1_024);
/// The most exports at once, of one person and of all. Each holds a page of whole workflows in
/// memory.
const EXPORTS: (usize, usize) = (2, 4);
/// The most requests at once from callers who authenticate by the body that they send: from one
/// address, and from all.
const STRANGERS: (Share, Share) = (Share { requests: 256, bytes: 4 << 20 }, Share { requests: 1_024, bytes: 16 << 20 });

/// The limits that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The most changes of one principal in progress, and the bytes of their bodies.
    pub each: Share,
    /// The same for all principals together.
    pub all: Share,
    /// The most waits of one principal at once.
    pub waits_each: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { each: Share { requests: 512, bytes: 16 << 20 }, all: Share { requests: 4_096, bytes: 64 << 20 }, waits_each: 256 }
    }
}

/// The work in progress, counted separately for each kind: waiting and following never keep a
/// caller from making a change.
pub struct Admissions {
    pub changes: Arc<Admission>,
    pub waits: Arc<Admission>,
    pub streams: Arc<Admission>,
    pub exports: Arc<Admission>,
    /// Counted by their address.
    pub strangers: Arc<Admission>,
}

impl Admissions {
    /// Counters at zero.
    pub fn new(limits: Limits) -> Self {
        let bodiless = |requests| Share { requests, bytes: 0 };
        Self {
            changes: Admission::new(
                limits.each,
                limits.all,
                "too many of your requests, or too large ones, are in progress; wait for some of them to be answered",
            ),
            waits: Admission::new(
                bodiless(limits.waits_each),
                bodiless(WAITS),
                "too many of your calls are waiting; end some of them, or follow all workflows with one event stream",
            ),
            streams: Admission::new(
                bodiless(STREAMS.0),
                bodiless(STREAMS.1),
                "too many event streams are open for you; close some of them, or follow all workflows with one",
            ),
            exports: Admission::new(
                bodiless(EXPORTS.0),
                bodiless(EXPORTS.1),
                "two exports of yours are still being written; wait until one of them has ended",
            ),
            strangers: Admission::new(
                STRANGERS.0,
                STRANGERS.1,
                "too many requests from your address are in progress; try again in a moment",
            ),
        }
    }
}
