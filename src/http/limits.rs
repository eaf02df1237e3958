//! How many connections the server holds open at once. The default suits a machine of 1 GiB;
//! `Settings` says what else is wanted.

use rustix::process::{Resource, getrlimit};

/// Connections at once, where the process may open enough files.
const MOST_CLIENTS: usize = 4_096;
/// Files that are kept: 64 runbooks at once take 5 each while they run, and the database and the
/// channels the rest.
const FILES_KEPT: usize = 512;

/// The limits of connections that can be set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ConnectionLimits {
    /// Connections, if somebody has said so.
    pub clients: Option<usize>,
    /// Those of one address.
    pub clients_each: Option<usize>,
}

impl ConnectionLimits {
    /// Connections at once, and those of one address. Where nothing is said, so many that the
    /// process keeps enough files for the runbooks that it runs and for its database; and half of
    /// them for one address, so that no address can hold them all.
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
        let said = |clients, clients_each| ConnectionLimits { clients, clients_each }.connections();
        assert_eq!(said(Some(100), None), (100, 50));
        assert_eq!(said(Some(100), Some(1_000)), (100, 100));
        assert_eq!(said(Some(0), Some(0)), (1, 1));
    }
}
