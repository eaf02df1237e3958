//! `parkbrake grant create`, `grant list`, `grant proposals` and `grant revoke`: approvals given in
//! advance.

use crate::cli::Error;
use crate::cli::client::{Client, Connection};
use crate::cli::dev_home::Kind;
use crate::cli::facts::{list, number, text};
use crate::cli::id::GivenId;
use crate::cli::terminal::{Page, Style, print_json};
use crate::domain::text::escaped;
use reqwest::Method;
use serde_json::{Map, Value, json};
use std::process::ExitCode;
use uuid::Uuid;

/// What to do with standing grants.
#[derive(Debug, clap::Subcommand)]
pub enum Command {
    /// Release requests of a narrow kind for a while without asking anybody
    Create(Box<CreateArgs>),
    /// List the latest grants, and the state of each
    List(ListArgs),
    /// List proposed grants, for requests that people approve again and again
    Proposals(ListArgs),
    /// Revoke a grant; requests that it released and that have not started need an approval again
    Revoke(RevokeArgs),
}

/// Gives a grant.
#[derive(Debug, clap::Args)]
pub struct CreateArgs {
    /// Start from this workflow: release requests of the same kind; the other flags change the
    /// pattern
    #[arg(long, value_name = "WORKFLOW")]
    like: Option<GivenId>,
    /// Whose requests it releases
    #[arg(long, value_name = "NAME")]
    requester: Option<String>,
    /// The operation
    #[arg(long, value_name = "WORD")]
    operation: Option<String>,
    /// The environment
    #[arg(long, value_name = "WORD")]
    environment: Option<String>,
    /// The resource; a star stands for visible ASCII without a slash
    #[arg(long, value_name = "TEXT")]
    resource: Option<String>,
    /// The type of the resource
    #[arg(long, value_name = "WORD")]
    resource_type: Option<String>,
    /// The runbook that performs the action
    #[arg(long, value_name = "NAME", conflicts_with = "webhook")]
    runbook: Option<String>,
    /// The webhook that performs the action
    #[arg(long, value_name = "NAME")]
    webhook: Option<String>,
    /// An argument, which has to be this text; each argument needs one of these three flags
    #[arg(long = "arg", value_name = "NAME=TEXT", value_parser = pair)]
    args: Vec<(String, String)>,
    /// An argument, which has to match this pattern; a star stands for visible ASCII without a
    /// slash
    #[arg(long, value_name = "NAME=TEXT", value_parser = pair)]
    arg_like: Vec<(String, String)>,
    /// An argument that may be any text, number or boolean
    #[arg(long, value_name = "NAME")]
    any_arg: Vec<String>,
    /// The highest risk level that it releases: low, medium or high
    #[arg(long, value_name = "LEVEL")]
    level: Option<String>,
    /// For how long, such as 2h
    #[arg(long = "for", value_name = "DURATION")]
    expires_in: String,
    /// How many requests it releases; if left out, as many as the policy allows
    #[arg(long, value_name = "COUNT")]
    uses: Option<u32>,
    /// The most that they may cost together, in US dollars
    #[arg(long, value_name = "DOLLARS")]
    cost: Option<f64>,
    /// The justification
    #[arg(long, value_name = "TEXT")]
    justification: String,
    #[command(flatten)]
    connection: Connection,
}

/// Lists grants.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    connection: Connection,
}

/// Revokes a grant.
#[derive(Debug, clap::Args)]
pub struct RevokeArgs {
    /// The grant's id, or the last characters of it: at least 6
    id: GivenId,
    /// The reason
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the command.
///
/// # Errors
/// Why the command failed.
pub async fn run(command: Command) -> Result<ExitCode, Error> {
    match command {
        Command::Create(args) => {
            let client = args.connection.client(Kind::Person)?;
            let like = match &args.like {
                Some(given) => Some(client.find(given).await?),
                None => None,
            };
            tell(&client, args.connection.json, "/grants", &body(&args, like)).await
        }
        Command::Revoke(args) => {
            let client = args.connection.client(Kind::Person)?;
            let id = client.find_grant(&args.id).await?;
            tell(&client, args.connection.json, &format!("/grants/{id}/revoke"), &reason(args.reason.as_deref())).await
        }
        Command::List(args) => show(&args.connection, "/grants", print_grants).await,
        Command::Proposals(args) => show(&args.connection, "/grants/proposals", print_proposals).await,
    }
}

fn pair(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write the argument's name, =, and what it has to be")?;
    Ok((name.to_owned(), value.to_owned()))
}

fn reason(reason: Option<&str>) -> Value {
    reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}))
}

/// The call's body: only the given flags.
fn body(args: &CreateArgs, like: Option<Uuid>) -> Value {
    // The client creates the id, so that a call that is sent twice gives one grant.
    let mut body = json!({"grant_id": Uuid::new_v4(), "expires_in": args.expires_in, "justification": args.justification});
    let like = like.map(|id| id.to_string());
    for (field, given) in [
        ("like", &like),
        ("requester", &args.requester),
        ("operation", &args.operation),
        ("environment", &args.environment),
        ("resource", &args.resource),
        ("resource_type", &args.resource_type),
        ("level", &args.level),
    ] {
        if let Some(given) = given {
            body[field] = json!(given);
        }
    }
    if let Some(uses) = args.uses {
        body["uses"] = json!(uses);
    }
    if let Some(cost) = args.cost {
        body["cost"] = json!(cost);
    }
    if let Some(action) = action(args) {
        body["action"] = action;
    }
    body
}

