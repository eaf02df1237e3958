//! What is on no list: resources without an entry, and tasks that no trigger matches.

use super::*;
use crate::domain::risk::baseline::LowRisk;

fn entry(operations: &[&str], environments: Option<&[&str]>, resource_types: Option<&[&str]>) -> LowRisk {
    let owned = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    LowRisk { operations: owned(operations), environments: environments.map(owned), resource_types: resource_types.map(owned) }
}

fn turned_round() -> Rules {
    let low_risk = vec![entry(&["read"], None, None), entry(&["deploy"], Some(&["staging", "development"]), Some(&["code"]))];
    Rules { baseline: Baseline { low_risk, otherwise: Level::Medium }, ..rules() }
}

#[test]
fn only_what_is_listed_as_low_risk_is_low() {
    let rules = turned_round();
    for (task, level) in [
        (task("read", "production", "code"), Level::Low),
        (task("read", "-", "-"), Level::Low),
        (task("deploy", "staging", "code"), Level::Low),
        (task("deploy", "staging", "database"), Level::Medium),
        (task("deploy", "staging", "-"), Level::Medium),
        (task("modify", "development", "code"), Level::Medium),
        (task("delete", "staging", "code"), Level::Medium),
        (task("deploy", "production", "code"), Level::High),
        (task("deploy", "-", "code"), Level::High),
        (task("reed", "staging", "code"), Level::Critical),
    ] {
        let assessment = assess(&rules, &task, None);
        assert_eq!(assessment.level, level, "{task:?} {assessment:?}");
        let listed = level == Level::Low;
        assert_eq!(detail(&assessment, "not_low_risk").is_empty(), listed, "{assessment:?}");
    }
    let detail = detail(&assess(&rules, &task("deploy", "staging", "-"), None), "not_low_risk");
    assert_eq!(detail, "deploy in staging on database is not listed as low risk, assuming resource_type database");
}

#[test]
fn a_trigger_of_a_lower_level_does_not_make_it_low() {
    let condition = Condition::Expression(Expression::compile(r#"operation == "modify""#).unwrap());
    let rules = Rules { triggers: vec![Trigger { name: "own".to_owned(), level: Level::Low, condition }], ..turned_round() };
    assert_eq!(assess(&rules, &task("modify", "staging", "code"), None).level, Level::Medium);
}

#[test]
fn without_low_risk_unmatched_tasks_are_low() {
    assert_eq!(assess(&rules(), &task("modify", "production", "code"), None).level, Level::Low);
}

#[test]
fn a_named_resource_without_an_entry_is_as_little_known_as_a_word_without_one() {
    let rules = Rules { unregistered: Some(Level::Medium), ..rules() };
    let deletion = |resource: &str| on(resource, task("delete", "development", "database"));
    for spelling in
        ["db-prod-1", "DB-PROD-1", " db-prod-1 ", "db-prod-1.", "db-prod-1:5432", "postgres://u:p@db-prod-1:5432/x", "db-prod-1.internal"]
    {
        assert_eq!(assess(&rules, &deletion(spelling), None).level, Level::Critical, "{spelling}");
    }
    for unknown in [
        "db_prod_1",
        "x.db-prod-1",
        "10.0.0.5",
        "prod-db-1",
        "\u{200b}db-prod-1",
        "db\u{ad}-prod-1",
        "\u{ff44}b-prod-1",
        "arn:aws:rds:x:1:db:db-prod-1",
    ] {
        let assessment = assess(&rules, &deletion(unknown), None);
        assert_eq!(assessment.level, Level::Medium, "{unknown}: {assessment:?}");
        assert!(detail(&assessment, "unregistered_resource").starts_with("the request names the resource `"), "{assessment:?}");
    }
    assert_eq!(assess(&rules, &deletion("my-sandbox"), None).level, Level::Low, "an entry speaks of it");
    assert_eq!(assess(&rules, &task("delete", "development", "database"), None).level, Level::Low, "nothing is named");
    let acts_on = Facts {
        environment: Some("staging".to_owned()),
        resource_type: Some("code".to_owned()),
        resource: Some("prod-db-1".to_owned()),
        ..facts("read")
    };
    let assessment = assess(&rules, &on("prod-db-1", task("read", "staging", "code")), Some(&acts_on));
    assert_eq!((assessment.level, assessment.reasons.len()), (Level::Medium, 1), "once, though both name it: {assessment:?}");
    assert!(detail(&assessment, "unregistered_resource").starts_with("runbook `go` names the resource"), "{assessment:?}");
}
