//! `hitl/agent-tools.yaml`: what an operator writes, and what is refused.

use super::*;
use crate::domain::tools::{Client, Reading, ToolCall};
use chrono::DateTime;
use serde_json::json;

fn read(configuration: &Configuration, command: &str) -> Reading {
    configuration.tools.read(&ToolCall {
        client: Client::Other,
        session_id: String::new(),
        tool_use_id: String::new(),
        tool_name: "Bash".to_owned(),
        tool_input: json!({ "command": command }),
        cwd: "/srv/app".to_owned(),
        repo: None,
        permission_mode: None,
    })
}

#[test]
fn entries_of_the_operator_precede_the_shipped_list() {
    let own = "tools:\n  - { tool: Bash, command: \"git status|frobnicate **\", is: { operation: deploy, environment: live } }\n";
    let configuration = valid(&[(APPROVALS, PEOPLE), (TOOLS, own)]);
    let operation = |command: &str| read(&configuration, command).judge(&configuration.rules, "", DateTime::UNIX_EPOCH).facts.operation;
    assert_eq!(operation("git status"), "deploy", "the operator's own entry reads it");
    assert_eq!(operation("git log"), "read", "the shipped list reads the rest");
    assert_eq!(operation("frobnicate x"), "modify", "another program is unmatched");
}

#[test]
fn the_example_of_the_page_loads() {
    let page = std::fs::read_to_string(repository().join("support/docs/AGENT_TOOLS.md")).unwrap();
    let (_, example) = page.split_once("```yaml\n").unwrap();
    let (example, _) = example.split_once("```").unwrap();
    let configuration = valid(&[(APPROVALS, PEOPLE), (TOOLS, example)]);
    assert_eq!(configuration.tools.own.len(), 3);
}

#[test]
fn nonsensical_entries_are_refused_with_their_key() {
    for (text, key, says) in [
        ("tools: [ { tool: Bash, is: { operation: read } } ]\n", "tools[0]", "name the commands"),
        ("tools: [ { tool: \"*\", is: { operation: read } } ]\n", "tools[0]", "name the commands"),
        ("tools: [ { tool: Read, command: x, is: { operation: read } } ]\n", "tools[0].command", "only for the tool Bash"),
        ("tools: [ { tool: Bash, command: \"* **\", is: { operation: read } } ]\n", "tools[0].command", "fit every program"),
        ("tools: [ { tool: Bash, command: x, flags: [l], is: { operation: read } } ]\n", "tools[0].flags[0]", "begins with -"),
        ("tools: [ { tool: Bash, command: x, check: moon, is: { operation: read } } ]\n", "tools[0].check", "one of: sql"),
        ("tools: [ { tool: Bash, command: x, writes: some, is: { operation: read } } ]\n", "tools[0].writes", "all"),
        ("tools: [ { tool: X, is: { operation: fly } } ]\n", "tools[0].is.operation", "is not one of the words"),
        ("tools: [ { tool: X, was: 1, is: { operation: read } } ]\n", "tools[0].was", "not a known key"),
        ("paths: [ { path: [\"x\"] } ]\n", "paths[0]", "read, write, or both"),
        ("environments: { \"*\": production }\n", "environments.*", "matches everything"),
        ("environments: { x: moon }\n", "environments.x", "is not one of the words"),
        ("unmatched: { operation: read, resource_type: code }\n", "unmatched", "would run without review"),
    ] {
        let problems =
            invalid(&[(APPROVALS, PEOPLE), (RULES, include_str!("../../../config/hitl/risk-assessment-rules.yaml")), (TOOLS, text)]);
        let found = problems.iter().any(|problem| problem.starts_with(&format!("{TOOLS}:1: {key}: ")) && problem.contains(says));
        assert!(found, "{text}{problems:?}");
    }
}
