//! `parkbrake serve`: the server.

use crate::app::{App, Resources};
use crate::cli::{Error, database_url};
use crate::execution::Local;
use crate::settings::Settings;
use crate::telemetry;
use std::process::ExitCode;
use std::sync::Arc;

/// Run the server; needs DATABASE_URL.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: Settings,

    /// Leave the database as it is; `parkbrake migrate` brings it to this version
    #[arg(long)]
    no_migrate: bool,
}

/// Serves until it is told to stop.
///
/// # Errors
/// It cannot start, or cannot go on.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    telemetry::start();
    let resources = Resources { database_url: database_url()?, migrate: !args.no_migrate, base: None, executor: Arc::new(Local) };
    let app = App::start(&args.settings, resources).await.map_err(|error| Error::Other(error.to_string()))?;
    if app.run_until(told_to_stop()).await {
        Ok(ExitCode::SUCCESS)
    } else {
        Err(Error::Other("the server could not go on; its log says why".to_owned()))
    }
}

/// Ends at Ctrl-C or SIGTERM.
pub(super) async fn told_to_stop() {
    use tokio::signal::unix::{SignalKind, signal};
    let interrupted = tokio::signal::ctrl_c();
    match signal(SignalKind::terminate()) {
        Ok(mut terminated) => {
            tokio::select! {
                _ = interrupted => {}
                _ = terminated.recv() => {}
            }
        }
        Err(_) => {
            let _ = interrupted.await;
        }
    }
}
