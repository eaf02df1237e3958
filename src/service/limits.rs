//! How much the server takes on at once. The defaults suit a machine of 1 GiB; `Settings` says what
//! else is wanted.

use crate::service::admission::{Admission, Share};
use std::sync::Arc;

/// Waits of all principals that are held at once.
const WAITS: usize = 2_048;
/// Event streams of one principal that are open at once, and of all.
const STREAMS: (usize, usize) = (64, 1_024);
/// Exports of one person that are written at once, and of all: each holds a page of whole workflows
/// in memory.
const EXPORTS: (usize, usize) = (2, 4);
/// What may be sent at once by callers who prove who they are by what they send: those of one
/// address, and all.
const STRANGERS: (Share, Share) = (Share { requests: 256, bytes: 4 << 20 }, Share { requests: 1_024, bytes: 16 << 20 });

/// The limits that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Changes of one principal that are under way, and the bytes of their bodies.
    pub each: Share,
    /// Those of all principals.
    pub all: Share,
    /// Waits of one principal that are held at once.
    pub waits_each: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { each: Share { requests: 512, bytes: 16 << 20 }, all: Share { requests: 4_096, bytes: 64 << 20 }, waits_each: 256 }
    }
}

/// What is under way, each kind by itself: who waits or follows is never kept from making a change
/// by it.
pub struct Admissions {
    pub changes: Arc<Admission>,
    pub waits: Arc<Admission>,
    pub streams: Arc<Admission>,
    pub exports: Arc<Admission>,
    /// By the address that they come from.
    pub strangers: Arc<Admission>,
}

impl Admissions {
    /// Nothing is under way yet.
    pub fn new(limits: Limits) -> Self {
        let bodiless = |requests| Share { requests, bytes: 0 };
        Self {
            changes: Admission::new(
                limits.each,
                limits.all,
                "too many of your requests, or too large ones, are under way; wait for some of them to be answered",
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
            strangers: Admission::new(STRANGERS.0, STRANGERS.1, "too much is under way from your address; try again in a moment"),
        }
    }
}
