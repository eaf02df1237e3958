//! The examples in the operator's documentation load, and its messages are the actual ones.

use super::*;

/// The fenced blocks of the page: kind and text.
fn blocks() -> Vec<(String, String)> {
    let page = std::fs::read_to_string(repository().join("support/docs/RISK_ASSESSMENT.md")).unwrap();
    let parts: Vec<_> = page.split("```").map(str::to_owned).collect();
    assert_eq!(parts.len() % 2, 1, "every block ends");
    let block = |part: &String| part.split_once('\n').map(|(kind, text)| (kind.to_owned(), text.to_owned())).unwrap();
    parts.iter().skip(1).step_by(2).map(block).collect()
}

#[test]
fn every_example_loads() {
    let mut loaded = 0;
    for (_, text) in blocks().iter().filter(|(kind, _)| kind == "yaml") {
        let name = text.lines().next().unwrap().trim_start_matches("# ");
        if name.ends_with("(invalid)") {
            continue;
        }
        let mut files = vec![(name, text.as_str())];
        if name == PLAYBOOKS {
            files.push((RUNBOOKS, include_str!("../../../config/runbooks.yaml")));
        }
        if name != APPROVALS {
            files.push((APPROVALS, PEOPLE));
        }
        valid(&files);
        loaded += 1;
    }
    assert_eq!(loaded, 6);
}

#[test]
fn the_messages_are_those_of_check() {
    let blocks = blocks();
    let (_, example) = blocks.iter().find(|(_, text)| text.starts_with("# hitl/approval-policies.yaml (invalid)")).unwrap();
    let (_, shown) = blocks.iter().find(|(kind, text)| kind == "text" && text.starts_with("config/hitl/")).unwrap();
    let told: Vec<_> = invalid(&[(APPROVALS, example)]).iter().map(|problem| format!("config/{problem}")).collect();
    assert_eq!(told, shown.lines().collect::<Vec<_>>());
}

#[test]
fn the_table_of_triggers_is_the_shipped_one() {
    let page = std::fs::read_to_string(repository().join("support/docs/RISK_ASSESSMENT.md")).unwrap();
    for trigger in valid(&[(APPROVALS, PEOPLE)]).rules.triggers {
        let row = page.lines().find(|line| line.starts_with(&format!("| `{}` |", trigger.name))).unwrap();
        assert!(row.ends_with(&format!("| {} |", trigger.level)), "{row}");
    }
}
