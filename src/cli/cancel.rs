//! `parkbrake cancel`: the requester or an admin cancels a task, and learns how a running attempt
//! ended.

use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::{list, text, version};
use crate::cli::id::GivenId;
use crate::cli::terminal::{Page, Style, complain, print_json};
use crate::cli::{Error, watch};
use crate::domain::text::escaped;
use crate::domain::workflow::Status;
use reqwest::Method;
use serde_json::{Map, Value};
use std::process::ExitCode;

/// Cancels a task. What runs is stopped, and the command waits for its end; the exit status is 1 if
/// it had completed or failed first, or if nobody knows how it ended.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workflow's id, or the last characters of it: at least 6
    id: GivenId,
    /// The reason
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Return as soon as the cancel is recorded, and do not wait for the processes to end
    #[arg(long)]
    no_wait: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Why it was not cancelled.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Agent)?;
    let id = client.find(&args.id).await?;
    let body: Map<String, Value> = args.reason.map(|reason| ("reason".to_owned(), Value::String(reason))).into_iter().collect();
    let answer = client.send(client.call(Method::POST, &format!("/workflows/{id}/cancel")).json(&body)).await?;
    let is_running = answer.value["cancel_requested"] == true;
    if !is_running || args.no_wait {
        let words =
            if is_running { "executing; its processes are being stopped" } else { text(&answer.value, "/status").unwrap_or("cancelled") };
        show(args.connection.json, &answer.body, words)?;
        return Ok(ExitCode::SUCCESS);
    }
    if !args.connection.json {
        complain("parkbrake: its processes are being stopped; waiting until they have ended");
    }
    let mut seen = 0;
    let ended = loop {
        let answer = watch::wait(&client, id, seen).await?;
        seen = seen.max(version(answer.workflow()));
        if answer.workflow()["cancel_requested"] != true {
            break answer;
        }
    };
    let workflow = ended.workflow();
    let status = text(workflow, "/status").unwrap_or("unknown");
    let error = list(workflow, "/execution/attempts").last().and_then(|attempt| text(attempt, "/error"));
    show(args.connection.json, &ended.body, &error.map_or_else(|| status.to_owned(), |error| format!("{status}: {error}")))?;
    Ok(if Status::parse(status) == Some(Status::Cancelled) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn show(as_json: bool, body: &str, words: &str) -> Result<(), Error> {
    if as_json {
        return print_json(body);
    }
    let mut page = Page::stdout();
    let status = words.split([':', ';']).next().unwrap_or(words);
    let line = page.paint(Style::of(status), &escaped(words));
    page.line(line);
    page.print()
}
