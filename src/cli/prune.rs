//! `parkbrake prune`: removes workflows that ended long ago.
//!
//! It may run next to a server under full load: a step is a short transaction, and after each one
//! this process rests for as long as the step took.

use crate::cli::terminal::{Page, complain, print_json};
use crate::cli::{Error, database_url};
use crate::domain::duration;
use crate::storage::{self, PruneStep, Storage};
use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use serde_json::json;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The database also refuses a shorter time: people may still read what ended today, and notices
/// about it may still be sent.
const YOUNGEST: Duration = Duration::from_secs(86_400);
/// Workflows in one step.
const STEP: i32 = 500;
/// The least pause between two steps.
const PAUSE: Duration = Duration::from_millis(10);
/// Workflows that a dry run examines in one statement.
const PREVIEW: i32 = 2_000;
/// How often it reports its progress.
const PROGRESS: Duration = Duration::from_secs(2);
/// How often a step is tried again while the database does not answer, and after what pause.
const TRIES: u32 = 5;
const AGAIN: Duration = Duration::from_secs(1);

/// Remove workflows that ended long ago; needs DATABASE_URL. Without --yes it only lists what would
/// be removed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// How long ago their last change has to be, as in 90d; at least 1d
    #[arg(long, value_name = "AGE", value_parser = age)]
    older_than: Duration,

    /// Remove them; they cannot be brought back
    #[arg(long)]
    yes: bool,

    /// Write the summary as one line of JSON
    #[arg(long)]
    json: bool,
}

/// Removes workflows, or reports what would be removed.
///
/// # Errors
/// The database is unavailable or not migrated, or the database user may not delete.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let storage = Storage::connect(&database_url()?, 1).map_err(failed)?;
    let done = prune(&storage, &args).await;
    storage.close().await;
    done.map(|()| ExitCode::SUCCESS)
}

fn age(text: &str) -> Result<Duration, String> {
    let age = duration::parse(text).map_err(|error| error.to_string())?;
    if age < YOUNGEST { Err("nothing that changed within the last day is removed: say 1d or more".to_owned()) } else { Ok(age) }
}

async fn prune(storage: &Storage, args: &Args) -> Result<(), Error> {
    let age = TimeDelta::from_std(args.older_than).map_err(|error| Error::Other(error.to_string()))?;
    let cut_off = storage.now().await.map_err(failed)? - age;
    if args.yes { remove(storage, cut_off, args.json).await } else { preview(storage, cut_off, args).await }
}

/// The workflows found with one status.
#[derive(Default)]
struct Found {
    workflows: i64,
    oldest: Option<DateTime<Utc>>,
    newest: Option<DateTime<Utc>>,
    events: i64,
    bytes: i64,
}

impl Found {
    fn add(&mut self, other: &Self) {
        self.workflows += other.workflows;
        self.events += other.events;
        self.bytes += other.bytes;
        self.oldest = self.oldest.into_iter().chain(other.oldest).min();
        self.newest = self.newest.into_iter().chain(other.newest).max();
    }
}

async fn preview(storage: &Storage, cut_off: DateTime<Utc>, args: &Args) -> Result<(), Error> {
    let mut by_status: BTreeMap<String, Found> = BTreeMap::new();
    let mut after = Uuid::nil();
    loop {
        let rows = storage.prune_preview(cut_off, after, PREVIEW).await.map_err(failed)?;
        let Some(last) = rows.last() else { break };
        after = last.visited;
        for row in rows {
            let Some(status) = row.status else { continue };
            let found = Found { workflows: row.workflows, oldest: row.oldest, newest: row.newest, events: row.events, bytes: row.bytes };
            by_status.entry(status).or_default().add(&found);
        }
    }
    let mut all = Found::default();
    by_status.values().for_each(|found| all.add(found));
    if args.json {
        let by_status: BTreeMap<_, _> = by_status.iter().map(|(status, found)| (status, found.workflows)).collect();
        let summary = json!({
            "dry_run": true, "cut_off": cut_off, "workflows": all.workflows, "by_status": by_status, "oldest": all.oldest,
            "newest": all.newest, "events": all.events, "bytes": all.bytes,
        });
        return print_json(&summary.to_string());
    }
    let unresolved = storage.unresolved(cut_off).await.map_err(failed)?;
    let mut page = Page::stdout();
    page.line(format_args!("{} workflows ended and have not changed since {}", all.workflows, timestamp(cut_off)));
    for (status, found) in &by_status {
        page.fact(status, found.workflows);
    }
    say_unresolved(&mut page, unresolved);
    if let (Some(oldest), Some(newest)) = (all.oldest, all.newest) {
        page.fact("oldest", timestamp(oldest));
        page.fact("newest", timestamp(newest));
        page.fact("events", all.events);
        page.fact("about", format_args!("{:.1} MB", all.bytes as f64 / 1e6));
        let age = duration::show(args.older_than);
        page.line(format_args!("nothing was removed; `parkbrake prune --older-than {age} --yes` removes them"));
    }
    page.print()
}

