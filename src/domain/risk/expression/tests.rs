use super::*;
use crate::domain::task::SecurityFinding;
use crate::domain::task::vocabulary::Vocabulary;
use chrono::{TimeZone as _, Utc};
use serde_json::{Value as Json, json};

fn finding(severity: &str) -> SecurityFinding {
    SecurityFinding { severity: severity.to_owned(), id: Some("CVE-1".to_owned()), title: None }
}

fn holds_over(source: &str, severity: &str, metadata: &Json) -> Result<bool, String> {
    let findings = [finding(severity)];
    let common = Common {
        estimated_cost: 12.5,
        security_findings: &findings,
        plan: None,
        metadata: &metadata.as_object().unwrap().clone().into(),
        requested_by: "deploy-bot",
        now: Utc.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap(),
    };
    let words = Words { operation: "deploy", environment: "production", resource: Some("api"), resource_type: "code" };
    let expression = Expression::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    expression.holds(&Base::new(&common, expression.variables()).scope(&words))
}

#[test]
fn a_plan_has_its_fields_and_no_others() {
    assert_eq!(
        holds(r#"plan.deletes == 0 && plan.types == [] && plan.workspace == "" && !plan.partial"#),
        Ok(true),
        "no plan is an empty one"
    );
    assert_eq!(holds(r#"plan.destroyed_types.exists(t, t.startsWith("aws_db"))"#), Ok(false));
    let lists = |source: &str| {
        let vocabulary = Vocabulary::default();
        let lists = words::Lists { operations: &vocabulary, environments: &vocabulary, resource_types: &vocabulary };
        Expression::compile(source).and_then(|condition| condition.check_words(&lists)).unwrap_err().to_string()
    };
    assert!(
        lists("plan.deleted > 0").contains("plan.deleted, which is not one of: creates, updates, deletes"),
        "{}",
        lists("plan.deleted > 0")
    );
    assert!(lists(r#"has(plan.deleted)"#).contains("plan.deleted"));
    refused(r#"plan.deletes > "0""#, "can never be evaluated");
}

fn holds(source: &str) -> Result<bool, String> {
    holds_over(source, "high", &json!({"ticket": "OPS-7", "rows": 12}))
}

#[track_caller]
fn refused(source: &str, expected: &str) {
    let refused = Expression::compile(source).err().map(|error| error.to_string());
    assert!(refused.as_ref().is_some_and(|text| text.contains(expected)), "{source}: {refused:?}");
}

#[test]
fn conditions_see_the_task_and_the_time() {
    for source in [
        r#"operation == "deploy" && now.getDayOfWeek() == 5"#,
        r#"security_findings.exists(f, f.severity == "high")"#,
        r#"metadata.ticket.startsWith("OPS-") && metadata.rows > 10"#,
        r#"estimated_cost > 12.0 && requested_by.endsWith("-bot")"#,
        r#"resource.matches("^a.i$") && resource_type in ["code", "database"]"#,
        "type(resource) == string",
    ] {
        assert_eq!(holds(source), Ok(true), "{source}");
    }
    assert_eq!(holds(r#"environment == "staging""#), Ok(false));
}

#[test]
fn a_failing_condition_is_an_error() {
    assert!(holds("metadata.absent == 1").is_err());
    assert!(holds(r#"metadata.ticket"#).is_err());
    assert!(holds("metadata.rows / 0 == 1").is_err());
}

#[test]
fn a_severity_is_one_word_however_a_scanner_spells_it() {
    for (written, word) in [
        ("HIGH", "high"),
        ("High", "high"),
        ("MEDIUM", "medium"),
        (" medium ", "medium"),
        ("moderate", "medium"),
        ("Critical", "critical"),
        ("info", "low"),
        ("hihg", "critical"),
    ] {
        let source = format!(r#"security_findings.exists(f, f.severity == "{word}")"#);
        assert_eq!(holds_over(&source, written, &json!({})), Ok(true), "{written:?}");
    }
}

#[test]
fn whole_numbers_calculate_as_people_write_them() {
    let metadata = json!({"hours": 2, "rows": 4, "list": [1, 2, 3], "minus": -3, "half": 0.5, "spelled": 2.0, "exponent": 2e0,
        "largest": i64::MAX, "beyond": u64::MAX, "huge": 1e300, "nested": {"of": [5]}});
    for (source, expected) in [
        ("has(metadata.hours) && metadata.hours * 24 > 100", false),
        ("metadata.hours * 24 == 48", true),
        ("metadata.rows % 2 == 1", false),
        ("metadata.rows + 1 == 5", true),
        ("metadata.list.map(x, x * 2) == [2, 4, 6]", true),
        ("metadata.minus + 1 == -2", true),
        ("metadata.half * 2.0 == 1.0", true),
        ("metadata.spelled + 1 == 3 && metadata.exponent + 1 == 3", true),
        ("metadata.nested.of[0] - 1 == 4", true),
        ("metadata.largest > 9223372036854775806", true),
        ("metadata.beyond > 1.8e19 && metadata.beyond / 2.0 < 1e19", true),
        ("metadata.huge > 1e299", true),
        ("metadata.hours > 1.5 && metadata.half < 1 && metadata.hours in [1, 2]", true),
        ("type(metadata.hours) == int && type(metadata.half) == double && type(metadata.beyond) == double", true),
    ] {
        assert_eq!(holds_over(source, "low", &metadata), Ok(expected), "{source}");
    }
}

#[test]
fn conditions_that_can_never_be_evaluated_are_refused() {
    for (source, expected) in [
        ("operation ==", "valid CEL"),
        ("", "valid CEL"),
        (r#"enviroment == "production""#, "enviroment"),
        (r#"operation == "x" && enviroment == "production""#, "enviroment"),
        (r#"operation.beginsWith("d")"#, "beginsWith"),
        ("estimated_cost + 1.0", "has the result"),
        ("operation", "has the result"),
    ] {
        refused(source, expected);
    }
}

#[test]
fn conditions_that_fail_for_every_task_are_refused() {
    for source in [
        r#"now.getHours("Europe/Berlim") >= 18"#,
        r#"operation == "deploy" && now.getHours("Europe/Berlim") >= 18"#,
        r#"has(metadata.late) && (metadata.late || now.getHours("+25:00") > 3)"#,
        "estimated_cost * 12 > 300.0",
        "estimated_cost + 1 > 3.0 || operation == \"read\"",
        r#"operation == "deploy" ? estimated_cost * 2 > 1.0 : false"#,
        r#"operation + 1 == "x""#,
        "operation > 3 || true",
        "size(estimated_cost) > 1",
        "now > 5",
        "now - 5 > now",
        r#"security_findings.exists(f, f.severity == "high" && f.cvss > 7.0)"#,
        "security_findings.exists(f, has(f.cvss) && f.cvss > 7.0)",
        r#"security_findings.exists(f, now.getHours("Mars/Base") > 3)"#,
        "metadata.hours * metadata.hours > now",
        r#"metadata.exists(k, estimated_cost * 2 > 3.0)"#,
        r#"timestamp("yesterday") < now"#,
        "estimated_cost / 0 > 1.0",
        "environment.size() > estimated_cost.size()",
    ] {
        refused(source, "can never be evaluated, so that it would match every task: ");
    }
}

#[test]
fn conditions_that_fail_only_for_some_tasks_are_accepted() {
    for source in [
        r#"metadata.ticket == "x""#,
        "metadata.hours * 24 > 100",
        "metadata.ratio * 2.0 > 1.5",
        "metadata.price * metadata.rate > metadata.limit",
        r#"metadata.a.b.c.startsWith("x") && metadata["d"].size() > 2"#,
        r#"metadata.hosts.exists(h, h.startsWith("db-"))"#,
        "metadata.items.exists(i, i.size > 3 && i.price * 2.0 > 1.0)",
        "metadata.items.map(i, i.price).exists(p, p > 3.0)",
        r#"metadata[operation] == "x""#,
        "metadata.list[2].name == \"x\"",
        r#"timestamp(metadata.since) < now - duration("24h")"#,
        r#"duration(metadata.age) > duration("1h")"#,
        "int(metadata.count) > 3 && double(metadata.count) > 3.0",
        r#"{"deploy": 3, "read": 1}[operation] > 2"#,
        r#"security_findings[0].id.startsWith("CVE-")"#,
        r#"security_findings.filter(f, f.severity == "medium").size() > 5"#,
        r#"security_findings.filter(f, has(f.title)).exists(f, f.title.contains("remote"))"#,
        r#"security_findings.map(f, f.severity).exists(s, s == "high")"#,
        r#"security_findings.all(f, has(f.id) && f.id.matches("^CVE-20[0-9]{2}-"))"#,
        r#"now.getHours("Europe/Berlin") < 8 || now.getHours("+05:30") > 3 || now.getDayOfWeek("Australia/Lord_Howe") == 0"#,
        r#"now.getHours(metadata.zone) > 3"#,
        "estimated_cost * 12.0 > 300.0",
        "estimated_cost > 100",
        "type(metadata.x) == int ? metadata.x * 2 > 3 : metadata.x.size() > 3",
        r#""vip" in metadata.tags || "vip" in metadata"#,
        "metadata == {}",
        "1 / metadata.parts > 0",
    ] {
        Expression::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
    }
}

#[test]
fn nested_loops_are_refused() {
    for source in [
        "metadata.a.exists(x, metadata.a.exists(y, x == y + 1))",
        "security_findings.exists(a, security_findings.exists(b, a.severity == b.severity))",
        "metadata.a.map(x, metadata.b.filter(y, y > x)).size() > 3",
        "metadata.a.filter(x, metadata.b.all(y, y > x)).size() > 3",
        "metadata.a.exists_one(x, metadata.b.map(y, y)[0] == x)",
        "[1, 2].exists(x, [1, 2].exists(y, [1, 2].exists(z, x + y == z)))",
    ] {
        refused(source, "runs a loop inside a loop");
    }
    // One after the other.
    Expression::compile("metadata.a.filter(x, x > 1).exists(x, x == 5) || metadata.b.all(x, x > 0)").unwrap();
}

#[test]
fn a_pattern_is_written_out_and_small() {
    refused("resource.matches(metadata.pattern)", "not written out");
    refused(r#"resource.matches("(a{100}){100}{100}")"#, "cannot be used");
    refused(r#"resource.matches("[a-")"#, "cannot be used");
    assert_eq!(holds(r#"resource.matches("^(a+)+$")"#), Ok(false));
}

mod words_compared {
    use super::*;
    use crate::domain::task::vocabulary::{Vocabulary, Word};
    use words::Lists;

    fn vocabulary(words: &[(&str, &[&str])]) -> Vocabulary {
        let word = |(name, spellings): &(&str, &[&str])| Word {
            name: (*name).to_owned(),
            spellings: spellings.iter().map(|it| (*it).to_owned()).collect(),
        };
        Vocabulary::new(words.iter().map(word).collect())
    }

    fn checked(source: &str) -> Result<(), String> {
        let operations = vocabulary(&[("read", &["get"]), ("deploy", &["release"])]);
        let environments = vocabulary(&[("production", &["prod"]), ("staging", &[])]);
        let resource_types = vocabulary(&[("database", &["db"]), ("code", &[])]);
        let lists = Lists { operations: &operations, environments: &environments, resource_types: &resource_types };
        let expression = Expression::compile(source).unwrap_or_else(|error| panic!("{source}: {error}"));
        expression.check_words(&lists).map_err(|error| error.to_string())
    }

    #[test]
    fn a_comparison_with_a_word_that_is_never_seen_is_refused() {
        for (source, expected) in [
            (r#"environment == "prod""#, "write `production`"),
            (r#"environment == "Production""#, "write `production`"),
            (r#"" prod " == environment"#, "write `production`"),
            (r#"environment != "prod""#, "write `production`"),
            (r#"!(environment == "prod") && operation == "read""#, "write `production`"),
            (r#"environment in ["staging", "prod"]"#, "write `production`"),
            (r#"environment in {"prod": true}"#, "write `production`"),
            (r#"environment == "produktion""#, "known are: production, staging"),
            (r#"operation == "release""#, "write `deploy`"),
            (r#"operation == "DEPLOY" || true"#, "write `deploy`"),
            (r#"operation in ["fly"]"#, "known are: read, deploy"),
            (r#"resource_type == "db" ? true : false"#, "write `database`"),
            ("operation == 5", "not text"),
            (r#"security_findings.exists(f, f.severity == "HIGH")"#, "write `high`"),
            (r#"security_findings.exists(f, f["severity"] == "moderate")"#, "write `medium`"),
            (r#"security_findings[0].severity == "info""#, "write `low`"),
            (r#"security_findings.filter(f, has(f.id)).exists(g, g.severity in ["HIGH"])"#, "write `high`"),
            (r#"security_findings.map(f, f.severity).exists(s, s == "urgent")"#, "known are: low, medium, high, critical"),
            (r#""HIGH" in security_findings.map(f, f.severity)"#, "write `high`"),
        ] {
            let refused = checked(source);
            assert!(refused.as_ref().is_err_and(|text| text.contains(expected)), "{source}: {refused:?}");
        }
    }

    #[test]
    fn every_other_comparison_is_taken() {
        for source in [
            r#"environment == "production" && operation in ["read", "deploy"] && resource_type != "code""#,
            r#"environment == """#,
            r#"environment == metadata.environment"#,
            r#"metadata.severity == "HIGH" && metadata.environment == "prod""#,
            r#"resource == "prod" && requested_by == "Deploy""#,
            r#"security_findings.exists(f, f.severity == "high" && f.id == "HIGH")"#,
            r#"metadata.hosts.exists(environment, environment == "prod")"#,
            r#"security_findings.map(f, f.id).exists(s, s == "HIGH")"#,
            r#"environment.startsWith("prod")"#,
        ] {
            assert_eq!(checked(source), Ok(()), "{source}");
        }
    }
}
