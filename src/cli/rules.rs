//! `parkbrake rules preview`: how a changed configuration would have assessed recent requests.
//!
//! The server returns recent requests, page by page, to people only. The rules are read and applied
//! here, so an unfinished configuration never reaches the server, and nothing changes.

use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::text;
use crate::cli::pending::what;
use crate::cli::table::{Cell, table};
use crate::cli::terminal::{BOLD, PLAIN, Page, Style, print_json, width};
use crate::cli::{Error, id, times};
use crate::config;
use crate::domain::request::preview::Preview;
use crate::domain::risk::level::Level;
use crate::domain::task::plan::Document;
use crate::domain::text::escaped;
use chrono::{SecondsFormat, TimeDelta};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::{BTreeMap, VecDeque};
use std::path::PathBuf;
use std::process::ExitCode;

/// What to do with rules.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// List the requests of the last days that would have had a different level; for people
    Preview(PreviewArgs),
}

/// Assesses recent requests again, under another configuration, and changes nothing.
#[derive(Debug, clap::Args)]
pub struct PreviewArgs {
    /// The folder of the changed configuration
    #[arg(long, value_name = "DIR")]
    config: PathBuf,
    /// How many days back
    #[arg(long, value_name = "N", default_value_t = 30, value_parser = clap::value_parser!(u16).range(1..=366))]
    days: u16,
    /// How many of the changed requests to list, the newest; all are counted
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u16).range(1..=10_000))]
    limit: u16,
    #[command(flatten)]
    connection: Connection,
}

