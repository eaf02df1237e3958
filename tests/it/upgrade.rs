//! A database of an earlier version, with every state that it knew, is migrated to this version and
//! continues.
//!
//! The databases, and the answers of the earlier version's own API, are in
//! `tests/fixtures/databases`. The tests follow the steps that CHANGELOG.md describes under
//! "Upgrading a database of 0.1.0".

use crate::support::client::events;
use crate::support::hook::Hook;
use crate::support::server::{Services, hand_out_tokens, settings};
use crate::support::{Client, Config, Database, Process, SECRET_KEY, TestApp, called, eventually};
use reqwest::Method;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tokio::process::Command;

/// The version before seals, queues and leases existed.
const UNSEALED: &str = "fb93978";
/// The last version whose schema ends with migration 0020.
const SEALED: &str = "8797ec1";

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/databases")
}

/// The configuration of that time, with these notices.
fn config(notifications: &str) -> Config {
    let files = ["hitl/approval-policies.yaml", "hitl/risk-assessment-rules.yaml", "runbooks.yaml"];
    files.into_iter().fold(Config::new().write("notifications.yaml", notifications), |config, name| {
        config.write(name, &std::fs::read_to_string(fixtures().join("config").join(name)).expect("a file"))
    })
}

/// What an earlier version left.
struct Left {
    database: Database,
    said: Value,
}

impl Left {
    async fn by(version: &str) -> Self {
        let read = |name: String| std::fs::read_to_string(fixtures().join(name)).expect("a fixture");
        let database = Database::create().await;
        database.execute(&read(format!("{version}.sql"))).await;
        Self { database, said: serde_json::from_str(&read(format!("{version}.json"))).expect("JSON") }
    }

    /// Runs this version's program, like an operator.
    async fn parkbrake(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        command.args(arguments).env("DATABASE_URL", &self.database.url).env("PARKBRAKE_SECRET_KEY", SECRET_KEY);
        command.stdin(Stdio::null()).kill_on_drop(true).output().await.expect("the program")
    }

    /// Runs it successfully, and returns its output.
    #[track_caller]
    fn done(&self, arguments: &[&str]) -> impl Future<Output = String> {
        called(async move {
            let output = self.parkbrake(arguments).await;
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).expect("text")
        })
    }

    /// A server of this version on it, after all steps of an operator.
    async fn upgraded(version: &str) -> Upgraded {
        Self::upgraded_with(version, config("channels: {}\n")).await
    }

    async fn upgraded_with(version: &str, config: Config) -> Upgraded {
        let left = Self::by(version).await;
        if version == UNSEALED {
            left.done(&["migrate"]).await;
            left.done(&["rekey", "--yes"]).await;
        }
        hand_out_tokens(&left.database).await;
        let settings = settings(&config);
        Upgraded { app: TestApp::launch_with(config, &settings, left.database, Services::default()).await, said: left.said }
    }
}

/// A server of this version on a database of an earlier one.
struct Upgraded {
    app: TestApp,
    said: Value,
}

impl Upgraded {
    fn client(&self, name: &str) -> Client {
        self.app.client(name)
    }

    /// The id of a workflow in the fixture.
    #[track_caller]
    fn id(&self, label: &str) -> &str {
        self.said["workflows"][label]["workflow_id"].as_str().unwrap_or_else(|| panic!("the fixture has no {label}"))
    }

    fn knows(&self, label: &str) -> bool {
        self.said["workflows"][label].is_object()
    }

    /// The current state of a workflow.
    async fn workflow(&self, label: &str) -> Value {
        self.client("cora").workflow(self.id(label)).await
    }

    /// The events of a workflow since the earlier version has stopped.
    async fn since(&self, label: &str) -> Vec<String> {
        let before = self.said["workflows"][label]["history"].as_array().expect("a history").len();
        events(&self.workflow(label).await)[before..].iter().map(ToString::to_string).collect()
    }

    async fn ends_as(&self, label: &str, status: &str) -> Value {
        self.client("cora").wait_for(self.id(label), status).await
    }

    async fn resolve(&self, label: &str, outcome: &str) -> Value {
        let body = json!({"outcome": outcome, "justification": "I looked"});
        self.client("alice").post(&format!("/workflows/{}/resolve", self.id(label)), body).await.expect(200)
    }

    async fn reports(&self, label: &str, name: &str) -> Value {
        let body = json!({"outcome": "succeeded", "output": {"lines": 3}});
        self.client(name).post(&format!("/workflows/{}/result", self.id(label)), body).await.expect(200)
    }
}

