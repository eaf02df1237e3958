//! `parkbrake verify-plan`: checks, before a Terraform plan is applied, whether it is the one that
//! was approved.

use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::{text, texts};
use crate::cli::terminal::{Page, complain, print_json};
use crate::cli::{Error, terraform};
use crate::domain::request::evidence;
use crate::domain::text::escaped;
use reqwest::Method;
use serde_json::{Map, Value};
use std::path::PathBuf;
use std::process::ExitCode;
use uuid::Uuid;

/// Check whether a Terraform plan is the one that was approved and may be applied now; the exit
/// status is 1 if it is not.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A file with the output of `terraform show -json` for the plan that is about to be applied,
    /// or - for standard input
    plan: PathBuf,
    /// The workflow in which it was approved
    #[arg(long, value_name = "ID", env = "PARKBRAKE_WORKFLOW_ID")]
    workflow: Uuid,
    /// The digest that was approved
    #[arg(long, value_name = "DIGEST", env = "PARKBRAKE_DIGEST")]
    digest: Option<String>,
    /// The step that shows the plan, if several steps of the workflow show one
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    step: Option<u32>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Why that is not known.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let plan = terraform::read(&args.plan, None)?;
    let client = args.connection.client(Kind::Agent)?;
    let mut body = Map::from_iter([(evidence::FIELD.to_owned(), Value::Object(evidence::of_plan(&plan)))]);
    body.extend(args.digest.filter(|digest| !digest.is_empty()).map(|digest| ("digest".to_owned(), Value::String(digest))));
    body.extend(args.step.map(|step| ("step".to_owned(), Value::from(step))));
    let answer = client.send(client.call(Method::POST, &format!("/workflows/{}/verify-plan", args.workflow)).json(&body)).await?;
    let is_verified = answer.value["verified"] == true;
    if args.connection.json {
        print_json(&answer.body)?;
    } else if is_verified {
        let mut page = Page::stdout();
        page.line(format!("verified: this is the plan that was approved ({})", plan.summary.counts));
        page.fact("digest", escaped(text(&answer.value, "/digest").unwrap_or("?")));
        page.print()?;
    } else {
        complain("parkbrake: do not apply this plan:");
        for reason in texts(&answer.value, "/reasons") {
            complain(&format!("  {}", escaped(reason)));
        }
    }
    Ok(if is_verified { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
