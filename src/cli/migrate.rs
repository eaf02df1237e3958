//! `parkbrake migrate`: migrates the database to this version.

use crate::cli::{Error, database_url};
use crate::storage;
use std::process::ExitCode;

/// Migrate the database to this version; needs DATABASE_URL.
#[derive(Debug, clap::Args)]
pub struct Args {}

/// Applies the missing migrations. Running it again changes nothing.
///
/// # Errors
/// The database is unavailable, or a migration failed.
pub async fn run(_: Args) -> Result<ExitCode, Error> {
    storage::migrate(&database_url()?).await.map_err(|error| Error::Other(error.to_string()))?;
    Ok(ExitCode::SUCCESS)
}
