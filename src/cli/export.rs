//! `parkbrake export`: all workflows of a period, into a file.

use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::terminal::{complain, write_bytes};
use crate::cli::{Error, terminal};
use clap::ValueEnum;
use reqwest::Method;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Writes every workflow of a period, the oldest first, with the decisions and the attempts; for
/// people.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Only workflows submitted at this time or later: a day (UTC), as in 2026-10-01, or a time, as
    /// in 2026-10-01T08:00:00Z
    #[arg(long, value_name = "TIME")]
    from: Option<String>,
    /// Only workflows submitted before this time, or by the end of this day
    #[arg(long, value_name = "TIME")]
    until: Option<String>,
    /// One JSON document per line, or a table for spreadsheets
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    format: Format,
    /// The file; it appears once the export is complete. Left out: standard output
    #[arg(long, value_name = "FILE")]
    output: Option<PathBuf>,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Jsonl,
    Csv,
}

/// Runs the command.
///
/// # Errors
/// Why there is no complete export.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    if args.output.is_none() && terminal::is_shown() {
        return Err(Error::Usage(
            "an export is for a file: name one with --output, or send standard output somewhere with `>` or `|`".to_owned(),
        ));
    }
    let client = args.connection.client(Kind::Person)?;
    let format = match args.format {
        Format::Jsonl => "jsonl",
        Format::Csv => "csv",
    };
    let mut query = vec![("format", format.to_owned())];
    query.extend(args.from.map(|from| ("from", from)));
    query.extend(args.until.map(|until| ("until", until)));
    let call = client.long_call(Method::GET, "/workflows/export").query(&query);
    let Some(path) = args.output else {
        client.receive(call, write_bytes).await?;
        return Ok(ExitCode::SUCCESS);
    };
    let mut part = Part::beside(&path)?;
    client.receive(call, |bytes| part.add(bytes)).await?;
    part.finish(&path)?;
    complain(&format!("parkbrake: {} is written", path.display()));
    Ok(ExitCode::SUCCESS)
}

/// An incomplete file. It is removed unless it is finished.
struct Part {
    path: PathBuf,
    file: File,
    is_whole: bool,
}

impl Part {
    /// It contains everybody's workflows, so only its owner may read it.
    fn beside(path: &Path) -> Result<Self, Error> {
        let mut name = path.as_os_str().to_owned();
        name.push(".part");
        let path = PathBuf::from(name);
        let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        Ok(Self { file: file.map_err(|error| unwritten(&path, &error))?, path, is_whole: false })
    }

    fn add(&mut self, bytes: &[u8]) -> Result<(), Error> {
        self.file.write_all(bytes).map_err(|error| unwritten(&self.path, &error))
    }

    fn finish(&mut self, path: &Path) -> Result<(), Error> {
        self.file.sync_all().and_then(|()| fs::rename(&self.path, path)).map_err(|error| unwritten(path, &error))?;
        self.is_whole = true;
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.is_whole {
            let _ = fs::remove_file(&self.path);
        }
    }
}

fn unwritten(path: &Path, error: &std::io::Error) -> Error {
    Error::Other(format!("cannot write {}: {error}", path.display()))
}
