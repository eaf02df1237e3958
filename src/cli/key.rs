//! `parkbrake key generate`, and loading the secret key for other commands.

use crate::cli::terminal::Page;
use crate::cli::{Error, variable};
use crate::secret_key::{self, SecretKeys};
use std::path::PathBuf;
use std::process::ExitCode;

/// What to do with secret keys.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Print a new secret key; keep it in a file that only the server can read
    Generate,
}

/// The location of the secret key.
#[derive(Debug, clap::Args)]
pub struct KeyArgs {
    /// The file with the secret key, unless PARKBRAKE_SECRET_KEY contains it;
    /// `parkbrake key generate` makes one
    #[arg(long, env = "PARKBRAKE_SECRET_KEY_FILE", value_name = "FILE")]
    pub secret_key_file: Option<PathBuf>,
}

impl KeyArgs {
    /// The key.
    ///
    /// # Errors
    /// There is no key, or it is invalid.
    pub fn load(&self) -> Result<SecretKeys, Error> {
        SecretKeys::load(variable, self.secret_key_file.as_deref()).map_err(|error| Error::Other(error.to_string()))
    }
}

/// Makes a key.
///
/// # Errors
/// The system provides no random numbers.
pub fn run(command: &Command) -> Result<ExitCode, Error> {
    let Command::Generate = command;
    let mut page = Page::stdout();
    page.line(secret_key::generate().map_err(|error| Error::Other(error.to_string()))?);
    page.print()?;
    Ok(ExitCode::SUCCESS)
}
