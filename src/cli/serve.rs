//! `parkbrake serve`: the server.

use crate::app::{App, Pace, Resources};
use crate::cli::key::KeyArgs;
use crate::cli::{Error, database_url, launcher, variable};
use crate::settings::Settings;
use crate::telemetry;
use std::future::Future;
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Run the server; needs DATABASE_URL.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    settings: Settings,

    #[command(flatten)]
    key: KeyArgs,

    /// Do not migrate the database; `parkbrake migrate` does it
    #[arg(long)]
    no_migrate: bool,
}

/// Serves until it is told to stop.
///
/// # Errors
/// The server cannot start or continue.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    telemetry::start();
    let told_to_stop = told_to_stop()?;
    let resources = Resources {
        database_url: database_url()?,
        keys: args.key.load()?,
        migrate: !args.no_migrate,
        base: None,
        environment: Box::new(variable),
        launcher: launcher()?,
        pace: Pace::default(),
        slack: None,
    };
    let app = App::start(&args.settings, resources).await.map_err(|error| Error::Other(error.to_string()))?;
    app.run_until(told_to_stop).await.map_err(|stopped| Error::Other(stopped.to_string()))?;
    Ok(ExitCode::SUCCESS)
}

/// Completes at Ctrl-C or SIGTERM. They are handled from this call on, even if the parent process
/// had them ignored, as a shell does for background jobs.
///
/// # Errors
/// The system refuses to listen for signals.
pub(super) fn told_to_stop() -> Result<impl Future<Output = ()>, Error> {
    let listen = |kind| signal(kind).map_err(|error| Error::Other(format!("cannot listen for signals: {error}")));
    let (mut interrupted, mut terminated) = (listen(SignalKind::interrupt())?, listen(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupted.recv() => {}
            _ = terminated.recv() => {}
        }
    })
}
