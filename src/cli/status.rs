//! `parkbrake status`: shows the status of a workflow.

use crate::cli::client::{Answer, Client, Connection};
use crate::cli::dev_home::Kind;
use crate::cli::id::GivenId;
use crate::cli::terminal::{Page, print_json};
use crate::cli::{Error, show};
use reqwest::Method;
use std::process::ExitCode;
use uuid::Uuid;

/// Shows the target of a workflow, its decisions, its attempts, and its history.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workflow's id, or the last characters of it: at least 6
    id: GivenId,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Why the server did not answer.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let id = client.find(&args.id).await?;
    let answer = read(&client, id).await?;
    if args.connection.json {
        print_json(&answer.body)?;
    } else {
        let mut page = Page::stdout();
        show::workflow(&mut page, answer.workflow());
        page.print()?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads a workflow.
pub(super) async fn read(client: &Client, id: Uuid) -> Result<Answer, Error> {
    client.send(client.call(Method::GET, &format!("/workflows/{id}/status"))).await
}
