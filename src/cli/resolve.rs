//! `parkbrake resolve`: records the outcome of an action whose outcome was unknown.

use crate::cli::Error;
use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::text;
use crate::cli::id::GivenId;
use crate::cli::terminal::{Page, Style, print_json};
use crate::domain::text::escaped;
use reqwest::Method;
use serde_json::json;
use std::process::ExitCode;

/// States the outcome of an action whose outcome is unknown.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workflow's id, or the last characters of it: at least 6
    id: GivenId,
    /// The outcome; `retry` runs the action once more
    #[arg(long, value_enum)]
    outcome: Outcome,
    /// How you know
    #[arg(long, value_name = "TEXT")]
    justification: String,
    #[command(flatten)]
    connection: Connection,
}

#[derive(Debug, Clone, Copy, clap::ValueEnum)]
enum Outcome {
    Succeeded,
    Failed,
    Retry,
}

impl Outcome {
    fn as_str(self) -> &'static str {
        match self {
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Retry => "retry",
        }
    }
}

/// Runs the command.
///
/// # Errors
/// Why it was not resolved.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let id = client.find(&args.id).await?;
    let body = json!({"outcome": args.outcome.as_str(), "justification": args.justification});
    let answer = client.send(client.call(Method::POST, &format!("/workflows/{id}/resolve")).json(&body)).await?;
    if args.connection.json {
        print_json(&answer.body)?;
    } else {
        let mut page = Page::stdout();
        let status = text(&answer.value, "/status").unwrap_or("resolved");
        let line = page.paint(Style::of(status), &escaped(status));
        page.line(format!("resolved; it is {line}"));
        page.print()?;
    }
    Ok(ExitCode::SUCCESS)
}
