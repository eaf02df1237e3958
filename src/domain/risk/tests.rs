//! Assessments, as an operator with the shipped words and triggers would see them.

mod conditions;
mod runbooks;
mod target;
mod terraform;
mod unlisted;

use super::*;
use crate::domain::risk::expression::Expression;
use crate::domain::risk::readings::Source;
use crate::domain::risk::triggers::BuiltIn;
use crate::domain::task::vocabulary::Word;
use crate::domain::task::{Action, SecurityFinding};
use chrono::TimeZone as _;

fn vocabulary(words: &[(&str, &[&str])]) -> Vocabulary {
    let word = |(name, spellings): &(&str, &[&str])| Word {
        name: (*name).to_owned(),
        spellings: spellings.iter().map(|spelling| (*spelling).to_owned()).collect(),
    };
    Vocabulary::new(words.iter().map(word).collect())
}

fn resource(pattern: &str, environment: Option<&str>, resource_type: Option<&str>) -> Resource {
    Resource { pattern: pattern.to_owned(), environment: environment.map(str::to_owned), resource_type: resource_type.map(str::to_owned) }
}

/// The triggers of the minimal rules, and the one for higher costs.
const BUILT_IN: [BuiltIn; 8] = [
    BuiltIn::DeleteProduction,
    BuiltIn::DeployProduction,
    BuiltIn::ModifyInfrastructure,
    BuiltIn::SecurityFindingCritical,
    BuiltIn::SecurityFindingHigh,
    BuiltIn::CostAboveThreshold,
    BuiltIn::CostFarAboveThreshold,
    BuiltIn::DataExport,
];

fn rules() -> Rules {
    let level = |built_in| match built_in {
        BuiltIn::DeleteProduction | BuiltIn::SecurityFindingCritical => Level::Critical,
        BuiltIn::CostAboveThreshold => Level::Medium,
        _ => Level::High,
    };
    let trigger =
        |built_in: BuiltIn| Trigger { name: built_in.name().to_owned(), level: level(built_in), condition: Condition::BuiltIn(built_in) };
    Rules {
        operations: vocabulary(&[
            ("data_export", &["export"]),
            ("delete", &["destroy", "remove"]),
            ("deploy", &["release"]),
            ("modify", &["update"]),
            ("read", &["get"]),
        ]),
        resource_types: vocabulary(&[("code", &[]), ("database", &["db"]), ("infrastructure", &["infra"])]),
        environments: vocabulary(&[("production", &["prod", "prd"]), ("staging", &["stage"]), ("development", &["dev"])]),
        resources: vec![
            resource("db-prod-*", Some("production"), Some("database")),
            resource("*-sandbox", Some("development"), None),
            resource("vpc", None, Some("infrastructure")),
        ],
        workspaces: vec![resource("live-*", Some("production"), None)],
        unrecognized: Level::Critical,
        unregistered: None,
        baseline: Baseline::LOW,
        triggers: BUILT_IN.map(trigger).to_vec(),
        version: Digest::of(b"rules"),
    }
}

/// A task that says everything and that no trigger matches.
fn task(operation: &str, environment: &str, resource_type: &str) -> Task {
    let said = |text: &str| (text != "-").then(|| text.to_owned());
    Task {
        task_id: None,
        description: "a task".to_owned(),
        operation: operation.to_owned(),
        environment: said(environment),
        resource: None,
        resource_type: said(resource_type),
        security_findings: Vec::new(),
        estimated_cost: None,
        evidence: None,
        action: Action::external(),
        metadata: crate::domain::task::metadata::Metadata::default(),
    }
}

fn on(resource: &str, task: Task) -> Task {
    Task { resource: Some(resource.to_owned()), ..task }
}

fn with_finding(severity: &str) -> Task {
    let finding = SecurityFinding { severity: severity.to_owned(), id: Some("CVE-1".to_owned()), title: None };
    Task { security_findings: vec![finding], ..task("read", "staging", "code") }
}

fn facts(operation: &str) -> Facts {
    Facts {
        source: "runbook `go`".to_owned(),
        from: Source::Runbook,
        operation: Some(operation.to_owned()),
        environment: None,
        resource: None,
        resource_type: None,
    }
}

fn assess(rules: &Rules, task: &Task, facts: Option<&Facts>) -> Assessment {
    // A Friday.
    rules.assess(task, facts, "deploy-bot", Utc.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap())
}

#[track_caller]
fn level(task: &Task) -> Level {
    assess(&rules(), task, None).level
}

