//! The settings of a server process: flags first, then the environment's `PARKBRAKE_*`, then these
//! defaults.

use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a server runs. The rules for its decisions are in the configuration, not here.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// The address to listen on
    #[arg(long, env = "PARKBRAKE_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:8001")]
    pub listen: SocketAddr,

    /// A host name of this server, in addition to addresses, localhost and the host of
    /// `public_url`; may be repeated, or contain commas
    #[arg(long = "allow-host", env = "PARKBRAKE_ALLOW_HOSTS", value_name = "HOST", value_delimiter = ',', value_parser = crate::domain::hosts::name)]
    pub allow_hosts: Vec<String>,

    /// The folder of the configuration [default: config]
    #[arg(long, env = "PARKBRAKE_CONFIG", value_name = "DIR")]
    pub config: Option<PathBuf>,

    /// Refuse to start with a configuration that is weaker than the shipped one; `check` lists the
    /// weaknesses
    #[arg(long, env = "PARKBRAKE_STRICT")]
    pub strict: bool,

    /// How many parked workflows stay in memory, usually below 1 KB each; the others are read again
    /// when needed
    #[arg(long, env = "PARKBRAKE_MAX_RESIDENT", value_name = "N", default_value_t = 80_000)]
    pub max_resident: usize,

    /// How many actions run at once; a quarter of them are reserved for approved actions
    #[arg(long, env = "PARKBRAKE_TURNS", value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub turns: u16,

    /// How many actions of one requester run at once, for approved actions and for those that
    /// needed no approval, each
    #[arg(long, env = "PARKBRAKE_TURNS_PER_REQUESTER", value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub turns_per_requester: u16,

    /// Database connections for reading, shared among calls, lists and background work; commits
    /// have three of their own
    #[arg(long, env = "PARKBRAKE_CONNECTIONS", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(3..=200))]
    pub connections: u32,

    /// How long a stopping server waits for running actions; one that is cut off has an unknown
    /// outcome
    #[arg(long, env = "PARKBRAKE_DRAIN", value_name = "DURATION", default_value = "20s", value_parser = crate::domain::duration::parse)]
    pub drain: Duration,

    /// How long a cancelled action has to end on its own before its processes are killed, and how
    /// long to wait for a webhook's response
    #[arg(long, env = "PARKBRAKE_CANCEL_GRACE", value_name = "DURATION", default_value = "5s", value_parser = crate::domain::duration::parse)]
    pub cancel_grace: Duration,

    /// How long this server may act on the database without renewing its lease; it stops what it
    /// runs 3 s before that
    #[arg(long, env = "PARKBRAKE_LEASE", value_name = "DURATION", default_value = "10s", value_parser = lease)]
    pub lease: Duration,

    #[command(flatten)]
    pub limits: LimitSettings,
}

/// How much work is accepted at once. Beyond that, clients are told to try again.
#[derive(Debug, Clone, Args)]
pub struct LimitSettings {
    /// Changes in progress at once, in total
    #[arg(long, env = "PARKBRAKE_MAX_REQUESTS", value_name = "N", default_value_t = 4_096)]
    pub max_requests: usize,

    /// Changes in progress at once, of one principal
    #[arg(long, env = "PARKBRAKE_MAX_REQUESTS_EACH", value_name = "N", default_value_t = 512)]
    pub max_requests_each: usize,

    /// The size of the bodies of all changes in progress, in MiB; they need about five times as
    /// much memory
    #[arg(long, env = "PARKBRAKE_MAX_BODY_MIB", value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub max_body_mib: u64,

    /// The size of the bodies of one principal's changes in progress, in MiB
    #[arg(long, env = "PARKBRAKE_MAX_BODY_MIB_EACH", value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub max_body_mib_each: u64,

    /// Calls of one principal that are held at once by `/wait` or `Prefer: wait`
    #[arg(long, env = "PARKBRAKE_MAX_WAITS_EACH", value_name = "N", default_value_t = 256)]
    pub max_waits_each: usize,

    /// Client connections that are open at once [default: 4096, or fewer if the process may open
    /// fewer files]
    #[arg(long, env = "PARKBRAKE_MAX_CLIENTS", value_name = "N")]
    pub max_clients: Option<usize>,

    /// Client connections from one address that are open at once [default: half of all]
    #[arg(long, env = "PARKBRAKE_MAX_CLIENTS_EACH", value_name = "N")]
    pub max_clients_each: Option<usize>,
}

impl Default for LimitSettings {
    fn default() -> Self {
        Self {
            max_requests: 4_096,
            max_requests_each: 512,
            max_body_mib: 64,
            max_body_mib_each: 16,
            max_waits_each: 256,
            max_clients: None,
            max_clients_each: None,
        }
    }
}

const SHORTEST_LEASE: Duration = Duration::from_secs(6);
const LONGEST_LEASE: Duration = Duration::from_secs(600);

/// Parses the length of a lease: long enough that a renewal may fail twice, and short enough that a
/// dead server is noticed soon.
fn lease(text: &str) -> Result<Duration, String> {
    let lease = crate::domain::duration::parse(text).map_err(|error| error.to_string())?;
    if (SHORTEST_LEASE..=LONGEST_LEASE).contains(&lease) { Ok(lease) } else { Err("a lease is between 6s and 10m long".to_owned()) }
}

impl Settings {
    /// The folder of the configuration.
    pub fn config_dir(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new("config"))
    }
}
