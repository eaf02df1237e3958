//! The server and the runbook, killed at each boundary of an attempt: an action runs once, or its
//! outcome is unknown. The ledger shows what really happened: whoever performs the action writes it
//! to disk before the next step.

use crate::support::client::low;
use crate::support::hook::{Hook, Reply};
use crate::support::proxy::{Fault, Proxy};
use crate::support::{Config, Database, Process, called, eventually};
use Boundary::{AfterEffect, AfterFinishRecord, AfterStartRecord, BeforeStartRecord, During, RunbookDies};
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};
use std::path::Path;
use tempfile::TempDir;

/// Where the kill happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Boundary {
    /// The server is killed before PostgreSQL receives the start.
    BeforeStartRecord,
    /// The start is committed, and the server is killed before it receives the answer.
    AfterStartRecord,
    /// The server is killed while the action runs.
    During,
    /// The action has had its effect and has ended, and the server is killed before PostgreSQL
    /// receives the outcome.
    AfterEffect,
    /// The end is committed, and the server is killed before it receives the answer.
    AfterFinishRecord,
    /// The runbook itself is killed while it runs; the server goes on.
    RunbookDies,
}

/// The expected result.
struct Row {
    boundary: Boundary,
    idempotent: bool,
    status: &'static str,
    begun: usize,
    done: usize,
}

const fn row(boundary: Boundary, idempotent: bool, status: &'static str, begun: usize, done: usize) -> Row {
    Row { boundary, idempotent, status, begun, done }
}

/// The last two columns: how often the action has begun, and how often it has had its effect.
const ROWS: [Row; 12] = [
    row(BeforeStartRecord, false, "completed", 1, 1),
    row(BeforeStartRecord, true, "completed", 1, 1),
    row(AfterStartRecord, false, "outcome_unknown", 0, 0),
    row(AfterStartRecord, true, "completed", 1, 1),
    row(During, false, "outcome_unknown", 1, 0),
    row(During, true, "completed", 2, 1),
    row(AfterEffect, false, "outcome_unknown", 1, 1),
    row(AfterEffect, true, "completed", 2, 2),
    row(AfterFinishRecord, false, "completed", 1, 1),
    row(AfterFinishRecord, true, "completed", 1, 1),
    row(RunbookDies, false, "failed", 1, 0),
    row(RunbookDies, true, "failed", 1, 0),
];

/// The commits of a workflow after the one that opens it.
const COMMIT: &str = "advance_workflows";

/// What keeps the ledger: a runbook's folder, or the receiver of a call.
enum Doer {
    Runbook(TempDir),
    Webhook(Hook),
}