/// Whether everything in the old answer is still in the new one; objects may have more fields.
fn is_still_said(was: &Value, is: &Value) -> bool {
    match (was, is) {
        (Value::Object(was), Value::Object(is)) => was.iter().all(|(name, was)| is.get(name).is_some_and(|is| is_still_said(was, is))),
        (Value::Array(was), Value::Array(is)) => was.len() == is.len() && was.iter().zip(is).all(|(was, is)| is_still_said(was, is)),
        (was, is) => was == is,
    }
}

#[tokio::test]
async fn a_database_without_seals_is_taken_over_once_an_operator_has_sealed_it() {
    let left = Left::by(UNSEALED).await;
    let config = config("channels: {}\n");
    let (status, log) = Process::refused(&config, &left.database, &[]).await;
    assert_eq!(status, Some(1));
    assert!(log.join("\n").contains("parkbrake rekey --yes"), "{log:#?}");
    let workflows = left.said["workflows"].as_object().unwrap().len();
    let looked = left.done(&["rekey"]).await;
    assert!(looked.contains("nothing was changed") && looked.contains(&format!("{workflows} workflows had none")), "{looked}");
    let (status, _) = Process::refused(&config, &left.database, &[]).await;
    assert_eq!(status, Some(1), "looking seals nothing");
    let sealed = left.done(&["rekey", "--yes"]).await;
    assert!(sealed.contains(&format!("{workflows} workflows had none")), "{sealed}");
    let server = Process::serve(&config, &left.database).await;
    let list = left.done(&["token", "list"]).await;
    assert!(list.lines().skip(1).all(|line| line.ends_with("void") || line.ends_with("revoked")), "{list}");
    let folder = config.path().to_str().unwrap();
    let token = left.done(&["token", "create", "alice", "--config", folder]).await;
    let alice = Client::with_token(server.addr, token.trim());
    let id = left.said["workflows"]["pending-to-approve"]["workflow_id"].as_str().unwrap();
    assert_eq!(alice.approve(id).await.expect(200)["workflow_status"], "executing");
    assert!(server.terminate().await);
}

#[tokio::test]
async fn every_workflow_of_an_earlier_version_reads_as_it_did() {
    for version in [UNSEALED, SEALED] {
        let upgraded = Left::upgraded(version).await;
        let workflows = upgraded.said["workflows"].as_object().unwrap();
        assert!(workflows.len() > 25, "{version}");
        for (label, was) in workflows.iter().filter(|(_, was)| was["problem"].is_null()) {
            let is = upgraded.workflow(label).await;
            for field in ["risk_level", "requested_by", "digest", "task", "decisions"] {
                assert!(is_still_said(&was[field], &is[field]), "{version}, {label}: {field}: {:#} {:#}", was[field], is[field]);
            }
            let (before, now) = (was["history"].as_array().unwrap(), is["history"].as_array().unwrap());
            assert!(now.len() >= before.len(), "{version}, {label}");
            for (was, is) in before.iter().zip(now) {
                assert!(is_still_said(was, is), "{version}, {label}: {was:#} {is:#}");
            }
            if now.len() == before.len() {
                for field in ["status", "approval", "execution"] {
                    assert!(is_still_said(&was[field], &is[field]), "{version}, {label}: {field}: {:#} {:#}", was[field], is[field]);
                }
            } else {
                // Statuses that only parkbrake itself continues.
                assert!(label.starts_with("executing-") || label == "queued", "{version}, {label}: {now:#?}");
            }
        }
        let whole = "select count(*) from workflow w left join payload p using (workflow_id)
                     where 'sha256:' || encode(sha256(p.document), 'hex') is distinct from w.digest";
        assert_eq!(upgraded.app.database.count(whole).await, 0, "{version}: each document is the one that was submitted, to the byte");
        let waiting = workflows.values().filter(|was| was["status"] == "pending_approval").count();
        let listed = upgraded.client("cora").get("/workflows/pending?limit=500").await.expect(200);
        // An unreadable workflow stays on the list, so that people learn of it.
        assert_eq!(listed["workflows"].as_array().unwrap().len(), waiting + 1, "{version}");
    }
}

