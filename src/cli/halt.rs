//! `parkbrake halt`, `parkbrake resume` and `parkbrake halts`.

use crate::cli::Error;
use crate::cli::client::Connection;
use crate::cli::dev_home::Kind;
use crate::cli::facts::{list, number, text};
use crate::cli::terminal::{Page, Style, print_json};
use crate::cli::times;
use crate::domain::text::escaped;
use reqwest::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Stop all starts: nothing new runs any more.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Halt only this environment; everything if left out
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// The reason
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Lift the halt as soon as every server has confirmed it, and report how long that took
    #[arg(long)]
    drill: bool,
    #[command(flatten)]
    connection: Connection,
}

/// Lift a halt.
#[derive(Debug, clap::Args)]
pub struct ResumeArgs {
    /// Lift the halt of this environment; if left out, the halt of everything
    #[arg(long, value_name = "NAME")]
    environment: Option<String>,
    /// The reason
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    #[command(flatten)]
    connection: Connection,
}

/// List the halts in force, and the log of earlier ones.
#[derive(Debug, clap::Args)]
pub struct ListArgs {
    #[command(flatten)]
    connection: Connection,
}

/// Halts.
///
/// # Errors
/// Why it was not halted.
pub async fn run(args: Args) -> Result<ExitCode, Error> {
    let mut body = json!({"reason": args.reason, "drill": args.drill});
    if let Some(environment) = args.environment {
        body["environment"] = json!(environment);
    }
    tell(&args.connection, "/halt", &body).await
}

/// Lifts a halt.
///
/// # Errors
/// Why it was not lifted.
pub async fn resume(args: ResumeArgs) -> Result<ExitCode, Error> {
    let mut body = json!({});
    for (field, given) in [("environment", args.environment), ("reason", args.reason)] {
        if let Some(given) = given {
            body[field] = json!(given);
        }
    }
    tell(&args.connection, "/resume", &body).await
}

/// Lists halts.
///
/// # Errors
/// Why there is no list.
pub async fn show(args: ListArgs) -> Result<ExitCode, Error> {
    let client = args.connection.client(Kind::Person)?;
    let answer = client.send(client.call(Method::GET, "/halts")).await?;
    if args.connection.json {
        print_json(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Page::stdout();
    in_force(&mut page, &answer.value);
    for entry in list(&answer.value, "/log") {
        let reason = text(entry, "/reason").map(|reason| format!(": {}", escaped(reason))).unwrap_or_default();
        let took = number(entry, "/drill/took_ms").map(|took| format!(" (every server had confirmed after {took} ms)")).unwrap_or_default();
        let [what, by] = ["/what", "/by"].map(|fact| escaped(text(entry, fact).unwrap_or("?")));
        let at = text(entry, "/at").map_or_else(|| "?".to_owned(), times::local);
        page.line(format_args!("  {at}  {what} {} by {by}{took}{reason}", scope(entry)));
    }
    page.print()?;
    Ok(ExitCode::SUCCESS)
}

async fn tell(connection: &Connection, path: &str, body: &Value) -> Result<ExitCode, Error> {
    let client = connection.client(Kind::Person)?;
    let answer = client.send(client.call(Method::POST, path).json(body)).await?;
    if connection.json {
        print_json(&answer.body)?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Page::stdout();
    let standing = &answer.value;
    let is_new = standing["changed"] == true;
    match standing.get("drill").filter(|drill| drill.is_object()) {
        Some(drill) => {
            page.line(format_args!(
                "drill: every server was halted after {} ms; the halt is lifted",
                number(drill, "/took_ms").unwrap_or(0)
            ));
            for server in list(drill, "/servers") {
                let took = number(server, "/took_ms").map_or_else(|| "did not confirm in time".to_owned(), |took| format!("{took} ms"));
                page.fact("server", format_args!("{} {took}", escaped(text(server, "/address").unwrap_or("?"))));
            }
        }
        None if standing["halted"] == true && path == "/halt" => {
            let before = if is_new { "" } else { " already" };
            page.line(format_args!("{} is halted{before}; nothing starts until `parkbrake resume`", scope(standing)));
        }
        None if is_new => page.line(format_args!("{} is resumed", scope(standing))),
        None => page.line(format_args!("{} was not halted", scope(standing))),
    }
    if standing.get("drill").is_none_or(Value::is_null) {
        in_force(&mut page, standing);
    }
    page.print()?;
    Ok(ExitCode::SUCCESS)
}

/// The halts in force.
fn in_force(page: &mut Page, answer: &Value) {
    if list(answer, "/halts").is_empty() {
        page.line("nothing is halted");
    }
    for halt in list(answer, "/halts") {
        let [by, since, reason] = ["/by", "/since", "/reason"].map(|fact| escaped(text(halt, fact).unwrap_or("?")));
        let word = page.paint(Style::of("warning"), "halted");
        page.fact(&word, format_args!("{} by {by} since {since}: {reason}", scope(halt)));
    }
}

fn scope(value: &Value) -> String {
    text(value, "/environment").map_or_else(|| "everything".to_owned(), escaped)
}
