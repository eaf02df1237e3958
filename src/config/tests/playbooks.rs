//! Playbooks, accepted and refused.

use super::*;
use serde_json::json;

/// A runbook with an argument, one without, and two webhooks, one of which states nothing; six
/// lines.
const ACTIONS: &str = "runbooks:
  save: { operation: read, command: [save, \"{{ service }}\"], args: { service: { pattern: \"[a-z]+\" } } }
  look: { operation: read, command: [look] }
webhooks:
  ci: { url: \"https://ci.example.com\", operation: build, args: { ref: { pattern: \"[a-z]+\" } } }
  any: { url: \"https://any.example.com\" }
";

/// A playbook with these steps, from the fourth line on, and the argument `service`.
fn with(steps: &str) -> String {
    format!("playbooks:\n  go:\n    steps:\n{steps}    args: {{ service: {{ pattern: \"[a-z]+\" }} }}\n")
}

/// A step that uses the argument.
const SAVE: &str = "      - { name: save, runbook: save, args: { service: \"{{ service }}\" } }\n";

fn refuses(rows: &[(&str, &str, &str)]) {
    let mut untold = Vec::new();
    for (text, start, words) in rows {
        let problems = invalid(&[(PLAYBOOKS, text), (RUNBOOKS, ACTIONS), (APPROVALS, PEOPLE)]);
        let is_told = problems[0].starts_with(&format!("{PLAYBOOKS}{start}")) && problems[0].contains(words);
        if problems.len() != 1 || !is_told {
            untold.push(format!("expected {start} … {words}, and it is\n{}", problems.join("\n")));
        }
    }
    assert!(untold.is_empty(), "{}", untold.join("\n\n"));
}

#[test]
fn a_playbook_names_runbooks_webhooks_and_what_its_requester_does() {
    let more = "      - { webhook: ci, args: { ref: \"{{ service }}\" } }\n      - { webhook: any, operation: deploy }\n      - { operation: read, resource: \"{{ service }}\" }\n";
    let files = |text: &str| valid(&[(PLAYBOOKS, text), (RUNBOOKS, ACTIONS), (APPROVALS, PEOPLE)]);
    let loaded = files(&with(&format!("{SAVE}{more}")));
    let playbook = &loaded.playbooks["go"];
    let steps: Vec<_> = playbook.steps.iter().map(|step| (step.kind.as_str(), step.action.as_deref())).collect();
    assert_eq!(steps, [("runbook", Some("save")), ("webhook", Some("ci")), ("webhook", Some("any")), ("external", None)]);
    let document: serde_json::Value = serde_json::from_str(&loaded.document).unwrap();
    assert_eq!(document["playbooks"]["go"]["steps"][0], json!({"name": "save", "runbook": "save", "args": {"service": "{{ service }}"}}));

    let other = files(&with(&format!("{SAVE}{more}").replace("name: save", "name: keep")));
    assert_ne!(other.playbooks["go"].digest, playbook.digest, "what it says is part of its digest");
    assert_ne!(other.version, loaded.version, "and of the version of the configuration");
    let without = valid(&[(RUNBOOKS, ACTIONS), (APPROVALS, PEOPLE)]);
    assert!(!without.document.contains("playbooks"), "a configuration without playbooks keeps the version that it had");
}

#[test]
fn a_playbook_step_has_its_compensation_and_uses_outputs_of_earlier_steps() {
    let undo = "      - { name: keep, runbook: save, args: { service: \"{{ steps.save.output.id }}\" }, compensate: { runbook: save, args: { service: \"{{ steps.keep.output.id }}\" } } }\n";
    let loaded = valid(&[(PLAYBOOKS, &with(&format!("{SAVE}{undo}"))), (RUNBOOKS, ACTIONS), (APPROVALS, PEOPLE)]);
    let step = &loaded.playbooks["go"].steps[1];
    let compensate = step.compensate.as_ref().unwrap();
    assert_eq!((compensate.kind.as_str(), compensate.action.as_str()), ("runbook", "save"));
    assert_eq!(step.args["service"].literal(), Some("{{ steps.save.output.id }}"), "it stays as it is written");
    assert_eq!(compensate.args["service"].literal(), Some("{{ steps.keep.output.id }}"), "what undoes a step may name its outputs");
    let document: serde_json::Value = serde_json::from_str(&loaded.document).unwrap();
    let written = json!({"runbook": "save", "args": {"service": "{{ steps.keep.output.id }}"}});
    assert_eq!(document["playbooks"]["go"]["steps"][1]["compensate"], written);
}

#[test]
fn playbooks_that_could_not_run_or_would_do_something_else_are_refused() {
    let step = |step: &str| with(&format!("{SAVE}      - {step}\n"));
    let many = with(&SAVE.replace("name: save, ", "").repeat(51));
    refuses(&[
        ("playbook: {}\n", ":1: playbook: is not a known key", "playbooks"),
        ("playbooks: { \"a b\": {} }\n", ":1: playbooks.a b: `a b` cannot be used", ""),
        ("playbooks:\n  go: { gate: each, steps: [{ runbook: look }] }\n", ":2: playbooks.go.gate: is `each`", "plan or step"),
        ("playbooks:\n  go: {}\n", ":2: playbooks.go.steps: is missing", "the runbook that does it"),
        ("playbooks:\n  go: { steps: [] }\n", ":2: playbooks.go.steps: is empty", "at least one step"),
        (&many, ":3: playbooks.go.steps: holds 51 steps", "at most 50"),
        (&step("{ runbook: look, gait: step }"), ":5: playbooks.go.steps[1].gait: is not a known key", "runbook, webhook"),
        (&step("{ runbook: lock }"), ":5: playbooks.go.steps[1].runbook: there is no runbook `lock` in runbooks.yaml", ""),
        (&step("{ webhook: look }"), ":5: playbooks.go.steps[1].webhook: there is no webhook `look` in runbooks.yaml", ""),
        (&step("{ runbook: look, webhook: any }"), ":5: playbooks.go.steps[1].webhook: cannot be combined with `runbook`", ""),
        (&step("{ name: save, runbook: look }"), ":5: playbooks.go.steps[1].name: is the name of an earlier step", ""),
        (&step("{ name: Save, runbook: look }"), ":5: playbooks.go.steps[1].name: `Save` cannot be used", "a-z"),
        (&step("{ runbook: look, args: { x: y } }"), ":5: playbooks.go.steps[1].args.x: is not an argument of the runbook `look`", ""),
        (&step("{ runbook: save }"), ":5: playbooks.go.steps[1]: leaves out service, which the runbook `save` needs", ""),
        (&step("{ webhook: ci, args: {} }"), ":5: playbooks.go.steps[1].args: leaves out ref", ""),
        (&step("{ runbook: save, args: { service: A1 } }"), ":5: playbooks.go.steps[1].args.service: `A1` does not match", "[a-z]+"),
        (&step("{ runbook: save, args: { service: 7 } }"), ":5: playbooks.go.steps[1].args.service: is the number 7", "quotes"),
        (
            &step("{ runbook: save, args: { service: \"{{ who }}\" } }"),
            ":5: playbooks.go.steps[1].args.service: names `who`, which is not declared",
            "args",
        ),
        (&step("{ runbook: look, compensate: {} }"), ":5: playbooks.go.steps[1].compensate: names nothing that undoes the step", ""),
        (&step("{ runbook: look, compensate: { runbook: save } }"), ":5: playbooks.go.steps[1].compensate: leaves out service", ""),
        (
            &step("{ runbook: look, compensate: { runbook: look, name: x } }"),
            ":5: playbooks.go.steps[1].compensate.name: is not a known key",
            "",
        ),
        (
            &step("{ runbook: save, args: { service: \"{{ steps.other.output.x }}\" } }"),
            ":5: playbooks.go.steps[1].args.service: names an output of `other`",
            "no earlier step",
        ),
        (
            &step("{ name: own, runbook: save, args: { service: \"{{ steps.own.output.x }}\" } }"),
            ":5: playbooks.go.steps[1].args.service: names an output of `own`",
            "no earlier step",
        ),
        (
            &step("{ runbook: save, args: { service: \"x{{ steps.save.output.x }}\" } }"),
            ":5: playbooks.go.steps[1].args.service: has to be one output and nothing else",
            "",
        ),
        (&step("{ webhook: any }"), ":5: playbooks.go.steps[1].operation: is missing", "may leave it out"),
        (&step("{ resource: x }"), ":5: playbooks.go.steps[1].operation: is missing", ""),
        (&step("{ runbook: look, operation: fly }"), ":5: playbooks.go.steps[1].operation: `fly` is not one of the words", "deploy"),
        (&with("      - { runbook: look }\n"), ":5: playbooks.go.args.service: is an argument that nobody uses", "leave it out"),
        (
            &with(SAVE).replace("[a-z]+\" } }\n", "[a-\" } }\n"),
            ":5: playbooks.go.args.service.pattern: is not a valid regular expression",
            "",
        ),
    ]);
}

#[test]
fn a_playbook_is_not_blamed_for_its_runbook() {
    let actions = ACTIONS.replace("operation: read, command: [save", "operation: fly, command: [save");
    let problems = invalid(&[(PLAYBOOKS, &with(SAVE)), (RUNBOOKS, &actions), (APPROVALS, PEOPLE)]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("runbooks.yaml:2"), "{problems:?}");
}
