//! `parkbrake watch`: follows a workflow until it has ended.
//!
//! A request may stay parked for days, and the server may be restarted in the meantime, so once it
//! has answered, a call that fails is retried for some minutes. The version of the last event seen
//! is remembered, so that no event is missed or shown twice.

use crate::cli::client::{Answer, Client, Connection};
use crate::cli::dev_home::Kind;
use crate::cli::exit;
use crate::cli::facts::{list, number, text, version};
use crate::cli::id::GivenId;
use crate::cli::live::Live;
use crate::cli::terminal::{Page, Style, complain, print_json};
use crate::cli::{Error, show, status};
use crate::domain::text::escaped;
use crate::domain::workflow::Status;
use reqwest::Method;
use serde_json::Value;
use std::pin::pin;
use std::process::ExitCode;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long the server is asked to hold a call: less than the minute after which proxies give up.
const HOLD: Duration = Duration::from_secs(55);

/// The pause after an immediate answer without anything new.
const PAUSE: Duration = Duration::from_secs(1);

/// How often a call is tried again, with pauses of 1, 2, 4, … 30 s between: about four minutes.
const TRIES: u32 = 12;

const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// Prints each event of a workflow as it happens, and what its runbook writes, until it has ended.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workflow's id, or the last characters of it: at least 6
    id: GivenId,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command: exit status 0 if the workflow completed, 3 if it was rejected, 4 if it
/// expired, 1 otherwise.
///
/// # Errors
/// Why the server did not answer.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let id = client.find(&args.id).await?;
    let (mut seen, mut live) = (0, Live::default());
    let mut answer = status::read(&client, id).await?;
    loop {
        let workflow = answer.workflow();
        let newest = version(workflow);
        if newest > seen {
            if args.connection.json {
                print_json(&answer.body)?;
            } else {
                // The output comes before the outcome.
                live.print_news(&client, id).await?;
                live.finish()?;
                print_news(workflow, seen)?;
            }
        }
        if let Some(status) = ended(workflow) {
            return Ok(exit_status(status));
        }
        let asked = Instant::now();
        let stale = newest <= seen;
        seen = seen.max(newest);
        let is_followed = !args.connection.json && text(answer.workflow(), "/status").and_then(Status::parse) == Some(Status::Executing);
        answer = if is_followed { wait_and_follow(&client, id, seen, &mut live).await? } else { wait(&client, id, seen).await? };
        if stale && version(answer.workflow()) <= seen && asked.elapsed() < PAUSE {
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The exit status for the final status of a workflow.
pub(super) fn exit_status(status: Status) -> ExitCode {
    match status {
        Status::Completed => ExitCode::SUCCESS,
        Status::Rejected => ExitCode::from(exit::REJECTED),
        Status::Expired => ExitCode::from(exit::EXPIRED),
        _ => ExitCode::FAILURE,
    }
}

fn ended(workflow: &Value) -> Option<Status> {
    text(workflow, "/status").and_then(Status::parse).filter(|status| status.is_final())
}

fn print_news(workflow: &Value, seen: u64) -> Result<(), Error> {
    let mut page = Page::stdout();
    if seen == 0 {
        show::heading(&mut page, workflow);
    }
    for event in list(workflow, "/history").iter().filter(|event| number(event, "/version").is_some_and(|version| version > seen)) {
        let line = show::event(&page, workflow, event);
        page.line(line);
    }
    if let Some(status) = text(workflow, "/status") {
        let status = page.paint(Style::of(status), &escaped(status));
        page.line(format_args!("     now {status}"));
        for step in show::standing(workflow) {
            page.line(format_args!("         {step}"));
        }
    }
    page.print()
}

/// Waits for the events after a version, and prints the runbook's output in the meantime.
async fn wait_and_follow(client: &Client, id: Uuid, seen: u64, live: &mut Live) -> Result<Answer, Error> {
    let mut answer = pin!(wait(client, id, seen));
    loop {
        tokio::select! {
            answer = &mut answer => return answer,
            () = tokio::time::sleep(PAUSE) => live.print_news(client, id).await?,
        }
    }
}

/// Waits for the events after a version.
pub(super) async fn wait(client: &Client, id: Uuid, seen: u64) -> Result<Answer, Error> {
    let mut pause = Duration::from_secs(1);
    for tries in 1.. {
        let path = format!("/workflows/{id}/wait?since={seen}&timeout={}s", HOLD.as_secs());
        match client.send(client.patient_call(Method::GET, &path, HOLD)).await {
            Err(error) if error.is_passing() && tries < TRIES => {
                complain(&format!("parkbrake: {error}\nparkbrake: trying again in {} s", pause.as_secs()));
                tokio::time::sleep(pause).await;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            done => return done,
        }
    }
    unreachable!("the last try returns")
}
