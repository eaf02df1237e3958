//! Terraform plans: any input is read or refused, no sensitive value leaks, and every summary that
//! is made is accepted.

use parkbrake::domain::request::evidence::{self, EvidenceRequest};
use parkbrake::domain::task::terraform::{Summary, read};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};

/// A text that is only in values that nobody may see.
const SECRET: &str = "s3cr3t-MARKER";

/// Any small value of JSON.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        select(&["", "a", "true", "delete", "(sensitive)", "\u{202e}x"][..]).prop_map(Value::from),
    ];
    let name = select(&["a", "b.c", "id", "tags", "password", "0", ""][..]);
    leaf.prop_recursive(3, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name.clone().prop_map(str::to_owned), inner, 0..4)
                .prop_map(|fields| Value::from(Map::from_iter(fields))),
        ]
    })
}

/// A value with secrets in it, and the marks for them.
fn marked() -> impl Strategy<Value = (Value, Value)> {
    let secret = (0..3_u8).prop_map(|kind| match kind {
        0 => json!(SECRET),
        1 => json!({ SECRET: [SECRET, 7] }),
        _ => json!([{"k": SECRET}, SECRET]),
    });
    let leaf = prop_oneof![
        2 => value().prop_map(|value| (value, json!(false))),
        1 => secret.prop_map(|value| (value, json!(true))),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        let name = select(&["a", "b.c", "id", "tags", "user data"][..]).prop_map(str::to_owned);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| {
                let (values, marks): (Vec<Value>, Vec<Value>) = items.into_iter().unzip();
                (Value::from(values), Value::from(marks))
            }),
            prop::collection::btree_map(name, inner, 0..4).prop_map(|fields| {
                let (mut values, mut marks) = (Map::new(), Map::new());
                for (name, (value, mark)) in fields {
                    values.insert(name.clone(), value);
                    marks.insert(name, mark);
                }
                (Value::from(values), Value::from(marks))
            }),
        ]
    })
}

fn actions() -> impl Strategy<Value = Value> {
    const ACTIONS: [&[&str]; 7] = [&["create"], &["update"], &["delete"], &["delete", "create"], &["forget"], &["read"], &["no-op"]];
    select(&ACTIONS[..]).prop_map(|actions| json!(actions))
}

/// A plan with secrets in marked values.
fn plan() -> impl Strategy<Value = Value> {
    let change = (actions(), marked(), marked(), value());
    let change = change.prop_map(|(actions, (before, of_before), (after, of_after), unknown)| {
        json!({"actions": actions, "before": before, "before_sensitive": of_before, "after": after, "after_sensitive": of_after, "after_unknown": unknown,
            "replace_paths": [["a"], ["tags", 0]]})
    });
    let outputs = prop::collection::vec((actions(), any::<bool>(), value()), 0..3);
    (prop::collection::vec(change, 0..6), outputs).prop_map(|(changes, outputs)| {
        let resource = |(n, change): (usize, Value)| json!({"address": format!("t.r[{n}]"), "type": "t", "change": change});
        let output = |(n, (actions, is_secret, value)): (usize, (Value, bool, Value))| {
            let after = if is_secret { json!([SECRET, value]) } else { value };
            (format!("o{n}"), json!({"actions": actions, "before": null, "after": after, "before_sensitive": false, "after_sensitive": is_secret}))
        };
        json!({
            "format_version": "1.2", "terraform_version": "1.9.8", "planned_values": {"outputs": {"o": {"sensitive": true, "value": SECRET}}},
            "variables": {"v": {"value": SECRET}}, "prior_state": {"values": {"root_module": {"resources": [{"values": {"x": SECRET}, "sensitive_values": {"x": true}}]}}},
            "configuration": {"provider_config": {"p": {"expressions": {"token": {"constant_value": SECRET}}}}, "root_module": {"variables": {"v": {"sensitive": true}}}},
            "resource_changes": changes.into_iter().enumerate().map(resource).collect::<Vec<_>>(),
            "output_changes": Value::from(Map::from_iter(outputs.into_iter().enumerate().map(output))),
        })
    })
}

