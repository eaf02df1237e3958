//! Conditions of the operator's own: what they see, and what happens if one fails.

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
    assert_eq!(assess(&staging, &task("read", "-", "code"), Some(&in_production)).level, Level::Low, "the runbook says where it runs");

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
        assert!(detail(&assessment, "own").contains("could not be evaluated, so it counts as matched: "), "{assessment:?}");
    }
    // Not where it is not even reached.
    let guarded = rules_with(r#"has(metadata.rows) && metadata.rows > 10"#, Level::High);
    assert_eq!(assess(&guarded, &task("read", "dev", "code"), None).level, Level::Low);
    let metadata = json!({"rows": 11}).as_object().unwrap().clone().into();
    assert_eq!(assess(&guarded, &Task { metadata, ..task("read", "dev", "code") }, None).level, Level::High);
    // What the requester wrote does not fill the reasons or hide in them.
    let metadata = json!({"ticket": format!("\u{202e}{}", "x".repeat(5_000))}).as_object().unwrap().clone().into();
    let shown = assess(&rules_with("metadata.ticket / 2 == 1", Level::High), &Task { metadata, ..task("read", "dev", "code") }, None);
    assert!(detail(&shown, "own").len() < 300 && !detail(&shown, "own").contains('\u{202e}'), "{shown:?}");
}

fn rules_with_all(conditions: &[&str]) -> Rules {
    let trigger = |condition: &&str| Trigger {
        name: (*condition).to_owned(),
        level: Level::High,
        condition: Condition::Expression(Expression::compile(condition).unwrap()),
    };
    Rules { triggers: conditions.iter().map(trigger).collect(), ..rules() }
}

fn too_dear(assessment: &Assessment) -> usize {
    assessment.reasons.iter().filter(|reason| reason.detail.contains("needs more steps than the budget")).count()
}

#[test]
fn an_unrecognized_word_costs_little_to_assess() {
    let conditions =
        ["operation == \"x\"", "estimated_cost > 1.0", "metadata == {\"a\": 1}", "environment == \"x\" && resource_type == \"y\""];
    let mut reasons = Vec::new();
    let readings = rules().readings(&task("?", "?", "?"), None, &mut reasons);
    assert_eq!(readings.len(), 7 * 5 * 5, "every operation in every environment on every type, nothing at all, and the words themselves");
    let many: Vec<&str> = conditions.into_iter().cycle().take(100).collect();
    let assessment = assess(&rules_with_all(&many), &task("?", "?", "?"), None);
    assert_eq!(too_dear(&assessment), 0, "a condition is held only against the readings that it can tell apart");
}

#[test]
fn a_condition_over_its_budget_counts_as_a_match_and_stops_no_other() {
    let dear = "metadata.a.all(x, x in metadata.b)";
    let rules = rules_with_all(&[dear, "metadata.a.size() > 3", "operation == \"deploy\""]);
    let with = |length: usize| {
        let list: Vec<usize> = (0..length).collect();
        Task { metadata: json!({"a": list, "b": list}).as_object().unwrap().clone().into(), ..task("read", "dev", "code") }
    };
    let small = assess(&rules, &with(50), None);
    assert_eq!((too_dear(&small), small.reasons.len()), (0, 2), "{small:?}");
    let large = assess(&rules, &with(10_000), None);
    assert_eq!(too_dear(&large), 1, "{large:?}");
    assert_eq!(detail(&large, dear), format!("`{dear}` needs more steps than the budget of one task, so it counts as matched"));
    assert_eq!((large.level, large.reasons.len()), (Level::High, 2), "the others are evaluated as ever: {large:?}");
    assert_eq!(assess(&rules, &with(10_000), None), large, "the same task costs the same");
    let huge = assess(&rules, &with(100_000), None);
    assert_eq!(too_dear(&huge), 2, "what is too long even to be read: {huge:?}");
}

#[test]
fn many_conditions_share_one_budget() {
    let conditions: Vec<String> = (0..200).map(|n| format!("metadata.a.exists(x, x == -{n} - 1)")).collect();
    let rules = rules_with_all(&conditions.iter().map(String::as_str).collect::<Vec<_>>());
    let list: Vec<usize> = (0..1_000).collect();
    let long = Task { metadata: json!({ "a": list }).as_object().unwrap().clone().into(), ..task("read", "dev", "code") };
    let assessment = assess(&rules, &long, None);
    assert!((100..200).contains(&too_dear(&assessment)), "{}", too_dear(&assessment));
}

#[test]
fn a_pattern_for_each_of_many_findings_is_within_the_budget() {
    let rules = rules_with_all(&[r#"security_findings.exists(f, has(f.id) && f.id.matches("^CVE-2026-"))"#]);
    let finding = SecurityFinding { severity: "low".to_owned(), id: Some("CVE-2025-1234".to_owned()), title: None };
    let many = Task { security_findings: vec![finding; 200], ..task("read", "dev", "code") };
    assert_eq!(assess(&rules, &many, None).reasons, Vec::new());
    // One that takes long to compile, for each of them.
    let words = rules_with_all(&[r#"security_findings.exists(f, has(f.id) && f.id.matches("^\\w+$"))"#]);
    assert_eq!(too_dear(&assess(&words, &many, None)), 1);
}
