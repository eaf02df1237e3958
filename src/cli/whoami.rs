//! `parkbrake whoami`: shows whose token this is, and what that name may do now.

use crate::cli::Error;
use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::{text, texts};
use crate::cli::terminal::{BOLD, Page, print_json};
use crate::domain::text::escaped;
use reqwest::Method;
use std::process::ExitCode;

/// Shows whose token this is, and which roles that person has now.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Why the server did not answer.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let answer = client.send(client.call(Method::GET, "/whoami")).await?;
    if args.connection.json {
        print_json(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    let word = |pointer: &str| text(&answer.value, pointer).map(escaped);
    let mut page = Page::stdout();
    let name = page.paint(BOLD, &word("/name").unwrap_or_else(|| "?".to_owned()));
    page.line(match word("/on_behalf_of") {
        Some(person) => format!("{name}, an agent that acts for {person}"),
        None if text(&answer.value, "/kind") == Some("agent") => format!("{name}, an agent"),
        None => match texts(&answer.value, "/roles").as_slice() {
            [] => format!("{name}, a person without a role"),
            roles => format!("{name}: {}", escaped(&roles.join(", "))),
        },
    });
    page.print()?;
    Ok(ExitCode::SUCCESS)
}