/// The detail of a reason; empty where there is no such reason.
fn detail(assessment: &Assessment, trigger: &str) -> String {
    assessment.reasons.iter().find(|reason| reason.trigger == trigger).map(|reason| reason.detail.clone()).unwrap_or_default()
}

#[test]
fn each_built_in_trigger_matches_its_case_and_nothing_else() {
    let cost = |cost: f64| Task { estimated_cost: Some(cost), ..task("read", "staging", "code") };
    for (task, trigger, words) in [
        (task("delete", "production", "code"), "delete_production", "delete in production"),
        (task("deploy", "production", "code"), "deploy_production", "deploy to production"),
        (task("modify", "staging", "infrastructure"), "modify_infrastructure", "modification of infrastructure"),
        (with_finding("critical"), "security_finding_critical", "security finding CVE-1 is critical"),
        (with_finding("high"), "security_finding_high", "security finding CVE-1 is high"),
        (cost(100.01), "cost_above_threshold", "estimated cost 100.01 is above 100 US dollars"),
        (cost(1000.5), "cost_far_above_threshold", "estimated cost 1000.5 is above 1000 US dollars"),
        (task("data_export", "development", "code"), "data_export", "export of data"),
    ] {
        let assessment = assess(&rules(), &task, None);
        assert_eq!(detail(&assessment, trigger), words, "{assessment:?}");
        let highest = rules().triggers.iter().find(|rule| rule.name == trigger).unwrap().level;
        assert_eq!(assessment.level, highest, "{assessment:?}");
        assert_eq!(assessment.policy_version, rules().version);
    }
    for harmless in [
        task("delete", "staging", "database"),
        task("deploy", "development", "code"),
        task("modify", "production", "code"),
        task("read", "production", "infrastructure"),
        with_finding("medium"),
        with_finding("Info "),
        cost(100.0),
        cost(-5.0),
    ] {
        let assessment = assess(&rules(), &harmless, None);
        assert_eq!((assessment.level, assessment.reasons.len()), (Level::Low, 0), "{assessment:?}");
    }
}

#[test]
fn the_highest_level_holds_and_the_reasons_begin_with_it() {
    let task = Task { estimated_cost: Some(5_000.0), ..task("delete", "production", "code") };
    let assessment = assess(&rules(), &task, None);
    let reasons: Vec<_> = assessment.reasons.iter().map(|reason| (reason.level, reason.trigger.as_str())).collect();
    let expected =
        [(Level::Critical, "delete_production"), (Level::High, "cost_far_above_threshold"), (Level::Medium, "cost_above_threshold")];
    assert_eq!((assessment.level, reasons.as_slice()), (Level::Critical, expected.as_slice()));
}

#[test]
fn spellings_case_and_white_space_do_not_matter() {
    for operation in ["delete", "DELETE", " Destroy\t", "remove\n", "\u{a0}delete "] {
        for environment in ["production", "PROD", " prd ", "Production\u{a0}"] {
            let assessment = assess(&rules(), &task(operation, environment, "code"), None);
            assert_eq!((assessment.level, assessment.reasons.len()), (Level::Critical, 1), "{operation:?} {environment:?} {assessment:?}");
        }
    }
    assert_eq!(level(&task("UPDATE", "dev", " Infra ")), Level::High);
}

#[test]
fn a_word_that_nobody_knows_is_dangerous_and_shown_as_it_is() {
    for (task, field, shown) in [
        (task("depl0y", "staging", "code"), "operation", "depl0y"),
        (task("", "staging", "code"), "operation", ""),
        (task("r\u{435}ad", "staging", "code"), "operation", "r\u{435}ad"),
        (task("read", "stag\u{200b}ing", "code"), "environment", "stag<U+200B>ing"),
        (task("read", "\u{ff53}taging", "code"), "environment", "\u{ff53}taging"),
        (task("read", "qa", "code"), "environment", "qa"),
        (task("read", "staging", "c\u{43e}de\u{202e}"), "resource_type", "c\u{43e}de<U+202E>"),
        (task("read", "staging\0", "code"), "environment", "staging<U+0000>"),
    ] {
        let assessment = assess(&rules(), &task, None);
        assert_eq!(assessment.level, Level::Critical, "{assessment:?}");
        let detail = detail(&assessment, &format!("unrecognized_{field}"));
        assert!(detail.starts_with(&format!("{field} `{shown}` is not a word that parkbrake knows; known are: ")), "{detail}");
    }
}

