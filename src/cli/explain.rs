//! `parkbrake explain`: how parkbrake interprets a tool call of a coding agent, and which level it
//! gets.

use crate::cli::Error;
use crate::cli::terminal::{BOLD, Page, Style};
use crate::config;
use crate::domain::text::escaped;
use crate::domain::tools::{Client, ToolCall};
use chrono::DateTime;
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::ExitCode;

/// Show how parkbrake interprets a tool call of a coding agent, why, and which level it gets; needs
/// no server.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder of the configuration
    #[arg(long, env = "PARKBRAKE_CONFIG", value_name = "DIR", default_value = "config")]
    config: PathBuf,
    /// The tool, as the agent's client names it
    #[arg(long, value_name = "NAME", default_value = "Bash")]
    tool: String,
    /// The working folder of the agent; left out: this one
    #[arg(long, value_name = "DIR")]
    cwd: Option<String>,
    /// The requester, for conditions of your own that use it
    #[arg(long = "for", value_name = "NAME", default_value = "")]
    requester: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
    /// A shell command, after `--`; for another --tool, its input as JSON
    #[arg(required = true, value_name = "CALL", allow_hyphen_values = true)]
    call: Vec<String>,
}

/// Reads and assesses the call.
///
/// # Errors
/// The configuration is invalid, or the input is not a JSON object.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let base = std::env::current_dir().map_err(|error| Error::Other(format!("the current folder cannot be read: {error}")))?;
    let configuration = config::load(&args.config, &base).map_err(|problems| {
        let lines: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Error::Other(format!("{} is not valid:\n{}", args.config.display(), lines.join("\n")))
    })?;
    let written = args.call.join(" ");
    let input = if args.tool == "Bash" {
        json!({ "command": written })
    } else {
        let input: Value = serde_json::from_str(&written).map_err(|error| {
            Error::Other(format!("the input of {} is not JSON: {error}; write it as in '{{\"file_path\": \"src/x\"}}'", args.tool))
        })?;
        if !input.is_object() {
            return Err(Error::Other(format!(
                "the input of {} is not a JSON object; write it as in '{{\"file_path\": \"src/x\"}}'",
                args.tool
            )));
        }
        input
    };
    let call = ToolCall {
        client: Client::Other,
        session_id: String::new(),
        tool_use_id: String::new(),
        tool_name: args.tool.clone(),
        tool_input: input,
        cwd: args.cwd.clone().unwrap_or_else(|| base.display().to_string()),
        repo: None,
        permission_mode: None,
    };
    let reading = configuration.tools.read(&call);
    // Only the database knows the time, and this command uses no database: conditions on `now` are
    // evaluated for the year 1970.
    let judged = reading.judge(&configuration.rules, &args.requester, DateTime::UNIX_EPOCH);
    let asks = !configuration.policy.level(judged.assessment.level).auto_approve || !judged.is_matched;
    let mut page = Page::stdout();
    if args.json {
        let because: Vec<&str> = reading.because().collect();
        let reasons: Vec<Value> = judged
            .assessment
            .reasons
            .iter()
            .map(|reason| json!({ "trigger": reason.trigger, "level": reason.level, "detail": reason.detail }))
            .collect();
        let facts = &judged.facts;
        page.line(json!({
            "level": judged.assessment.level, "asks_people": asks, "is_matched": judged.is_matched,
            "operation": facts.operation, "environment": facts.environment, "resource": facts.resource, "resource_type": facts.resource_type,
            "because": because, "reasons": reasons,
        }));
        page.print()?;
        return Ok(ExitCode::SUCCESS);
    }
    let level = judged.assessment.level.as_str();
    let painted = page.paint(Style::of(level), level);
    page.line(format_args!("{painted}: {}", if asks { "people are asked first" } else { "it runs at once" }));
    page.fact("read as", escaped(&judged.facts.in_words()));
    let heading = page.paint(BOLD, "how it was read");
    page.line(format_args!("\n{heading}"));
    for line in reading.because() {
        page.line(format_args!("  {}", escaped(line)));
    }
    if !judged.assessment.reasons.is_empty() {
        let heading = page.paint(BOLD, "why it has this level");
        page.line(format_args!("\n{heading}"));
    }
    for reason in &judged.assessment.reasons {
        let level = reason.level.as_str();
        let painted = page.paint(Style::of(level), level);
        page.line(format_args!("  {painted}  {}: {}", reason.trigger, escaped(&reason.detail)));
    }
    page.print()?;
    Ok(ExitCode::SUCCESS)
}