fn action(args: &CreateArgs) -> Option<Value> {
    let exact = args.args.iter().map(|(name, text)| (name.clone(), json!(text)));
    let like = args.arg_like.iter().map(|(name, text)| (name.clone(), json!({"like": text})));
    let any = args.any_arg.iter().map(|name| (name.clone(), json!({"any": true})));
    let arguments: Map<String, Value> = exact.chain(like).chain(any).collect();
    let named = args.runbook.as_ref().map(|name| ("runbook", name)).or(args.webhook.as_ref().map(|name| ("webhook", name)));
    match (named, arguments.is_empty()) {
        (Some((kind, name)), _) => Some(json!({"type": kind, "name": name, "args": arguments})),
        (None, false) => Some(json!({"args": arguments})),
        // Without `like`, the default is an action of the requester itself.
        (None, true) => args.like.is_none().then(|| json!({"type": "external"})),
    }
}

async fn tell(client: &Client, json: bool, path: &str, body: &Value) -> Result<ExitCode, Error> {
    let answer = client.send(client.call(Method::POST, path).json(body)).await?;
    if json {
        print_json(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Page::stdout();
    print(&mut page, &answer.value["grant"]);
    page.print()?;
    Ok(ExitCode::SUCCESS)
}

async fn show(connection: &Connection, path: &str, print: fn(&mut Page, &Value)) -> Result<ExitCode, Error> {
    let client = connection.client(Kind::Person)?;
    let answer = client.send(client.call(Method::GET, path)).await?;
    if connection.json {
        print_json(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Page::stdout();
    print(&mut page, &answer.value);
    page.print()?;
    Ok(ExitCode::SUCCESS)
}

fn print_grants(page: &mut Page, answer: &Value) {
    let grants = list(answer, "/grants");
    if grants.is_empty() {
        page.line("nothing is granted");
    }
    grants.iter().for_each(|grant| print(page, grant));
}

fn print_proposals(page: &mut Page, answer: &Value) {
    let proposals = list(answer, "/proposals");
    let count = |pointer: &str| number(answer, pointer).unwrap_or(0);
    for proposal in proposals {
        let [headline, level, like] = ["/headline", "/level", "/like"].map(|pointer| escaped(text(proposal, pointer).unwrap_or("?")));
        let [approved, others] = ["/approved/count", "/others/count"].map(|pointer| number(proposal, pointer).unwrap_or(0));
        page.line(headline);
        page.fact("approved", format_args!("{approved} times, up to {level} risk"));
        let ids = list(proposal, "/others/workflow_ids").iter().filter_map(Value::as_str).map(|id| format!(" {}", escaped(id)));
        let ids: String = ids.collect();
        page.fact("would also", format_args!("have released {others} requests{}{ids}", if ids.is_empty() { "" } else { ":" }));
        if proposal["may_give"] == true {
            page.fact("to give it", format_args!("parkbrake grant create --like {like} --for DURATION --justification TEXT"));
        } else {
            page.fact("to give it", "somebody else has to: you could not approve such requests");
        }
    }
    if proposals.is_empty() {
        page.line(format_args!("nothing is proposed: that takes {} equal approvals and no rejection", count("/after")));
    }
    let more = if answer["is_cut"] == true { "; there were more" } else { "" };
    page.line(format_args!("{} requests of the last {} days were examined{more}", count("/looked_through"), count("/days")));
}

/// One grant, in a few lines.
fn print(page: &mut Page, grant: &Value) {
    let fact = |pointer: &str| escaped(text(grant, pointer).unwrap_or("?"));
    let [status, id, headline] = ["/status", "/grant_id", "/headline"].map(fact);
    let word = page.paint(Style::of(if status == "live" { "approved" } else { "cancelled" }), &status.replace('_', " "));
    page.line(format_args!("{word} {id}: {headline}"));
    let [level, by, expires, why] = ["/level", "/given_by", "/expires_at", "/justification"].map(fact);
    let (used, uses) = (number(grant, "/used").unwrap_or(0), number(grant, "/uses").unwrap_or(0));
    let cost =
        grant["cost"].as_f64().map(|cost| format!(", {} of {cost} dollars", grant["spent"].as_f64().unwrap_or(0.0))).unwrap_or_default();
    page.fact("up to", format_args!("{level} risk, {used} of {uses} used{cost}, until {expires}"));
    page.fact("given by", format_args!("{by}: {why}"));
    if let Some(who) = text(grant, "/revoked/by") {
        let reason = text(grant, "/revoked/reason").map(|reason| format!(": {}", escaped(reason))).unwrap_or_default();
        page.fact("revoked by", format_args!("{}{reason}", escaped(who)));
    }
}
