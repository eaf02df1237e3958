//! A problem document (RFC 9457) as people read it.

use crate::cli::exit;
use crate::cli::facts::{list, text};
use crate::cli::times;
use crate::domain::text::escaped;
use serde_json::Value;
use std::fmt;

/// The problem that the server returned.
#[derive(Debug, Clone, PartialEq)]
pub struct Problem {
    pub status: u16,
    body: Value,
    retry_after: Option<String>,
}

impl Problem {
    /// The problem in a response with this status. A body that is not a problem, such as a proxy's
    /// page, is left out.
    pub fn new(status: u16, body: &[u8], retry_after: Option<&str>) -> Self {
        let body = serde_json::from_slice(body).ok().filter(Value::is_object).unwrap_or(Value::Null);
        Self { status, body, retry_after: retry_after.map(str::to_owned) }
    }

    /// The code of the problem: `self-approval`, `already-decided`, …
    pub fn code(&self) -> Option<&str> {
        text(&self.body, "/code")
    }

    /// The exit status of a command that was refused with this problem.
    pub fn exit_status(&self) -> u8 {
        match (self.status, self.code()) {
            (401 | 403, _) => exit::NOT_PERMITTED,
            (410, _) => exit::EXPIRED,
            (409, Some("already-rejected")) => exit::REJECTED,
            (409, Some("already-decided")) if text(&self.body, "/decision/verdict") == Some("rejected") => exit::REJECTED,
            _ => 1,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (text(&self.body, "/title"), text(&self.body, "/detail")) {
            (Some(title), Some(detail)) => write!(f, "{}: {}", escaped(title), escaped(detail))?,
            (Some(one), None) | (None, Some(one)) => f.write_str(&escaped(one))?,
            (None, None) => write!(f, "the server answered with status {} and no explanation; is it parkbrake?", self.status)?,
        }
        for error in list(&self.body, "/errors") {
            let pointer = text(error, "/pointer").filter(|pointer| !pointer.is_empty()).unwrap_or("the task");
            write!(f, "\n  {}: {}", escaped(pointer), escaped(text(error, "/detail").unwrap_or("is not valid")))?;
        }
        if let Some(decision) = self.body.get("decision").filter(|decision| decision.is_object()) {
            write!(f, "\n  the decision that won: {}", self::decision(decision))?;
        }
        let said = |current: &&str| !text(&self.body, "/detail").is_some_and(|detail| detail.contains(current));
        if let Some(current) = text(&self.body, "/current_status").filter(said) {
            write!(f, "\n  its status now: {}", escaped(current))?;
        }
        match &self.retry_after {
            Some(seconds) if seconds.bytes().all(|byte| byte.is_ascii_digit()) => write!(f, "\n  try again in {seconds} s"),
            _ => Ok(()),
        }
    }
}

/// One decision in a line: who decided, with which roles, through which way in, when, and why.
pub fn decision(decision: &Value) -> String {
    let verdict = text(decision, "/verdict").unwrap_or("decided");
    let mut line = format!("{} by {}", escaped(verdict), escaped(text(decision, "/approver").unwrap_or("somebody")));
    for cover in decision["cover"].as_array().into_iter().flatten() {
        let until = text(cover, "/until").map(times::local).unwrap_or_default();
        line.push_str(&format!(" for {} (away until {until})", escaped(text(cover, "/person").unwrap_or("somebody"))));
    }
    if let Some(role) = text(decision, "/role") {
        line.push_str(&format!(" ({})", escaped(role)));
    }
    if let Some(via) = text(decision, "/via") {
        line.push_str(&format!(" via {}", escaped(via)));
    }
    if decision["break_glass"] == true {
        line.push_str(", who broke the glass,");
    }
    if let Some(grant) = text(decision, "/by_grant") {
        line.push_str(&format!(", by grant {}", escaped(grant)));
    }
    if let Some(at) = text(decision, "/at") {
        line.push_str(&format!(" at {}", times::local(at)));
    }
    if let Some(why) = text(decision, "/justification").filter(|why| !why.is_empty()) {
        line.push_str(&format!(", saying: {}", escaped(why)));
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_decision_names_the_covered_person() {
        let cover = json!([{"person": "alice", "until": "2099-01-02T08:00:00Z", "roles": ["team_lead"]}]);
        let line = decision(&json!({"verdict": "approved", "approver": "bob", "role": "team_lead", "cover": cover}));
        assert_eq!(line, format!("approved by bob for alice (away until {}) (team_lead)", times::local("2099-01-02T08:00:00Z")));
    }

    fn shown(status: u16, body: &Value) -> String {
        Problem::new(status, body.to_string().as_bytes(), None).to_string()
    }

    #[test]
    fn a_problem_shows_its_detail_and_each_error() {
        let body = json!({"title": "Invalid task", "detail": "2 things to correct", "code": "invalid-task",
            "errors": [{"pointer": "/operation", "detail": "is required"}, {"pointer": "", "detail": "is too long"}]});
        assert_eq!(shown(422, &body), "Invalid task: 2 things to correct\n  /operation: is required\n  the task: is too long");
    }

    #[test]
    fn the_decision_that_won_is_named() {
        let body = json!({"title": "Already decided", "detail": "it was rejected",
            "decision": {"approver": "tom", "role": "tech_lead", "verdict": "rejected", "justification": "no\u{1b}[2J", "at": "2026-11-22T12:00:00Z"}});
        assert_eq!(
            shown(409, &body),
            "Already decided: it was rejected\n  the decision that won: rejected by tom (tech_lead) at 2026-11-22T12:00:00Z, saying: no<U+001B>[2J"
        );
    }

    #[test]
    fn a_status_is_shown_once() {
        let body = |detail: &str| json!({"title": "Wrong state", "detail": detail, "current_status": "rejected"});
        assert_eq!(shown(409, &body("its status is rejected")), "Wrong state: its status is rejected");
        assert_eq!(shown(409, &body("too late")), "Wrong state: too late\n  its status now: rejected");
    }

    #[test]
    fn a_response_without_a_problem_document_is_explained() {
        let problem = Problem::new(502, b"<html>", Some("5"));
        assert_eq!(problem.to_string(), "the server answered with status 502 and no explanation; is it parkbrake?\n  try again in 5 s");
        assert_eq!(problem.code(), None);
    }
}
