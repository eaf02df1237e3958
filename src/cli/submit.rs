//! `parkbrake submit`: submits a task.

use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::text;
use crate::cli::task_flags::TaskFlags;
use crate::cli::terminal::{Page, print_json};
use crate::cli::{Error, digest, show, watch};
use crate::domain::text::escaped;
use crate::domain::workflow::Status;
use reqwest::Method;
use reqwest::header::CONTENT_TYPE;
use serde_json::Value;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Submits a task: from a file with JSON, from standard input (`-`), or from flags. With --wait the
/// exit status is 3 if it was rejected, 4 if it expired, and 1 if it ended in any other way than
/// completed.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file with the task as JSON, or - for standard input
    file: Option<PathBuf>,
    #[command(flatten)]
    flags: TaskFlags,
    /// Submit at most once: the same key and task return the first answer again
    #[arg(long, value_name = "KEY", value_parser = key)]
    idempotency_key: Option<String>,
    /// Hold the answer for this many seconds (at most 55), until the task is parked or has ended
    #[arg(long, value_name = "SECONDS", value_parser = clap::value_parser!(u16).range(0..=55))]
    wait: Option<u16>,
    #[command(flatten)]
    connection: Connection,
}

fn key(text: &str) -> Result<String, String> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'"' | b'\\');
    if (1..=255).contains(&text.len()) && text.bytes().all(fits) {
        Ok(text.to_owned())
    } else {
        Err("write 1 to 255 ASCII letters, digits and punctuation marks, without blanks, quotes and backslashes".to_owned())
    }
}

/// Runs the command.
///
/// # Errors
/// Why the task was not accepted.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Agent)?;
    let body = match &args.file {
        // Sent unchanged, so that the server's errors (a duplicate key, for example) apply to the
        // file.
        Some(file) => digest::read(file)?,
        None => {
            let supersedes = match &args.flags.supersedes {
                Some(given) => Some(client.find(given).await?),
                None => None,
            };
            args.flags.task(supersedes)?.to_string().into_bytes()
        }
    };
    let held = Duration::from_secs(args.wait.unwrap_or(0).into());
    let mut call = client.patient_call(Method::POST, "/orchestrate", held).header(CONTENT_TYPE, "application/json").body(body);
    if let Some(key) = &args.idempotency_key {
        call = call.header("idempotency-key", format!("\"{key}\""));
    }
    if let Some(seconds) = args.wait {
        call = call.header("prefer", format!("wait={seconds}"));
    }
    let answer = client.send(call).await?;
    if args.connection.json {
        print_json(&answer.body)?
    } else {
        print(&answer.value)?
    }
    // A workflow that still waits or runs has not failed; neither has one with an unknown outcome.
    let ended = text(&answer.value, "/status").and_then(Status::parse).filter(|status| status.is_final());
    Ok(ended.map_or(ExitCode::SUCCESS, watch::exit_status))
}

fn print(answer: &Value) -> Result<(), Error> {
    let mut page = Page::stdout();
    show::heading(&mut page, answer);
    show::reasons(&mut page, answer);
    show::approval(&mut page, answer);
    page.fact("digest", escaped(text(answer, "/digest").unwrap_or("?")));
    if let Some(id) = text(answer, "/workflow_id") {
        page.fact("follow it", format!("parkbrake watch {}", escaped(id)));
    }
    page.print()
}
