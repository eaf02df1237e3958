//! Terraform plans at the command line: read locally, shown before an approval, and verified before
//! they are applied.

use super::stub::{ID, Stub, workflow};
use super::{parkbrake, ran, submitted};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

const SECRETS: [&str; 3] = ["correct-horse-battery", "staple-horse-correct", "provider-secret-key-1"];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/terraform").join(name)
}

#[test]
fn submit_sends_what_people_need_of_a_plan_and_no_secret() {
    let stub = Stub::start();
    stub.on("POST /orchestrate", 202, &submitted());
    let plan = fixture("replace-database.json");
    ran(&stub, &["submit", "--terraform-plan", plan.to_str().unwrap(), "--terraform-workspace", "live", "--environment", "production"])
        .said(&[ID]);
    let sent = stub.last("POST");
    let task = sent.json();
    assert_eq!((&task["operation"], &task["resource_type"]), (&json!("modify"), &json!("infrastructure")));
    assert!(task["description"].as_str().unwrap().starts_with("Apply a Terraform plan: 1 to delete, 1 to replace"), "{task}");
    assert_eq!((&task["evidence"]["type"], &task["evidence"]["summary"]["workspace"]), (&json!("terraform_plan"), &json!("live")));
    assert!(task["evidence"].get("plan").is_none());
    for secret in SECRETS {
        assert!(!sent.body.contains(secret), "{secret}");
    }
    let mut command = parkbrake(&stub, &["submit", "--terraform-plan", plan.to_str().unwrap()]);
    super::run(command.env("TF_WORKSPACE", "staging")).said(&[ID]);
    assert_eq!(stub.last("POST").json()["evidence"]["summary"]["workspace"], "staging");
    let mut command = parkbrake(&stub, &["submit", "--operation", "read", "--description", "x"]);
    super::run(command.env("TF_WORKSPACE", "staging")).said(&[ID]);
    assert!(stub.last("POST").json().get("evidence").is_none());
}

#[test]
fn an_invalid_plan_is_refused_before_anything_is_sent() {
    let stub = Stub::start();
    let log = stub.home().join("log.json");
    std::fs::write(&log, "{\"@level\":\"info\"}\n{\"@level\":\"info\"}\n").unwrap();
    for (file, said) in [
        (fixture("state.json"), "is a state, not a plan"),
        (fixture("format-0.2.json"), "make the plan with Terraform 1.1 or newer"),
        (log, "write it with `terraform show -json PLANFILE"),
        (fixture("no-such-file.json"), "cannot read"),
    ] {
        ran(&stub, &["submit", "--terraform-plan", file.to_str().unwrap()]).failed(1, &[said]);
    }
    assert!(stub.calls().is_empty());
}

/// A plan of 10 MB is read locally, and only a little of it is sent.
#[test]
fn a_plan_of_ten_megabytes_becomes_a_small_request() {
    let stub = Stub::start();
    stub.on("POST /orchestrate", 202, &submitted());
    let change = |n: u32| {
        json!({"address": format!("aws_instance.i[{n}]"), "type": "aws_instance", "change": {"actions": ["update"],
            "before": {"user_data": "a".repeat(1_000)}, "after": {"user_data": "b".repeat(1_000)}, "before_sensitive": {}, "after_sensitive": {}}})
    };
    let plan = json!({"format_version": "1.2", "planned_values": {}, "resource_changes": (0..5_000).map(change).collect::<Vec<_>>()});
    let file = stub.home().join("plan.json");
    std::fs::write(&file, plan.to_string()).unwrap();
    assert!(std::fs::metadata(&file).unwrap().len() > 10_000_000);
    ran(&stub, &["submit", "--terraform-plan", file.to_str().unwrap()]).said(&[ID]);
    let sent = stub.last("POST");
    assert!(sent.body.len() < 200_000, "{}", sent.body.len());
    assert_eq!(sent.json()["evidence"]["summary"]["counts"]["updates"], 5_000);
}

#[test]
fn status_lists_deletions_of_a_plan_first() {
    let stub = Stub::start();
    stub.on("POST /orchestrate", 202, &submitted());
    ran(&stub, &["submit", "--terraform-plan", fixture("replace-database.json").to_str().unwrap()]).said(&[ID]);
    let mut shown = workflow("pending_approval", 2);
    shown["workflow"]["task"]["evidence"] = json!({"summary": stub.last("POST").json()["evidence"]["summary"]});
    stub.on(&format!("GET /workflows/{ID}/status"), 200, &shown);
    let status = ran(&stub, &["status", ID]);
    status.said(&[
        "terraform    1 to delete, 1 to replace, 2 to update, 1 to create",
        "delete  aws_s3_bucket.backups: delete_because_no_resource_config",
        "replace aws_db_instance.main: replace_because_cannot_update",
        "engine_version: \"14.9\" -> \"16.4\" (forces the replacement)",
        "password: (sensitive) -> (sensitive)",
        "output endpoint: \"orders.old.example\" -> (known after apply)",
    ]);
    assert!(status.out.find("aws_s3_bucket.backups") < status.out.find("aws_security_group_rule.open"), "{}", status.out);
}

#[test]
fn verify_plan_succeeds_only_if_the_server_verifies() {
    let stub = Stub::start();
    let path = format!("POST /workflows/{ID}/verify-plan");
    let answer = |verified: bool, reasons: &[&str]| json!({"success": true, "workflow_id": ID, "verified": verified, "reasons": reasons, "status": "executing", "digest": "sha256:1"});
    let plan = fixture("replace-database.json");
    let plan = plan.to_str().unwrap();
    stub.on(&path, 200, &answer(true, &[]));
    ran(&stub, &["verify-plan", plan, "--workflow", ID]).said(&["verified: this is the plan that was approved"]);
    let sent: Value = stub.last("POST").json();
    assert!(sent.get("digest").is_none() && sent["evidence"]["contents"].as_str().unwrap().starts_with("sha256:"));
    assert!(SECRETS.iter().all(|secret| !sent.to_string().contains(secret)));

    let mut command = parkbrake(&stub, &["verify-plan", plan]);
    super::run(command.env("PARKBRAKE_WORKFLOW_ID", ID).env("PARKBRAKE_DIGEST", "sha256:abc")).said(&["verified"]);
    assert_eq!(stub.last("POST").json()["digest"], "sha256:abc", "as a runbook has them");

    stub.on(&path, 200, &answer(false, &["a.b: this plan is to delete it, which nobody approved"]));
    ran(&stub, &["verify-plan", plan, "--workflow", ID]).failed(1, &["do not apply this plan", "which nobody approved"]);
    stub.on(&path, 200, &json!({"success": true}));
    ran(&stub, &["verify-plan", plan, "--workflow", ID]).failed(1, &["do not apply this plan"]);
    ran(&stub, &["verify-plan", plan, "--workflow", ID, "--url", "http://127.0.0.1:1"]).failed(5, &["no server answers"]);
    ran(&stub, &["verify-plan", plan]).failed(2, &["--workflow"]);
}
