//! Conditions of the operator's own: what they see, and what becomes of one that fails.

use super::*;
use serde_json::json;

/// The rules with one condition of the operator's own instead of the built-in ones.
fn rules_with(condition: &str, level: Level) -> Rules {
    let condition = Condition::Expression(Expression::compile(condition).unwrap());
    Rules { triggers: vec![Trigger { name: "own".to_owned(), level, condition }], ..rules() }
}

#[test]
fn conditions_see_the_claim_and_the_runbook() {
    let staging = rules_with(r#"environment == "staging""#, Level::High);
    let in_production = Facts { environment: Some("production".to_owned()), ..facts("read") };
    assert_eq!(assess(&staging, &task("read", "staging", "code"), Some(&in_production)).level, Level::High);
    assert_eq!(assess(&staging, &task("read", "-", "code"), Some(&in_production)).level, Level::High);

    let named = rules_with(r#"resource.startsWith("db-")"#, Level::High);
    let acts_on = Facts { resource: Some("DB-main".to_owned()), ..facts("read") };
    let assessment = assess(&named, &on("harmless", task("read", "staging", "code")), Some(&acts_on));
    assert_eq!(assessment.level, Level::High, "the runbook's resource counts: {assessment:?}");
    assert!(detail(&assessment, "resource_disagreement").contains("`db-main`, the request says `harmless`"), "{assessment:?}");
    for spelling in ["db-1", "DB-1", " Db-1"] {
        assert_eq!(assess(&named, &on(spelling, task("read", "staging", "code")), None).level, Level::High, "{spelling:?}");
    }
    assert_eq!(
        assess(&rules_with(r#"resource == "DB-1""#, Level::High), &on("DB-1", task("read", "dev", "code")), None).level,
        Level::High
    );
    assert_eq!(assess(&named, &on("web", task("read", "staging", "code")), None).level, Level::Low);
}

#[test]
fn conditions_see_canonical_words_and_what_is_left_out_as_empty() {
    let canonical = rules_with(r#"operation == "deploy" && environment == "production" && now.getDayOfWeek() == 5"#, Level::High);
    let assessment = assess(&canonical, &task("Release", "PROD", "code"), None);
    assert!(detail(&assessment, "own").starts_with("`operation == \"deploy\""), "{assessment:?}");
    let assessment = assess(&canonical, &task("release", "-", "code"), None);
    assert!(detail(&assessment, "own").ends_with("`, assuming environment production"), "{assessment:?}");
    for condition in [
        r#"environment == """#,
        r#"resource_type == """#,
        r#"resource == """#,
        "estimated_cost == 0.0",
        "size(security_findings) == 0",
        "metadata == {}",
    ] {
        let assessment = assess(&rules_with(condition, Level::High), &task("read", "-", "-"), None);
        assert_eq!(assessment.level, Level::High, "{condition}: {assessment:?}");
    }
    let assessment = assess(&rules_with(r#"environment == """#, Level::High), &task("read", "-", "code"), None);
    assert!(detail(&assessment, "own").ends_with(", assuming environment empty"), "{assessment:?}");
}

#[test]
fn a_condition_that_fails_counts_as_matched() {
    for condition in ["metadata.ticket == 1", "metadata.rows / 0 == 1", r#"operation == "read" && metadata.x.y"#, "requested_by"] {
        let Ok(expression) = Expression::compile(condition) else {
            assert_eq!(condition, "requested_by", "only what never answers is refused beforehand");
            continue;
        };
        let trigger = Trigger { name: "own".to_owned(), level: Level::High, condition: Condition::Expression(expression) };
        let assessment = assess(&Rules { triggers: vec![trigger], ..rules() }, &task("read", "dev", "code"), None);
        assert_eq!(assessment.level, Level::High, "{assessment:?}");
        assert!(detail(&assessment, "own").contains("could not be evaluated, which counts as a match: "), "{assessment:?}");
    }
    // Not where it is not even reached.
    let guarded = rules_with(r#"has(metadata.rows) && metadata.rows > 10"#, Level::High);
    assert_eq!(assess(&guarded, &task("read", "dev", "code"), None).level, Level::Low);
    let metadata = json!({"rows": 11}).as_object().unwrap().clone();
    assert_eq!(assess(&guarded, &Task { metadata, ..task("read", "dev", "code") }, None).level, Level::High);
    // What the requester wrote does not fill the reasons or hide in them.
    let metadata = json!({"ticket": format!("\u{202e}{}", "x".repeat(5_000))}).as_object().unwrap().clone();
    let shown = assess(&rules_with("metadata.ticket / 2 == 1", Level::High), &Task { metadata, ..task("read", "dev", "code") }, None);
    assert!(detail(&shown, "own").len() < 300 && !detail(&shown, "own").contains('\u{202e}'), "{shown:?}");
}

#[test]
fn an_unrecognised_word_costs_little_to_assess() {
    let conditions = ["operation == \"x\"", "estimated_cost > 1.0", "metadata == {\"a\": 1}"];
    let trigger = |condition: &str| Trigger {
        name: condition.to_owned(),
        level: Level::High,
        condition: Condition::Expression(Expression::compile(condition).unwrap()),
    };
    let rules = Rules { triggers: conditions.map(trigger).to_vec(), ..rules() };
    let mut reasons = Vec::new();
    let readings = rules.readings(&task("?", "?", "?"), None, &mut reasons);
    assert_eq!(readings.len(), 7 * 5 * 5, "every operation in every environment on every type, nothing at all, and the words themselves");
    assert_eq!(rules.told_apart(&readings).len(), 7, "but these conditions tell only the operations apart");
}