/// The workflows removed so far.
#[derive(Default)]
struct Removed {
    workflows: i64,
    events: i64,
    notices: i64,
    keys: i64,
}

async fn remove(storage: &Storage, cut_off: DateTime<Utc>, as_json: bool) -> Result<(), Error> {
    let mut removed = Removed::default();
    let (mut after, mut told) = (Uuid::nil(), Instant::now());
    loop {
        let began = Instant::now();
        let Some(step) = step(storage, cut_off, after).await? else { break };
        let took = began.elapsed();
        after = step.visited;
        removed.workflows += i64::from(step.workflows);
        removed.events += i64::from(step.events);
        removed.notices += i64::from(step.notices);
        removed.keys += i64::from(step.keys);
        if told.elapsed() >= PROGRESS {
            told = Instant::now();
            let until = step.until.map(|until| format!(", up to {}", timestamp(until))).unwrap_or_default();
            complain(&format!("parkbrake: {} workflows removed{until}", removed.workflows));
        }
        tokio::time::sleep(took.max(PAUSE)).await;
    }
    let Removed { workflows, events, notices, keys } = removed;
    if as_json {
        let summary = json!({
            "dry_run": false, "cut_off": cut_off, "workflows": workflows, "events": events, "notices": notices, "idempotency_keys": keys,
        });
        return print_json(&summary.to_string());
    }
    let unresolved = storage.unresolved(cut_off).await.map_err(failed)?;
    let mut page = Page::stdout();
    page.line(format_args!("removed {workflows} workflows that ended and had not changed since {}", timestamp(cut_off)));
    page.fact("events", events);
    page.fact("notices", notices);
    page.fact("keys", keys);
    say_unresolved(&mut page, unresolved);
    page.print()
}

/// Reports old workflows that are kept, and why.
fn say_unresolved(page: &mut Page, count: i64) {
    if count > 0 {
        page.fact("stay", format_args!("{count}, whose outcome is unknown until somebody resolves it (`parkbrake resolve`)"));
    }
}

/// One step, tried again if the database is busy or unavailable for a moment. If the answer was
/// lost, the step may have removed its workflows; the next step then does not find them.
async fn step(storage: &Storage, cut_off: DateTime<Utc>, after: Uuid) -> Result<Option<PruneStep>, Error> {
    let mut tries = 1;
    loop {
        match storage.prune_step(cut_off, after, STEP).await {
            Err(storage::Error::Unavailable(reason)) if tries < TRIES => {
                complain(&format!("parkbrake: {reason}; trying again"));
                tries += 1;
                tokio::time::sleep(AGAIN).await;
            }
            answer => return answer.map_err(failed),
        }
    }
}

fn timestamp(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}

fn failed(error: storage::Error) -> Error {
    let text = error.to_string();
    let hint = if text.contains("does not exist") {
        "; has the database been set up? `parkbrake migrate` does that"
    } else if text.contains("permission denied") {
        "; removing is for the role that owns the tables, not for the server's"
    } else {
        ""
    };
    Error::Other(format!("{text}{hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_a_day_or_more() {
        assert_eq!(age("90d"), Ok(Duration::from_secs(90 * 86_400)));
        assert_eq!(age("24h"), Ok(YOUNGEST));
        for (text, said) in [("23h", "1d or more"), ("90", "whole number and a unit"), ("", "not a duration"), ("-1d", "not a duration")] {
            assert!(age(text).unwrap_err().contains(said), "{text}: {:?}", age(text));
        }
    }
}