#[tokio::test]
async fn requests_parked_by_an_earlier_version_are_decided_and_continue() {
    for version in [UNSEALED, SEALED] {
        let upgraded = Left::upgraded(version).await;
        let (alice, cora, bot) = (upgraded.client("alice"), upgraded.client("cora"), upgraded.client("deploy-bot"));
        for label in ["pending-to-approve", "pending-medium", "pending-numbers", "escalated", "pending-keyed"] {
            let (id, by) = (upgraded.id(label), if label == "escalated" { &cora } else { &alice });
            let body = json!({"justification": "I looked", "digest": upgraded.said["workflows"][label]["digest"]});
            let answer = by.post(&format!("/workflows/{id}/approve"), body).await.expect(200);
            assert_eq!(answer["workflow_status"], "executing", "{version}, {label}");
            assert_eq!(upgraded.since(label).await, ["approved", "execution_started"], "{version}, {label}");
        }
        upgraded.reports("pending-to-approve", "deploy-bot").await;
        upgraded.ends_as("pending-to-approve", "completed").await;
        alice.reject(upgraded.id("pending-to-reject")).await.expect(200);
        upgraded.ends_as("pending-to-reject", "rejected").await;
        bot.post(&format!("/workflows/{}/cancel", upgraded.id("pending-to-cancel")), json!({})).await.expect(200);
        upgraded.ends_as("pending-to-cancel", "cancelled").await;
        // One of two has approved before; the other approval was missing.
        let half = upgraded.id("half-approved");
        upgraded.client("tess").approve(half).await.expect(200);
        assert_eq!(upgraded.since("half-approved").await, [""; 0], "{version}: the first approval still stands, and counts once");
        cora.approve(half).await.expect(200);
        assert_eq!(upgraded.since("half-approved").await, ["approved", "execution_started"], "{version}");
        // The requester's own people are still excluded.
        upgraded.client("tom").approve(upgraded.id("pending-runbook")).await.problem(403, "self-approval");
        alice.approve(upgraded.id("pending-runbook")).await.expect(200);
        if version == UNSEALED {
            let failed = upgraded.ends_as("pending-runbook", "failed").await;
            assert_eq!(upgraded.since("pending-runbook").await, ["approved", "released", "start_refused"]);
            assert!(failed["history"].to_string().contains("submit the task again"), "{failed:#}");
        } else {
            eventually("a start, or a refusal", async || {
                let since = upgraded.since("pending-runbook").await;
                since.iter().any(|event| event == "execution_started" || event == "start_refused").then_some(())
            })
            .await;
        }
    }
}

#[tokio::test]
async fn names_no_longer_listed_gain_nothing_from_their_parked_requests() {
    let upgraded = Left::upgraded(UNSEALED).await;
    let (alice, tess) = (upgraded.client("alice"), upgraded.client("tess"));
    let id = upgraded.id("pending-by-unlisted");
    // `Alice` requested it, for whom a token could be made at that time.
    alice.approve(id).await.problem(403, "self-approval");
    tess.approve(id).await.problem(403, "not-an-approver");
    alice.reject(id).await.expect(200);
    // A resource name that was valid then, and is not now, can still be decided.
    alice.approve(upgraded.id("pending-odd-resource")).await.expect(200);
    upgraded.ends_as("pending-odd-resource", "executing").await;
}

