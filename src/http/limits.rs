//! How many connections the server keeps open at once. The default suits a machine with 1 GiB;
//! `Settings` can change it.

use rustix::process::{Resource, getrlimit};

/// The most connections at once, if the process may open enough files.
const MOST_CLIENTS: usize = 4_096;
/// Files that are reserved: 64 runbooks at once take 5 each while they run, and the rest is for the
/// database and the channels.
const FILES_KEPT: usize = 512;

/// The configurable limits of connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionLimits {
    /// The most connections, if configured.
    pub clients: Option<usize>,
    /// The most connections from one address.
    pub clients_each: Option<usize>,
}

impl ConnectionLimits {
    /// The most connections at once, and from one address. The default leaves the process enough
    /// files for its runbooks and its database, and lets one address have half of the connections,
    /// so that no address can hold them all.
    pub fn connections(&self) -> (usize, usize) {
        let all = self.clients.unwrap_or_else(|| clients(getrlimit(Resource::Nofile).current)).max(1);
        (all, self.clients_each.unwrap_or(all.div_ceil(2)).clamp(1, all))
    }
}

/// The connections for a process that may open this many files.
fn clients(files: Option<u64>) -> usize {
    let files = files.and_then(|files| usize::try_from(files).ok()).unwrap_or(usize::MAX);
    files.saturating_sub(FILES_KEPT).max(files / 4).min(MOST_CLIENTS)
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
    fn no_address_can_hold_all_connections_unless_configured() {
        let said = |clients, clients_each| ConnectionLimits { clients, clients_each }.connections();
        assert_eq!(said(Some(100), None), (100, 50));
        assert_eq!(said(Some(100), Some(1_000)), (100, 100));
        assert_eq!(said(Some(0), Some(0)), (1, 1));
    }
}
