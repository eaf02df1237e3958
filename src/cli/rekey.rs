//! `parkbrake rekey`: seals the stored data with the current secret key.

use crate::cli::key::KeyArgs;
use crate::cli::terminal::{Page, complain};
use crate::cli::{Error, database_url};
use crate::storage::{self, Sealing, Storage};
use std::process::ExitCode;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// Workflows in one step.
const STEP: i64 = 500;
/// How often it reports its progress.
const PROGRESS: Duration = Duration::from_secs(2);
/// How many of the workflows that somebody else wrote are listed.
const MOST_NAMED: usize = 20;

/// Seal the stored data with the current secret key; needs DATABASE_URL. Without --yes it only
/// reports what would be sealed.
///
/// Give the new key and the one that it replaces, the new one first. A database from before seals
/// existed is sealed for the first time; check its waiting requests before, because from then on
/// they count as this server's own.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Seal it
    #[arg(long)]
    yes: bool,

    #[command(flatten)]
    key: KeyArgs,
}

/// The result so far.
#[derive(Default)]
struct Found {
    current: usize,
    earlier: usize,
    unsealed: usize,
    foreign: Vec<(Uuid, String)>,
}

/// Seals, or reports what would be sealed. The exit status is 1 if anything was not written by a
/// server with one of the keys.
///
/// # Errors
/// There is no key, the database is unavailable or not migrated, or the database user may not seal.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let storage = Storage::connect(&database_url()?, 1).map_err(failed)?.with_keys(args.key.load()?);
    let done = rekey(&storage, args.yes).await;
    storage.close().await;
    done
}

async fn rekey(storage: &Storage, write: bool) -> Result<ExitCode, Error> {
    let is_first = storage.sealing().await.map_err(failed)? == Sealing::Incomplete;
    let mut found = Found::default();
    let (mut after, mut told) = (Uuid::nil(), Instant::now());
    while let Some(step) = storage.reseal_step(after, STEP, write, is_first).await.map_err(failed)? {
        after = step.visited;
        found.current += step.current;
        found.earlier += step.earlier;
        found.unsealed += step.unsealed;
        found.foreign.extend(step.foreign);
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let seen = found.current + found.earlier + found.unsealed + found.foreign.len();
            complain(&format!("parkbrake: {seen} workflows examined"));
        }
    }
    if write {
        storage.sealed().await.map_err(failed)?;
    }
    tell(&found, write, is_first)?;
    let strangers = found.foreign.len() + if is_first { 0 } else { found.unsealed };
    Ok(if strangers == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(found: &Found, write: bool, is_first: bool) -> Result<(), Error> {
    let mut page = Page::stdout();
    page.line(if write { "sealed with the current key:" } else { "nothing was changed; `parkbrake rekey --yes` seals it:" });
    page.fact("current", format_args!("{} workflows already had the current key's seal", found.current));
    page.fact("earlier", format_args!("{} workflows had an earlier key's", found.earlier));
    let unsealed = if is_first {
        "had none, because they are from before seals existed"
    } else {
        "have none; this server did not write them, and they are left unchanged"
    };
    page.fact("unsealed", format_args!("{} workflows {unsealed}", found.unsealed));
    page.fact(
        "foreign",
        format_args!("{} workflows were not written by a server with these keys; they are left unchanged", found.foreign.len()),
    );
    for (id, detail) in found.foreign.iter().take(MOST_NAMED) {
        page.line(format_args!("{id}: {detail}"));
    }
    if found.foreign.len() > MOST_NAMED {
        page.line(format_args!("and {} more", found.foreign.len() - MOST_NAMED));
    }
    page.print()
}

fn failed(error: storage::Error) -> Error {
    let text = error.to_string();
    let hint = if text.contains("does not exist") {
        "; has the database been set up? `parkbrake migrate` does that"
    } else if text.contains("permission denied") {
        "; run this as the role that owns the tables, not as the server's role"
    } else {
        ""
    };
    Error::Other(format!("{text}{hint}"))
}