#[tokio::test]
async fn work_interrupted_in_an_earlier_version_follows_the_upgrade_rules() {
    for version in [UNSEALED, SEALED] {
        let upgraded = Left::upgraded(version).await;
        upgraded.ends_as("executing-once", "outcome_unknown").await;
        assert_eq!(upgraded.since("executing-once").await, ["outcome_unknown"], "{version}");
        assert_eq!(upgraded.resolve("executing-once", "succeeded").await["status"], "completed", "{version}");
        // Idempotent actions are released again, and then the start gate checks them.
        let since = eventually("a start, or a refusal", async || {
            let since = upgraded.since("executing-again").await;
            since.iter().any(|event| event == "execution_started" || event == "start_refused").then_some(since)
        })
        .await;
        assert_eq!(since[0], "released", "{version}");
        if version == UNSEALED {
            assert_eq!(since, ["released", "start_refused"]);
            let failed = upgraded.ends_as("executing-again", "failed").await;
            assert!(failed["history"].to_string().contains("submit the task again"), "{failed:#}");
        }
        for (label, name) in [("executing-low", "lone-bot"), ("executing-approved", "deploy-bot")] {
            upgraded.reports(label, name).await;
            let ended = upgraded.ends_as(label, "completed").await;
            assert_eq!(ended["execution"]["attempts"][0]["output"], json!({"lines": 3}), "{version}, {label}");
        }
        assert_eq!(upgraded.resolve("unknown-to-succeed", "succeeded").await["status"], "completed", "{version}");
        assert_eq!(upgraded.resolve("unknown-to-fail", "failed").await["status"], "failed", "{version}");
        upgraded.resolve("unknown-to-retry", "retry").await;
        let since = eventually("a start, or a refusal", async || {
            let since = upgraded.since("unknown-to-retry").await;
            since.iter().any(|event| event == "execution_started" || event == "start_refused").then_some(since)
        })
        .await;
        assert_eq!(since[..2], ["resolved", "released"], "{version}");
        if upgraded.knows("queued") {
            let since =
                eventually("a start, or a refusal", async || Some(upgraded.since("queued").await).filter(|since| !since.is_empty())).await;
            assert!(["execution_started", "start_refused"].contains(&since[0].as_str()), "{version}: {since:?}");
        }
        // An unreadable workflow harms nobody, and is reported.
        let unreadable = upgraded.id("quarantined");
        eventually("a place in quarantine", async || {
            upgraded.client("lone-bot").post(&format!("/workflows/{unreadable}/cancel"), json!({})).await.problem(503, "unavailable");
            let found = upgraded.app.database.count("select count(*) from quarantine").await;
            (found == 1).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn idempotency_keys_of_earlier_versions_return_their_first_answer() {
    for version in [UNSEALED, SEALED] {
        let upgraded = Left::upgraded(version).await;
        let bot = upgraded.client(upgraded.said["keyed"]["by"].as_str().unwrap());
        let send = async |body: &Value| {
            let key = upgraded.said["keyed"]["key"].as_str().unwrap();
            bot.send(bot.request(Method::POST, "/orchestrate").header("Idempotency-Key", key).json(body)).await
        };
        let again = send(&upgraded.said["keyed"]["body"]).await.expect(202);
        let first = &upgraded.said["keyed"]["answer"];
        assert!(is_still_said(first, &again), "{version}: {first:#} {again:#}");
        let mut other = upgraded.said["keyed"]["body"].clone();
        other["description"] = json!("another one");
        send(&other).await.problem(422, "idempotency-key-reused");
    }
}

#[tokio::test]
async fn tokens_from_before_the_secret_key_are_void_later_ones_stay_valid_and_sessions_end() {
    for version in [UNSEALED, SEALED] {
        let upgraded = Left::upgraded(version).await;
        for (name, token) in upgraded.said["tokens"].as_object().unwrap() {
            let holder = Client::with_token(upgraded.app.addr, token.as_str().unwrap());
            let answer = holder.get("/workflows?limit=1").await;
            if version == SEALED {
                answer.expect(200);
                continue;
            }
            let problem = answer.problem(401, "unauthenticated");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("before tokens were sealed") && detail.contains("ask for a new one"), "{name}: {detail}");
        }
        // Sessions of these versions do not record their proof, so everybody has to sign in again.
        assert_eq!(upgraded.app.database.count("select count(*) from session").await, 0, "{version}");
    }
}

#[tokio::test]
async fn an_upgrade_delivers_pending_notices() {
    for version in [UNSEALED, SEALED] {
        let hook = Hook::start().await;
        let notifications = format!(
            "channels:\n{}{}routes:\n  - {{ levels: [medium, high, critical], channels: [ops, audit] }}\n",
            hook.channel("ops"),
            hook.channel("audit")
        );
        let left = Left::by(version).await;
        let waiting = left.database.count("select count(*) from notice where status = 'pending' and channel = 'audit'").await;
        assert!(waiting > 20, "{version}: {waiting}");
        let upgraded = Left::upgraded_with(version, config(&notifications)).await;
        eventually("nothing left to say", async || {
            let left = "select count(*) from notice where status = 'pending' and due_at < clock_timestamp()";
            (upgraded.app.database.count(left).await == 0).then_some(())
        })
        .await;
        for label in ["rejected", "completed-external", "escalated"] {
            let told = hook.told(upgraded.id(label));
            assert!(!told.is_empty(), "{version}, {label}: {told:?}");
        }
        assert!(hook.told(upgraded.id("rejected")).iter().all(|kind| kind != "approval.requested"), "nobody is asked what is settled");
    }
}

#[tokio::test]
async fn only_work_that_ended_long_ago_can_be_pruned() {
    for version in [UNSEALED, SEALED] {
        let upgraded = Left::upgraded(version).await;
        upgraded.ends_as("executing-once", "outcome_unknown").await;
        // Workflows with undelivered notices are kept; there is no channel here, so all notices are
        // given up.
        eventually("nothing left to say", async || {
            (upgraded.app.database.count("select count(*) from notice where status = 'pending'").await == 0).then_some(())
        })
        .await;
        let mut prune = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        prune.args(["prune", "--older-than", "7d", "--yes", "--json"]).env("DATABASE_URL", &upgraded.app.database.url);
        let done = prune.output().await.expect("the program");
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        for (label, was) in upgraded.said["workflows"].as_object().unwrap() {
            let answer = upgraded.client("cora").get(&format!("/workflows/{}", upgraded.id(label))).await;
            let ended = ["completed", "failed", "rejected", "cancelled", "expired"].contains(&was["status"].as_str().unwrap_or_default());
            let expected = if ended { 404 } else { 200 };
            assert!(answer.status == expected || !was["problem"].is_null(), "{version}, {label}: {}", answer.status);
        }
    }
}