#[test]
fn where_unrecognized_words_count_for_little_they_still_hide_nothing() {
    let rules = Rules { unrecognized: Level::Medium, ..rules() };
    for (misspelled, meant) in [
        (task("delet", "production", "code"), Level::Critical),
        (task("delete", "productoin", "code"), Level::Critical),
        (task("modify", "staging", "1nfra"), Level::High),
        (task("read", "somewhere", "something"), Level::Medium),
    ] {
        let assessment = assess(&rules, &misspelled, None);
        assert_eq!(assessment.level, meant, "{assessment:?}");
    }
    let assessment = assess(&rules, &task("delet", "production", "code"), None);
    assert_eq!(detail(&assessment, "delete_production"), "delete in production, assuming operation delete");
}

#[test]
fn an_omitted_field_is_assessed_for_every_possible_value() {
    let assessment = assess(&rules(), &task("delete", "-", "code"), None);
    assert_eq!(assessment.level, Level::Critical);
    assert_eq!(detail(&assessment, "delete_production"), "delete in production, assuming environment production");
    let unsaid = "environment was not given, so the task is assessed for each that it could be: production, staging, development";
    assert_eq!(detail(&assessment, "unsaid_environment"), unsaid);

    let assessment = assess(&rules(), &task("modify", "staging", "-"), None);
    assert_eq!(detail(&assessment, "modify_infrastructure"), "modification of infrastructure, assuming resource_type infrastructure");
    assert!(detail(&assessment, "unsaid_resource_type").ends_with("code, database, infrastructure"), "{assessment:?}");

    let assessment = assess(&rules(), &task("read", "-", "-"), None);
    assert_eq!((assessment.level, assessment.reasons.len()), (Level::Low, 2), "leaving out is a reason, not a crime: {assessment:?}");
}

#[test]
fn the_registry_wins_where_it_knows_of_more_danger() {
    let claimed = on("DB-Prod-7 ", task("delete", "development", "code"));
    let assessment = assess(&rules(), &claimed, None);
    assert_eq!(assessment.level, Level::Critical);
    assert_eq!(detail(&assessment, "delete_production"), "delete in production", "it is known, not assumed");
    let disagreement =
        "the resource registry says that the environment is `production`, the request says `development`; the more dangerous one holds";
    assert_eq!(detail(&assessment, "environment_disagreement"), disagreement);
    assert!(detail(&assessment, "resource_type_disagreement").contains("`database`, the request says `code`"), "{assessment:?}");

    let unsaid = assess(&rules(), &on("db-prod-7", task("delete", "-", "-")), None);
    assert_eq!(unsaid.level, Level::Critical);
    assert!(detail(&unsaid, "unsaid_environment").ends_with("could be: production"), "nothing less dangerous is left: {unsaid:?}");

    let infrastructure = assess(&rules(), &on("vpc", task("modify", "staging", "code")), None);
    assert_eq!(detail(&infrastructure, "modify_infrastructure"), "modification of infrastructure");
}

#[test]
fn the_registry_never_lowers_a_claim() {
    let assessment = assess(&rules(), &on("my-sandbox", task("delete", "production", "code")), None);
    assert_eq!(assessment.level, Level::Critical, "{assessment:?}");
    assert!(detail(&assessment, "environment_disagreement").contains("`development`, the request says `production`"));
    // Two entries that match: the more dangerous one is believed.
    let both = assess(&rules(), &on("db-prod-sandbox", task("delete", "staging", "code")), None);
    assert_eq!(both.level, Level::Critical, "{both:?}");
    assert_eq!(level(&on("my-db-prod-7", task("delete", "staging", "code"))), Level::Low, "a pattern fits from end to end");
}

#[test]
fn a_severity_that_nobody_knows_is_taken_for_critical() {
    for severity in ["hihg", "", "CRITICAL!", "cr\u{456}tical"] {
        let assessment = assess(&rules(), &with_finding(severity), None);
        assert_eq!(assessment.level, Level::Critical);
        assert!(detail(&assessment, "unrecognized_severity").ends_with("so it counts as critical"), "{assessment:?}");
        assert_eq!(detail(&assessment, "security_finding_critical"), "security finding CVE-1 is critical");
    }
    assert_eq!(level(&with_finding(" High ")), Level::High);
    let finding = |severity: &str| SecurityFinding { severity: severity.to_owned(), id: None, title: None };
    let many = Task { security_findings: vec![finding("a"); 500], ..task("read", "dev", "code") };
    let assessment = assess(&rules(), &many, None);
    assert!(detail(&assessment, "unrecognized_severity").ends_with("critical (and 499 more)"), "{assessment:?}");
    assert!(assessment.reasons.len() < 5, "one reason for all of them");
    assert_eq!(detail(&assessment, "security_finding_high"), "security finding a finding without a name is critical");
}