impl Doer {
    fn runbook() -> Self {
        let folder = TempDir::new().unwrap();
        let script = "#!/bin/sh
write() { echo \"$1 $PARKBRAKE_IDEMPOTENCY_KEY\" >> ledger; sync ledger; }
[ \"$1\" = first ] && exit 0
echo $$ > pid
write begun
while [ -e gate ]; do sleep 0.05; done
write done
";
        std::fs::write(folder.path().join("run.sh"), script).unwrap();
        Self::Runbook(folder)
    }

    fn config(&self, idempotent: bool) -> Config {
        match self {
            Self::Runbook(folder) => {
                let runbook = |name: &str, idempotent: bool| {
                    format!(
                        "  {name}: {{ operation: read, environment: development, command: [/bin/sh, run.sh, {name}], working_dir: '{}', idempotent: {idempotent} }}\n",
                        folder.path().display()
                    )
                };
                Config::new().with_runbooks(&format!("runbooks:\n{}{}", runbook("first", true), runbook("act", idempotent)))
            }
            Self::Webhook(hook) => Config::new().with_runbooks(&format!(
                "webhooks:\n  act: {{ url: 'http://{}/hook', secret: {{ from_env: HOOK_SECRET }}, allow_private: true, operation: read, \
                 environment: development, idempotent: {idempotent} }}\n",
                hook.addr
            )),
        }
    }

    /// Makes the next action wait in its middle.
    fn hold(&self) {
        match self {
            Self::Runbook(folder) => std::fs::write(folder.path().join("gate"), "").unwrap(),
            Self::Webhook(hook) => hook.then([Reply::Silence]),
        }
    }

    fn release(&self) {
        if let Self::Runbook(folder) = self {
            let _ = std::fs::remove_file(folder.path().join("gate"));
        }
    }

    /// The keys of the actions that have begun, and of those that have had their effect.
    fn ledger(&self) -> (Vec<String>, Vec<String>) {
        match self {
            Self::Runbook(folder) => {
                let text = std::fs::read_to_string(folder.path().join("ledger")).unwrap_or_default();
                let of = |what: &str| text.lines().filter_map(|line| line.strip_prefix(what)).map(str::to_owned).collect();
                (of("begun "), of("done "))
            }
            Self::Webhook(hook) => {
                let calls = hook.attempts();
                let done = calls.iter().filter(|call| call.answered.is_some()).map(|call| call.id.clone()).collect();
                (calls.into_iter().map(|call| call.id).collect(), done)
            }
        }
    }

    async fn has_begun(&self) {
        eventually("its beginning", || async { (!self.ledger().0.is_empty()).then_some(()) }).await;
    }

    async fn has_its_effect(&self) {
        eventually("its effect", || async { (!self.ledger().1.is_empty()).then_some(()) }).await;
    }
}

/// Waits until this many commits of workflows have reached the proxy, and lets all but the last one
/// through; the last one meets the fault.
async fn stop_at(proxy: &Proxy, commit: usize, fault: Fault) {
    for number in 1..=commit {
        eventually("a commit", || async { (proxy.applied() >= number).then_some(()) }).await;
        if number < commit {
            proxy.next(COMMIT, if number + 1 == commit { fault } else { Fault::HoldRequest }, 1);
            proxy.thaw();
        }
    }
}

/// Kills at the boundary of a row, and checks the result.
#[track_caller]
fn play(row: &Row, doer: &Doer, task: &Value, commits_before: usize) -> impl Future<Output = ()> {
    called(async move {
        let Row { boundary, idempotent, status, begun, done } = *row;
        let database = Database::migrated().await;
        let (config, proxy) = (doer.config(idempotent), Proxy::before(&database).await);
        let server = Process::serve(&config, &proxy.database()).await;
        let stop = match boundary {
            BeforeStartRecord => Some((commits_before + 1, Fault::HoldRequest)),
            AfterStartRecord => Some((commits_before + 1, Fault::HoldAnswer)),
            AfterEffect => Some((commits_before + 2, Fault::HoldRequest)),
            AfterFinishRecord => Some((commits_before + 2, Fault::HoldAnswer)),
            During | RunbookDies => None,
        };
        match stop {
            Some((1, fault)) => proxy.next(COMMIT, fault, 1),
            Some(_) => proxy.next(COMMIT, Fault::HoldRequest, 1),
            None => doer.hold(),
        }
        let id = server.client("deploy-bot").submit_id(task.clone()).await;
        match stop {
            Some((commit, fault)) => {
                stop_at(&proxy, commit, fault).await;
                if boundary == AfterFinishRecord {
                    let finished = "select count(*) from workflow_event where kind = 'execution_succeeded'";
                    let steps = i64::try_from(commits_before / 2 + 1).unwrap();
                    eventually("the commit of its end", || async { (database.count(finished).await == steps).then_some(()) }).await;
                }
            }
            None => doer.has_begun().await,
        }
        if matches!(boundary, AfterEffect | AfterFinishRecord) {
            doer.has_its_effect().await;
        }
        let server = if boundary == RunbookDies {
            let Doer::Runbook(folder) = doer else { panic!("only a runbook can be killed") };
            kill_group_in(&folder.path().join("pid"));
            server
        } else {
            server.kill().await;
            drop(proxy);
            doer.release();
            Process::serve(&config, &database).await
        };
        let alice = server.client("alice");
        let workflow = alice.wait_for(&id, status).await;
        let (has_begun, had_effect) = doer.ledger();
        let what = format!("{boundary:?}, idempotent: {idempotent}: {has_begun:?} {had_effect:?} {workflow:#}");
        assert_eq!((has_begun.len(), had_effect.len()), (begun, done), "{what}");
        assert!(has_begun.iter().all(|key| *key == has_begun[0]), "whoever it reaches can tell that it is the same order: {what}");
        if status == "outcome_unknown" {
            // The outcome stays unknown: nothing runs again on its own.
            let reason = workflow["execution"]["attempts"].as_array().unwrap().last().unwrap()["outcome"].clone();
            assert_eq!(reason, "unknown", "{what}");
        }
        assert!(server.terminate().await);
    })
}

fn kill_group_in(file: &Path) {
    let pid = std::fs::read_to_string(file).unwrap().trim().parse().ok().and_then(Pid::from_raw).unwrap();
    kill_process_group(pid, Signal::KILL).unwrap();
}

fn act(kind: &str) -> Value {
    let mut task = low();
    task["action"] = json!({"type": kind, "name": "act"});
    task
}

#[tokio::test]
async fn a_killed_runbook_ran_once_or_has_an_unknown_outcome() {
    for row in &ROWS {
        play(row, &Doer::runbook(), &act("runbook"), 0).await;
    }
}

#[tokio::test]
async fn a_killed_webhook_call_was_made_once_or_has_an_unknown_outcome() {
    for row in ROWS.iter().filter(|row| row.boundary != RunbookDies) {
        let mut task = act("webhook");
        task["action"]["args"] = json!({});
        play(row, &Doer::Webhook(Hook::start().await), &task, 0).await;
    }
}

#[tokio::test]
async fn a_killed_second_step_ran_once_or_has_an_unknown_outcome() {
    let step = |name: &str| json!({"operation": "read", "environment": "development", "action": {"type": "runbook", "name": name}});
    let plan = json!({"description": "Look twice", "steps": [step("first"), step("act")]});
    for row in &ROWS {
        // The first step has begun and has ended.
        play(row, &Doer::runbook(), &plan, 2).await;
    }
}