/// Runs a command.
///
/// # Errors
/// The configuration is invalid; or the server did not return the requests.
pub async fn run(command: Command) -> Result<ExitCode, Error> {
    let Command::Preview(args) = command;
    let base = std::env::current_dir().map_err(|error| Error::Other(format!("the current folder cannot be read: {error}")))?;
    let configuration = config::load(&args.config, &base).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Error::Other(format!("{} is not valid:\n{}", args.config.display(), lines.join("\n")))
    })?;
    let preview = Preview {
        rules: &configuration.rules,
        policy: &configuration.policy,
        tools: &configuration.tools,
        actions: configuration.actions(),
    };
    let client = args.connection.client(Kind::Person)?;
    let from = times::now() - TimeDelta::days(args.days.into());
    let from = from.to_rfc3339_opts(SecondsFormat::Secs, true);
    let query = [("format", "jsonl"), ("documents", "true"), ("from", from.as_str())];
    let mut found = Found { limit: args.limit.into(), ..Found::default() };
    let mut lines = Lines::default();
    let call = client.long_call(Method::GET, "/workflows/export").query(&query);
    client.receive(call, |bytes| lines.add(bytes, |line| found.add(preview, line))).await?;
    if args.connection.json {
        print_json(&found.as_json(&from).to_string())?;
    } else {
        let mut page = Page::stdout();
        found.show(&mut page, args.days);
        page.print()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Splits pieces of text into lines.
#[derive(Default)]
struct Lines {
    begun: Vec<u8>,
}

impl Lines {
    fn add(&mut self, bytes: &[u8], mut line: impl FnMut(&Value)) -> Result<(), Error> {
        let mut pieces = bytes.split(|byte| *byte == b'\n');
        // There is a first piece, and it completes the unfinished line.
        self.begun.extend(pieces.next().unwrap_or_default());
        for piece in pieces {
            let whole = std::mem::replace(&mut self.begun, piece.to_vec());
            let read = serde_json::from_slice(&whole);
            line(&read.map_err(|error| {
                Error::Other(format!("a line of the export is not JSON ({error}): is there a proxy in front of the server?"))
            })?);
        }
        Ok(())
    }
}

/// The result of the comparison.
#[derive(Default)]
struct Found {
    limit: usize,
    /// How many were assessed again.
    assessed: u64,
    /// How many would change from one level to another.
    changed: BTreeMap<(Level, Level), u64>,
    /// How many could not be submitted, by reason.
    refused: BTreeMap<String, u64>,
    /// How many cannot be read.
    unread: u64,
    /// The newest changed requests, the oldest first: each with its new level, or none if it could
    /// not be submitted.
    listed: VecDeque<(Value, Option<Level>)>,
}

impl Found {
    fn add(&mut self, preview: Preview<'_>, line: &Value) {
        let document = serde_json::to_vec(&line["document"]).ok().and_then(|bytes| Document::read(&bytes).ok());
        let (was, at) = (text(line, "/risk_level").and_then(Level::parse), text(line, "/submitted_at").and_then(times::read));
        let (Some(document), Some(was), Some(at), Some(by)) = (document, was, at, text(line, "/requested_by")) else {
            self.unread += 1;
            return;
        };
        self.assessed += 1;
        let level = match preview.level(&document, by, at) {
            Ok(level) if level == was => return,
            Ok(level) => {
                *self.changed.entry((was, level)).or_default() += 1;
                Some(level)
            }
            Err(why) => {
                *self.refused.entry(why).or_default() += 1;
                None
            }
        };
        let mut line = line.clone();
        if let Some(fields) = line.as_object_mut() {
            fields.retain(|name, _| ["workflow_id", "risk_level", "submitted_at", "requested_by", "target"].contains(&name.as_str()));
        }
        if self.listed.len() == self.limit {
            self.listed.pop_front();
        }
        self.listed.push_back((line, level));
    }

    fn others(&self) -> u64 {
        self.changed.values().chain(self.refused.values()).sum()
    }

    fn as_json(&self, from: &str) -> Value {
        let changed = self.changed.iter().map(|((was, level), count)| json!({"from": was, "to": level, "count": count}));
        let refused = self.refused.iter().map(|(why, count)| json!({"why": why, "count": count}));
        let listed = self.listed.iter().rev().map(|(line, level)| {
            let mut line = line.clone();
            line["would_be"] = json!(level);
            line
        });
        json!({
            "from": from, "assessed": self.assessed, "unread": self.unread, "changed": changed.collect::<Vec<_>>(),
            "refused": refused.collect::<Vec<_>>(), "requests": listed.collect::<Vec<_>>()})
    }

    fn show(&self, page: &mut Page, days: u16) {
        let requests = if self.assessed == 1 { "request" } else { "requests" };
        page.line(format_args!(
            "{} {requests} of the last {days} days: {} would have been assessed differently",
            self.assessed,
            self.others()
        ));
        for ((was, level), count) in &self.changed {
            let to = page.paint(Style::of(level.as_str()), level.as_str());
            page.line(format_args!("  {count:>5}  {was} -> {to}"));
        }
        for (why, count) in &self.refused {
            page.line(format_args!("  {count:>5}  refused: {}", escaped(why)));
        }
        if self.unread > 0 {
            page.line(format_args!("  {:>5}  could not be read and were not assessed", self.unread));
        }
        if self.listed.is_empty() {
            return;
        }
        let now = times::now();
        let row = |(line, level): &(Value, Option<Level>)| -> Vec<Cell> {
            let word = |pointer: &str| escaped(text(line, pointer).unwrap_or("?"));
            let age = text(line, "/submitted_at").and_then(times::read).map_or_else(|| "?".to_owned(), |at| times::size(now - at));
            let would_be = level.map_or("refused", Level::as_str);
            vec![
                (word("/risk_level"), PLAIN),
                (would_be.to_owned(), Style::of(would_be)),
                (age, PLAIN),
                (word("/requested_by"), PLAIN),
                (what(line).text, PLAIN),
                (id::short(&word("/workflow_id")).to_owned(), BOLD),
            ]
        };
        let rows: Vec<Vec<Cell>> = self.listed.iter().rev().map(row).collect();
        page.line("");
        table(page, &["WAS", "WOULD BE", "AGE", "BY", "WHAT", "ID"], &rows, 4, width());
        let left_out = self.others() - self.listed.len() as u64;
        if left_out > 0 {
            page.line(format_args!("and {left_out} older ones: list more with --limit"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_whole_however_they_come_in() {
        let text = b"{\"n\": 1}\n{\"n\": 2}\n";
        for size in 1..=text.len() {
            let (mut lines, mut found) = (Lines::default(), Vec::new());
            for piece in text.chunks(size) {
                lines.add(piece, |line| found.push(line["n"].as_u64().unwrap())).unwrap();
            }
            assert_eq!(found, [1, 2], "in pieces of {size}");
        }
        assert!(Lines::default().add(b"<html>\n", |_| ()).is_err());
    }
}