/// Everything that is kept of a plan, both sent and stored.
#[track_caller]
fn kept(plan: &Value) -> (Summary, String) {
    let mut task = json!({"evidence": {"type": "terraform_plan", "plan": plan, "workspace": "live"}});
    let mut faults = Vec::new();
    evidence::reduce(&mut task, "", &mut faults);
    assert_eq!(faults, []);
    let evidence: EvidenceRequest = serde_json::from_value(task["evidence"].clone()).unwrap();
    let plan = evidence.plan().unwrap_or_else(|fault| panic!("what was made is taken: {fault:?}"));
    (plan.summary, task.to_string())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn no_sensitive_value_gets_out_of_a_plan(plan in plan()) {
        let (summary, sent) = kept(&plan);
        prop_assert!(!sent.contains(SECRET), "{sent}");
        prop_assert_eq!(serde_json::from_value::<Summary>(json!(summary)).unwrap(), summary);
    }

    #[test]
    fn another_secret_is_another_plan(plan in plan()) {
        let other: Value = serde_json::from_str(&plan.to_string().replace(SECRET, "an0ther-MARKER")).unwrap();
        let (one, other) = (read(&plan, None).unwrap(), read(&other, None).unwrap());
        prop_assert_eq!(&one.summary, &other.summary);
        let acts = |change: &&Value| change["change"]["actions"] != json!(["no-op"]);
        let changing = plan["resource_changes"].as_array().unwrap().iter().filter(acts);
        let outputs = plan["output_changes"].as_object().unwrap().values().filter(|output| output["actions"] != json!(["no-op"]));
        let holds = changing.chain(outputs).any(|change| change.to_string().contains(SECRET));
        prop_assert_eq!(one.contents != other.contents, holds);
    }

    #[test]
    fn invalid_plans_are_refused_without_a_panic(changes in prop::collection::vec((select(&FIELDS[..]), value()), 0..5), plan in plan()) {
        let mut plan = plan;
        for (pointer, value) in changes {
            if let Some(found) = plan.pointer_mut(pointer) {
                *found = value;
            }
        }
        match read(&plan, None) {
            Ok(read) => prop_assert_eq!(read.summary.check(), Ok(())),
            Err(refused) => prop_assert!(!refused.to_string().contains(SECRET), "{}", refused),
        }
    }
}

/// Fields of a plan that may contain anything.
const FIELDS: [&str; 14] = [
    "",
    "/format_version",
    "/resource_changes",
    "/resource_changes/0",
    "/resource_changes/0/change",
    "/resource_changes/0/change/actions",
    "/resource_changes/0/change/before",
    "/resource_changes/0/change/after_sensitive",
    "/resource_changes/0/change/replace_paths",
    "/resource_changes/0/address",
    "/output_changes",
    "/output_changes/o0",
    "/prior_state",
    "/configuration",
];

fn plans_in(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let mut found: Vec<PathBuf> = paths.flat_map(|path| if path.is_dir() { plans_in(&path) } else { vec![path] }).collect();
    found.retain(|path| path.extension().is_some_and(|ending| ending == "json"));
    found.sort();
    found
}

/// The fixtures of this repository, and, if they are present, the published ones of
/// `terraform-json`.
#[test]
fn every_published_plan_is_read_or_refused_with_words() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let own = plans_in(&root.join("tests/fixtures/terraform"));
    assert_eq!(own.len(), 5);
    let published = ["../shared/data/terraform-json", "../../shared/data/terraform-json"].map(|folder| plans_in(&root.join(folder)));
    let mut read_well = 0;
    for path in own.into_iter().chain(published.into_iter().flatten()) {
        let text = std::fs::read_to_string(&path).unwrap();
        let name = path.display();
        // One of the published files contains two documents, so it is not JSON.
        let Ok(plan) = serde_json::from_str::<Value>(&text) else {
            assert!(name.to_string().contains("invalid"), "{name}");
            continue;
        };
        let version = plan["format_version"].as_str().unwrap_or_default();
        let is_state = plan.get("values").is_some();
        match read(&plan, None) {
            Ok(read) => {
                assert!(version.starts_with("1.") && !is_state, "{name}");
                assert_eq!(read.summary.check(), Ok(()), "{name}");
                kept(&plan);
                read_well += 1;
            }
            Err(refused) => {
                let words = refused.to_string();
                assert!(is_state || !version.starts_with("1."), "{name}: {words}");
                assert!(words.contains(if is_state { "state" } else { "1.1 or newer" }), "{name}: {words}");
            }
        }
    }
    assert!(read_well >= 2, "{read_well}");
}

/// Terraform 1.11 itself wrote this plan. It marks the password in `input`, but not in `output`, to
/// which the provider has copied it.
#[test]
fn a_secret_that_a_provider_copied_is_hidden_too() {
    let text = include_str!("../fixtures/terraform/terraform-1.11-data.json");
    let plan: Value = serde_json::from_str(text).unwrap();
    assert!(plan["resource_changes"][0]["change"]["before"]["output"].to_string().contains("correct-horse-battery"));
    let (summary, sent) = kept(&plan);
    assert!(!sent.contains("correct-horse-battery"), "{sent}");
    assert_eq!(summary.counts.to_string(), "1 to delete, 1 to replace; 1 output changes");
    assert!(summary.changes[1].attributes[0].forces_replacement, "{:?}", summary.changes[1]);
}

#[test]
fn a_summary_shows_what_an_approver_has_to_know() {
    let text = include_str!("../fixtures/terraform/replace-database.json");
    let (summary, sent) = kept(&serde_json::from_str(text).unwrap());
    assert_eq!(
        summary.counts.to_string(),
        "1 to delete, 1 to replace, 2 to update, 1 to create, 1 to move, 1 changed outside Terraform; 2 outputs change"
    );
    for secret in ["correct-horse", "staple-horse", "provider-secret"] {
        assert!(text.contains(secret) && !sent.contains(secret), "{secret}");
    }
    assert!(sent.contains("aws_db_instance.main") && sent.contains("orders-backups") && sent.contains("0.0.0.0/0"));
}
