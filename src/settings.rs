//! The settings of a server process: flags first, then `PARKBRAKE_*` of the environment, then these defaults.

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

    /// The folder of the configuration [default: config]
    #[arg(long, env = "PARKBRAKE_CONFIG", value_name = "DIR")]
    pub config: Option<PathBuf>,

    /// How many parked workflows stay in memory; the others are read again when they are asked for
    #[arg(long, env = "PARKBRAKE_MAX_RESIDENT", value_name = "N", default_value_t = 10_000)]
    pub max_resident: usize,

    /// Connections to the database for reading; commits have two of their own
    #[arg(long, env = "PARKBRAKE_CONNECTIONS", value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(3..=200))]
    pub connections: u32,

    /// How long a stopping server waits for actions that it is running; one that is cut off has an unknown outcome
    #[arg(long, env = "PARKBRAKE_DRAIN", value_name = "DURATION", default_value = "20s", value_parser = crate::domain::duration::parse)]
    pub drain: Duration,
}

impl Settings {
    /// The folder of the configuration.
    pub fn config_dir(&self) -> &Path {
        self.config.as_deref().unwrap_or(Path::new("config"))
    }
}
