//! `parkbrake approve`: shows what would run, asks, and approves exactly that.
//!
//! The command sends the digest of the document that it has shown, computed here, rather than the
//! digest that the server names. So an approval is bound to what was on the screen: if anything
//! else is stored, the server refuses it (412).

use crate::cli::client::Connection;
use crate::cli::consent::{Asked, Consent, is_somebody_there};
use crate::cli::dev_home::Kind;
use crate::cli::facts::{number, text};
use crate::cli::id::GivenId;
use crate::cli::terminal::{Page, Style, print_json};
use crate::cli::{Error, show, status};
use crate::domain::task::digest::{self, Digest};
use crate::domain::task::plan::step_digest;
use crate::domain::text::escaped;
use reqwest::Method;
use serde_json::{Map, Value};
use std::io;
use std::process::ExitCode;

/// Shows the level of a request, what exactly would run, why it waits and what the requester says
/// about it, asks for confirmation, and approves it. A critical request is approved by typing its
/// target. Without a terminal, use --yes, and for a critical request also --confirm or --digest.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The workflow's id, or the last characters of it: at least 6
    id: GivenId,
    /// Why it may run; some levels require it
    #[arg(long, value_name = "TEXT")]
    justification: Option<String>,
    /// Approve only the document with this digest, which you have read elsewhere; with --yes it is
    /// not shown again
    #[arg(long, value_name = "sha256:…")]
    digest: Option<String>,
    /// Approve an exception from this freeze, which holds the released action; needs
    /// --justification
    #[arg(long, value_name = "FREEZE", requires = "justification")]
    exception: Option<String>,
    /// Break the glass: release it alone, in an emergency; needs --justification, and somebody else
    /// has to review it
    #[arg(long, requires = "justification", conflicts_with = "exception")]
    break_glass: bool,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Why it was not approved.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let id = client.find(&args.id).await?;
    let digest = match args.digest {
        // The server compares it with what is stored.
        Some(digest) if args.consent.suffices() => digest,
        given => {
            let answer = status::read(&client, id).await?;
            let digest = digest_of(answer.workflow())?;
            if let Some(given) = given.as_deref().filter(|given| *given != digest) {
                let given = escaped(given);
                return Err(Error::Other(format!("the digest of this request is {digest}, and not {given}: nothing was approved")));
            }
            if !args.connection.json {
                let mut page = Page::stdout();
                show::request(&mut page, answer.workflow());
                page.print().map_err(|error| Error::Other(format!("nothing was approved, because it could not be shown: {error}")))?;
            }
            let (mut input, mut output) = (io::stdin().lock(), io::stderr());
            let asked = (!args.connection.json && is_somebody_there()).then(|| Asked::by(&mut input, &mut output));
            args.consent.obtain(answer.workflow(), given.is_some(), asked)?;
            digest
        }
    };
    let mut body = Map::from_iter([("digest".to_owned(), Value::String(digest))]);
    body.extend(args.exception.map(|name| ("exception".to_owned(), Value::String(name))));
    if args.break_glass {
        body.insert("break_glass".to_owned(), Value::Bool(true));
    }
    body.extend(args.justification.map(|text| ("justification".to_owned(), Value::String(text))));
    let answer = client.send(client.call(Method::POST, &format!("/workflows/{id}/approve")).json(&body)).await?;
    if args.connection.json {
        print_json(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Page::stdout();
    let by = escaped(text(&answer.value, "/approved_by").unwrap_or("you"));
    let line = match number(&answer.value, "/approvals_remaining") {
        None | Some(0) => {
            let status = text(&answer.value, "/workflow_status").unwrap_or("approved");
            format!("{} by {by}; the workflow is {}", page.paint(Style::of("approved"), "approved"), escaped(status))
        }
        Some(1) => format!("your approval counts, {by}; 1 more is needed"),
        Some(n) => format!("your approval counts, {by}; {n} more are needed"),
    };
    page.line(line);
    page.print()?;
    Ok(ExitCode::SUCCESS)
}

/// The digest of the task in an answer, or of the step that people are asked about. It has to equal
/// the digest that the server names.
pub(super) fn digest_of(workflow: &Value) -> Result<String, Error> {
    let Some(task) = workflow.get("task").filter(|task| task.is_object()) else {
        return Err(Error::Other("the server does not show what would run, so nothing was approved".to_owned()));
    };
    let shown = Digest::of(&digest::canonical(task));
    match text(workflow, "/digest") {
        Some(named) if named != shown.as_str() => Err(Error::Other(format!(
            "the digest that the server names, {}, is not that of the task that it shows, {shown}: nothing was approved; report this to the operator",
            escaped(named)
        ))),
        _ => match number(workflow, "/approval/step/n").map(u32::try_from) {
            Some(Ok(step)) if text(workflow, "/status") == Some("pending_approval") => Ok(step_digest(&shown, step).to_string()),
            _ => Ok(shown.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_approval_covers_what_was_shown() {
        let task = json!({"operation": "deploy", "estimated_cost": 250.0});
        let digest = digest_of(&json!({"task": task})).unwrap();
        assert_eq!(digest, Digest::of(br#"{"estimated_cost":250,"operation":"deploy"}"#).as_str());
        assert_eq!(digest_of(&json!({"task": task, "digest": digest})).unwrap(), digest);
        assert!(digest_of(&json!({"task": {"operation": "read"}, "digest": digest})).is_err());
        assert!(digest_of(&json!({"digest": digest})).is_err());
        let asked = json!({"task": task, "digest": digest, "status": "pending_approval", "approval": {"step": {"n": 2, "digest": "sha256:another"}}});
        let of_step = digest_of(&asked).unwrap();
        assert_eq!(
            of_step,
            Digest::of(format!(r#"{{"plan":"{digest}","step":2}}"#).as_bytes()).as_str(),
            "by what is shown, not by what is named"
        );
    }
}
