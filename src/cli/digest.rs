//! `parkbrake digest`: the digest of a document, computed as the server computes it.

use crate::cli::Error;
use crate::cli::terminal::Page;
use crate::domain::task::digest::{self, Digest};
use serde_json::Value;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Print the digest of a JSON document, such as the `task` of a workflow; exit status 1 if it is
/// not JSON.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file with the document, or - for standard input
    #[arg(default_value = "-")]
    file: PathBuf,
    /// Print the canonical form (RFC 8785) instead, whose SHA-256 is the digest
    #[arg(long)]
    canonical: bool,
}

/// Runs the command.
///
/// # Errors
/// The document cannot be read, or it is not JSON.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let text = read(&args.file)?;
    let value: Value =
        serde_json::from_slice(&text).map_err(|error| Error::Other(format!("{} is not a JSON document: {error}", args.file.display())))?;
    let bytes = digest::canonical(&value);
    if args.canonical {
        let written = std::io::stdout().lock().write_all(&bytes);
        written.map_err(|error| Error::Other(format!("cannot write to standard output: {error}")))?;
    } else {
        let mut page = Page::stdout();
        page.line(format_args!("{}", Digest::of(&bytes)));
        page.print()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// The bytes of a file, or of standard input for `-`.
///
/// # Errors
/// Why they cannot be read.
pub fn read(file: &Path) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut bytes).map(drop)
    } else {
        std::fs::read(file).map(|read| bytes = read)
    };
    read.map(|()| bytes).map_err(|error| Error::Other(format!("cannot read {}: {error}", file.display())))
}
