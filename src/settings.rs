//! The settings of a server process: flags first, then `PARKBRAKE_*` of the environment, then these
//! defaults.

use clap::Args;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How a server runs. What it decides is in the configuration, not here.
#[derive(Debug, Clone, Args)]
pub struct Settings {
    /// Where the API is served
    #[arg(long, env = "PARKBRAKE_LISTEN", value_name = "ADDR:PORT", default_value = "127.0.0.1:8001")]
    pub listen: SocketAddr,

    /// A name that this server goes by, besides addresses, localhost and the host of `public_url`;
    /// may be given more than once, or with commas
    #[arg(long = "allow-host", env = "PARKBRAKE_ALLOW_HOSTS", value_name = "HOST", value_delimiter = ',', value_parser = crate::domain::hosts::name)]
    pub allow_hosts: Vec<String>,

    /// The folder of the configuration [default: config]
    #[arg(long, env = "PARKBRAKE_CONFIG", value_name = "DIR")]
    pub config: Option<PathBuf>,

    /// Refuse to start with a configuration that opens the gate wider than the shipped one does;
    /// `check` says what that is
    #[arg(long, env = "PARKBRAKE_STRICT")]
    pub strict: bool,

    /// Of how many parked workflows the state stays in memory, about 2 KB each; the others are read
    /// again when they are asked for
    #[arg(long, env = "PARKBRAKE_MAX_RESIDENT", value_name = "N", default_value_t = 80_000)]
    pub max_resident: usize,

    /// How many actions run at once; a quarter of them are kept for what people approved
    #[arg(long, env = "PARKBRAKE_TURNS", value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub turns: u16,

    /// How many actions of one requester run at once, of what people approved and of what needed no
    /// approval, each
    #[arg(long, env = "PARKBRAKE_TURNS_PER_REQUESTER", value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub turns_per_requester: u16,

    /// Connections to the database for reading, shared out between calls, lists and the background;
    /// commits have three of their own
    #[arg(long, env = "PARKBRAKE_CONNECTIONS", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(3..=200))]
    pub connections: u32,

    /// How long a stopping server waits for actions that it is running; one that is cut off has an
    /// unknown outcome
    #[arg(long, env = "PARKBRAKE_DRAIN", value_name = "DURATION", default_value = "20s", value_parser = crate::domain::duration::parse)]
    pub drain: Duration,

    /// How long an action that is cancelled has to end by itself before its processes are killed,
    /// and a webhook's answer is waited for
    #[arg(long, env = "PARKBRAKE_CANCEL_GRACE", value_name = "DURATION", default_value = "5s", value_parser = crate::domain::duration::parse)]
    pub cancel_grace: Duration,

    /// How long this server may act on the database without renewing its lease; it ends what it
    /// runs 3 s before that
    #[arg(long, env = "PARKBRAKE_LEASE", value_name = "DURATION", default_value = "10s", value_parser = lease)]
    pub lease: Duration,

    #[command(flatten)]
    pub limits: LimitSettings,
}

/// How much is taken on at once. Beyond it clients are told to come back.
#[derive(Debug, Clone, Args)]
pub struct LimitSettings {
    /// Changes that may be under way at once, in all
    #[arg(long, env = "PARKBRAKE_MAX_REQUESTS", value_name = "N", default_value_t = 4_096)]
    pub max_requests: usize,

    /// Changes of one principal that may be under way at once
    #[arg(long, env = "PARKBRAKE_MAX_REQUESTS_EACH", value_name = "N", default_value_t = 512)]
    pub max_requests_each: usize,

    /// MiB that the bodies of all changes under way may have; memory for them is about five times
    /// as much
    #[arg(long, env = "PARKBRAKE_MAX_BODY_MIB", value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub max_body_mib: u64,

    /// MiB that the bodies of one principal's changes under way may have
    #[arg(long, env = "PARKBRAKE_MAX_BODY_MIB_EACH", value_name = "MIB", default_value_t = 16, value_parser = clap::value_parser!(u64).range(1..=65_536))]
    pub max_body_mib_each: u64,

    /// Calls of one principal that may be held at once by `/wait` or `Prefer: wait`
    #[arg(long, env = "PARKBRAKE_MAX_WAITS_EACH", value_name = "N", default_value_t = 256)]
    pub max_waits_each: usize,

    /// Connections of clients that may be open at once [default: 4096, or less where the process
    /// may open fewer files]
    #[arg(long, env = "PARKBRAKE_MAX_CLIENTS", value_name = "N")]
    pub max_clients: Option<usize>,

    /// Connections of one address that may be open at once [default: half of all]
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

/// Reads the length of a lease: long enough that a renewal may fail twice, and short enough that a
/// server that is gone is missed soon.
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
