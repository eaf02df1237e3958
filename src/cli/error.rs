//! Why a command failed, and how that is reported.

use crate::cli::exit;
use crate::cli::problem::Problem;
use crate::cli::{dev_home, terminal};
use std::process::ExitCode;

/// Why a command failed. The text says what to do about it, and never contains a token.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The reader of standard output has closed it, as in `parkbrake pending | head`.
    #[error("standard output was closed")]
    Closed,
    #[error("cannot write to standard output: {0}")]
    Output(std::io::Error),
    /// The server answered with a refusal.
    #[error("{0}")]
    Refused(Box<Problem>),
    #[error(
        "no server answers at {url} ({cause}): start one with `task dev` (or `parkbrake dev`), or say where it is with --url or PARKBRAKE_URL"
    )]
    Unreachable { url: String, cause: String },
    #[error("the server at {url} did not answer in time: whether it was done is not known; see {url}/readyz, then `parkbrake status`")]
    TooSlow { url: String },
    #[error("the connection to {url} broke before the answer came ({cause}): whether it was done is not known; `parkbrake status` says")]
    Broken { url: String, cause: String },
    /// Something answered that is not parkbrake, or not this version of it.
    #[error("the answer of {url} is not one of parkbrake ({detail}): check --url and PARKBRAKE_URL")]
    Strange { url: String, detail: String },
    #[error(transparent)]
    DevHome(#[from] dev_home::Error),
    /// The command was called without a required argument.
    #[error("{0}")]
    Usage(String),
    /// A failure of one command only, in its own words.
    #[error("{0}")]
    Other(String),
}

impl Error {
    /// Reports the error on standard error, and returns the exit status.
    pub fn report(&self) -> ExitCode {
        if matches!(self, Self::Closed) {
            return ExitCode::SUCCESS;
        }
        terminal::complain(&format!("parkbrake: {self}"));
        ExitCode::from(self.status())
    }

    /// The exit status: 1 if no other fits.
    fn status(&self) -> u8 {
        match self {
            Self::Usage(_) => 2,
            Self::Refused(problem) => problem.exit_status(),
            Self::Unreachable { .. } | Self::TooSlow { .. } | Self::Broken { .. } => exit::UNREACHABLE,
            _ => 1,
        }
    }

    /// Whether the same call may succeed soon.
    pub fn is_passing(&self) -> bool {
        match self {
            Self::Unreachable { .. } | Self::TooSlow { .. } | Self::Broken { .. } => true,
            Self::Refused(problem) => matches!(problem.status, 429 | 502..=504),
            _ => false,
        }
    }
}
