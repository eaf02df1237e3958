//! What would happen after approval: the command, the call, or the requester's own action.

use crate::cli::facts::{text, texts};
use crate::cli::show::{argument, compact, payload, word};
use crate::cli::terminal::{BOLD, Page};
use crate::domain::text::escaped;
use serde_json::Value;

/// The fields of a command that have their own wording; all other fields are shown unchanged.
const NAMED: [&str; 8] = ["command", "program", "files", "working_dir", "user", "env", "timeout", "idempotent"];

/// The same for a call.
const OF_A_CALL: [&str; 4] = ["url", "secret", "timeout", "idempotent"];

/// What would happen, from the document that the digest covers.
pub fn runs(page: &mut Page, action: &Value) {
    let name = word(action, "/name", "(no name)");
    if let Some(runs) = action.get("runs").filter(|runs| runs.is_object()) {
        let command = texts(runs, "/command").into_iter().map(argument).collect::<Vec<_>>().join(" ");
        let command = page.paint(BOLD, &command);
        page.fact("would run", command);
        let again = if runs["idempotent"] == true { "run again after a crash" } else { "never run twice" };
        page.fact("", format!("in {}, for at most {}, {again}", word(runs, "/working_dir", "."), word(runs, "/timeout", "?")));
        let files = runs["files"].as_array().into_iter().flatten().map(|file| ("file", file));
        for (what, artifact) in runs.get("program").map(|program| ("program", program)).into_iter().chain(files) {
            page.fact("", format!("{what} {} {}", word(artifact, "/path", "?"), word(artifact, "/digest", "?")));
        }
        if runs.get("user").is_some() {
            page.fact("", format!("as the account {}", word(runs, "/user", "?")));
        }
        let passed_on = texts(runs, "/env");
        if !passed_on.is_empty() {
            page.fact("", format!("with {} from the server's environment", escaped(&passed_on.join(", "))));
        }
        for (other, value) in runs.as_object().into_iter().flatten().filter(|(name, _)| !NAMED.contains(&name.as_str())) {
            page.fact("", format!("{}: {}", escaped(other), compact(value)));
        }
        page.fact("runbook", name);
        payload(page, "arguments", &action["args"]);
        return;
    }
    if let Some(calls) = action.get("calls").filter(|calls| calls.is_object()) {
        let url = page.paint(BOLD, &argument(text(calls, "/url").unwrap_or("?")));
        page.fact("would call", format!("POST {url}"));
        let again = if calls["idempotent"] == true { "called again if the answer is lost" } else { "never called twice" };
        page.fact("", format!("waits for at most {}, {again}", word(calls, "/timeout", "?")));
        page.fact(
            "",
            match calls.get("secret") {
                Some(_) => format!("signed with the secret in {}", word(calls, "/secret", "?")),
                None => "not signed".to_owned(),
            },
        );
        for (other, value) in calls.as_object().into_iter().flatten().filter(|(name, _)| !OF_A_CALL.contains(&name.as_str())) {
            page.fact("", format!("{}: {}", escaped(other), compact(value)));
        }
        page.fact("webhook", name);
        page.fact("sends", action.get("args").map_or_else(|| "{}".to_owned(), compact));
        return;
    }
    match text(action, "/type") {
        Some("external") | None => {
            page.fact("would run", "nothing here: the requester itself acts once it may, and reports");
            if action.get("name").is_some() {
                page.fact("it says", name);
                payload(page, "arguments", &action["args"]);
            }
        }
        Some(kind) => page.fact("would run", format!("the {} {name} with {}", escaped(kind), compact(&action["args"]))),
    }
}
