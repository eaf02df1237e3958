//! How much the server takes on at once. The defaults suit a machine of 1 GiB; `Settings` says what else is wanted.

use crate::http::admission::{Admission, Share};
use rustix::process::{Resource, getrlimit};
use std::sync::Arc;

/// Connections at once, where the process may open enough files.
const MOST_CLIENTS: usize = 4_096;
/// Files that are kept: 64 runbooks at once take 5 each while they run, and the database and the channels the rest.
const FILES_KEPT: usize = 512;
/// Waits of all principals that are held at once.
const WAITS: usize = 2_048;
/// Event streams of one principal that are open at once, and of all.
const STREAMS: (usize, usize) = (64, 1_024);
/// What may be sent at once by callers who prove who they are by what they send: those of one address, and all.
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
    /// Connections, if somebody has said so.
    pub clients: Option<usize>,
    /// Those of one address.
    pub clients_each: Option<usize>,
}

impl Limits {
    /// Connections at once, and those of one address. Where nothing is said, so many that the process keeps enough files for the
    /// runbooks that it runs and for its database; and half of them for one address, so that no address can hold them all.
    pub fn connections(&self) -> (usize, usize) {
        let all = self.clients.unwrap_or_else(|| clients(getrlimit(Resource::Nofile).current)).max(1);
        (all, self.clients_each.unwrap_or(all.div_ceil(2)).clamp(1, all))
    }
}

/// The connections of a process that may open so many files.
fn clients(files: Option<u64>) -> usize {
    let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    files.saturating_sub(FILES_KEPT).max(files / 4).min(MOST_CLIENTS)
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            each: Share { requests: 512, bytes: 16 << 20 },
            all: Share { requests: 4_096, bytes: 64 << 20 },
            waits_each: 256,
            clients: None,
            clients_each: None,
        }
    }
}

/// What is under way, each kind by itself: who waits or follows is never kept from making a change by it.
pub struct Admissions {
    pub changes: Arc<Admission>,
    pub waits: Arc<Admission>,
    pub streams: Arc<Admission>,
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
            strangers: Admission::new(STRANGERS.0, STRANGERS.1, "too much is under way from your address; try again in a moment"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_kept_for_runbooks_and_for_the_database() {
        for (files, most) in [(Some(20_000), 4_096), (Some(1_024), 512), (Some(600), 150), (Some(64), 16), (None, 4_096)] {
            assert_eq!(clients(files), most, "of {files:?}");
        }
    }

    #[test]
    fn no_address_can_hold_all_connections_unless_somebody_says_so() {
        let said = |clients, clients_each| Limits { clients, clients_each, ..Limits::default() }.connections();
        assert_eq!(said(Some(100), None), (100, 50));
        assert_eq!(said(Some(100), Some(1_000)), (100, 100));
        assert_eq!(said(Some(0), Some(0)), (1, 1));
    }
}
