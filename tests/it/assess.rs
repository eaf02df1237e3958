//! The level of a task, over HTTP and with the shipped files.

use crate::support::called;
use crate::support::{Config, TestApp};
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The folder of the shipped runbooks' programs.
const WORKING_DIR: &str = concat!("working_dir: '", env!("CARGO_MANIFEST_DIR"), "'");

/// The shipped files, with people of every role instead of the demo people.
fn shipped() -> Config {
    parkbrake::config::shipped()
        .iter()
        .filter(|(name, _)| !name.ends_with("approval-policies.yaml"))
        .fold(Config::new(), |config, (name, text)| config.write(name, &text.replace("working_dir: .", WORKING_DIR)))
}

/// Shipped rules with custom triggers.
fn with_triggers(triggers: &str) -> Config {
    shipped().write("hitl/interrupt-triggers.yaml", &format!("triggers:\n{triggers}"))
}

#[track_caller]
fn reasons(answer: &Value) -> Vec<String> {
    let reasons = answer["assessment"]["reasons"].as_array().unwrap_or_else(|| panic!("{answer}"));
    reasons.iter().map(|reason| reason["trigger"].as_str().unwrap().to_owned()).collect()
}

#[track_caller]
fn assess(app: &TestApp, task: Value) -> impl Future<Output = Value> {
    called(async move { app.client("deploy-bot").post("/risk/assess", task).await.expect(200) })
}

#[tokio::test]
async fn no_claim_makes_the_shipped_deployment_run_at_once() {
    let app = TestApp::with(shipped()).await;
    let bot = app.client("deploy-bot");
    let action = json!({"type": "runbook", "name": "deploy-service", "args": {"service": "api", "version": "1.4.2"}});
    for claims in [
        json!({}),
        json!({"environment": "production"}),
        json!({"environment": "staging"}),
        json!({"environment": "dev", "resource_type": "code"}),
        json!({"operation": "read", "environment": "development"}),
        json!({"environment": "dev", "resource": "api-gateway-production"}),
        json!({"operation": "plan", "environment": " STAGE ", "resource": "api", "resource_type": "code", "estimated_cost": 0, "metadata": {"a": 1}}),
    ] {
        let mut task = json!({"description": "x", "operation": "deploy", "action": action});
        for (field, claim) in claims.as_object().unwrap() {
            task[field] = claim.clone();
        }
        let submitted = bot.submit(task).await;
        assert_eq!((&submitted["status"], &submitted["risk_level"]), (&json!("pending_approval"), &json!("high")), "{claims} {submitted}");
    }
}

#[tokio::test]
async fn a_resource_without_an_entry_is_asked_about_and_a_foreign_name_is_refused() {
    let app = TestApp::with(shipped()).await;
    let bot = app.client("deploy-bot");
    let deletion = |resource: &str| json!({"description": "x", "operation": "delete", "environment": "development", "resource_type": "database", "resource": resource});
    for known in ["db-prod-1", "DB-PROD-1", " db-prod-1 ", "db-prod-1.", "db-prod-1:5432", "https://db-prod-1/x", "db-prod-1.internal"] {
        assert_eq!(assess(&app, deletion(known)).await["assessment"]["level"], "critical", "{known}");
    }
    for unknown in ["db_prod_1", "x.db-prod-1", "10.0.0.5", "prod-db-1", "api"] {
        let answer = assess(&app, deletion(unknown)).await;
        assert!(answer["assessment"]["level"] != "low" && reasons(&answer).contains(&"unregistered_resource".to_owned()), "{answer}");
    }
    for foreign in [
        "\u{200b}db-prod-1",
        "db\u{ad}-prod-1",
        "\u{ff44}b-prod-1",
        "db-pr\u{43e}d-1",
        "\u{a0}db-prod-1",
        "db-prod-1\u{202e}",
        "db\u{2010}prod-1",
    ] {
        for path in ["/risk/assess", "/orchestrate"] {
            let refused = bot.post(path, deletion(foreign)).await.expect(422);
            assert_eq!(refused["errors"][0]["pointer"], "/resource", "{foreign:?} {refused}");
        }
    }
    let reading =
        json!({"description": "x", "operation": "deploy", "environment": "staging", "resource_type": "service", "resource": "api"});
    assert_eq!(assess(&app, reading).await["assessment"]["level"], "medium", "nothing says that it is in staging");
}

#[tokio::test]
async fn conditions_see_resolved_words_and_numbers_that_calculate() {
    let triggers = r#"  high_finding: { when: 'security_findings.exists(f, f.severity == "high")', level: high }
  many: { when: 'security_findings.filter(f, f.severity == "medium").size() > 2', level: medium }
  long_run: { when: 'has(metadata.hours) && metadata.hours * 24 > 100', level: high }
  odd: { when: 'has(metadata.rows) && metadata.rows % 2 == 1', level: high }
"#;
    let app = TestApp::with(with_triggers(triggers)).await;
    let task = |findings: Value, metadata: Value| json!({"description": "d", "operation": "read", "environment": "development", "resource_type": "service", "security_findings": findings, "metadata": metadata});
    let finding = |severity: &str| json!({"severity": severity, "id": "CVE-2025-1"});
    for spelling in ["HIGH", "High", " high "] {
        let answer = assess(&app, task(json!([finding(spelling)]), json!({}))).await;
        assert_eq!((&answer["assessment"]["level"], reasons(&answer)), (&json!("high"), vec!["high_finding".to_owned()]), "{spelling}");
    }
    let answer = assess(&app, task(json!([finding("MEDIUM"), finding(" medium "), finding("moderate")]), json!({}))).await;
    assert_eq!((&answer["assessment"]["level"], reasons(&answer)), (&json!("medium"), vec!["many".to_owned()]));
    let answer = assess(&app, task(json!([]), json!({"hours": 2, "rows": 4}))).await;
    assert_eq!((&answer["assessment"]["level"], reasons(&answer)), (&json!("low"), vec![]), "{answer}");
    let answer = assess(&app, task(json!([]), json!({"hours": 5, "rows": 3}))).await;
    let details = answer["assessment"]["reasons"].to_string();
    assert!(reasons(&answer).len() == 2 && !details.contains("could not be evaluated"), "{answer}");
}

/// This once froze the server: a condition whose cost grows with the square of the request's size.
#[tokio::test]
async fn an_expensive_assessment_delays_no_other_call() {
    let app = TestApp::with(with_triggers("  mine: { when: 'metadata.a.all(x, x in metadata.b)', level: high }\n")).await;
    let list: Vec<u32> = (0..20_000).collect();
    let task = json!({"description": "d", "operation": "read", "environment": "development", "resource_type": "service", "metadata": {"a": list, "b": list}});
    let started = Instant::now();
    let answers = futures_util::future::join_all((0..8).map(|_| assess(&app, task.clone()))).await;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    for answer in answers {
        assert_eq!(answer["assessment"]["level"], "high");
        assert!(answer["assessment"]["reasons"].to_string().contains("needs more steps than the budget"), "{}", answer["assessment"]);
    }
}
