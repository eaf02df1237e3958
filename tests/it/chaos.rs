//! The promise under load: the real program is killed a dozen times at random moments while agents
//! submit and people decide. Afterwards everything acknowledged is compared with what is stored,
//! and with the ledger of the runbooks.

use crate::support::client::{high, low};
use crate::support::{Client, Config, Database, Ledger, Process, called, eventually};
use parkbrake::domain::workflow::transition;
use parkbrake::domain::workflow::{Event, Recorded, Status};
use parkbrake::storage::Storage;
use reqwest::Method;
use serde_json::json;
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;
use uuid::Uuid;

const KILLS: usize = 12;
/// The fewest acknowledgments between two kills.
const LEAST_PER_ROUND: usize = 6;

/// What the clients were told.
#[derive(Default)]
struct Acknowledged {
    /// Workflow → digest and runbook.
    submitted: HashMap<String, (String, String)>,
    /// Workflow → who decided what.
    decided: Vec<(String, &'static str, &'static str)>,
}

#[derive(Clone)]
struct Load {
    address: watch::Receiver<Option<SocketAddr>>,
    told: Arc<Mutex<Acknowledged>>,
}

impl Load {
    /// The current server; waits while there is none. `None` once the load is to end.
    async fn client(&mut self, name: &str) -> Option<Client> {
        let address = *self.address.wait_for(Option::is_some).await.ok()?;
        address.map(|address| Client::new(address, name))
    }

    /// How much was acknowledged so far, and how many of those were decisions.
    fn acknowledged(&self) -> (usize, usize) {
        let told = self.told.lock().unwrap();
        (told.submitted.len() + told.decided.len(), told.decided.len())
    }

    /// Submits one task after another, each until it is acknowledged.
    #[track_caller]
    fn submit(mut self, agent: &'static str, number: u32) -> impl Future<Output = ()> {
        called(async move {
            for task in 0_u32.. {
                let name = ["once", "again", "look"][task as usize % 3];
                let mut body = if name == "look" { low() } else { high() };
                body["action"] = json!({"type": "runbook", "name": name});
                let key = format!("{number}-{task}");
                loop {
                    let Some(client) = self.client(agent).await else { return };
                    let request = client.request(Method::POST, "/orchestrate").header("idempotency-key", &key).json(&body);
                    match client.try_send(request).await {
                        Ok(answer) if answer.status == 202 => {
                            let text = |field: &str| answer.body[field].as_str().unwrap().to_owned();
                            self.told.lock().unwrap().submitted.insert(text("workflow_id"), (text("digest"), name.to_owned()));
                            break;
                        }
                        Ok(answer) => assert!([503, 409].contains(&answer.status.as_u16()), "{}", answer.body),
                        Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                    }
                }
            }
        })
    }

    /// Decides whatever waits: every fifth request is rejected.
    #[track_caller]
    fn decide(mut self, person: &'static str) -> impl Future<Output = ()> {
        called(async move {
            loop {
                let Some(client) = self.client(person).await else { return };
                let Ok(waiting) = client.try_send(client.request(Method::GET, "/workflows/pending?limit=20")).await else { continue };
                for request in waiting.body["workflows"].as_array().into_iter().flatten() {
                    let id = request["workflow_id"].as_str().unwrap();
                    let reject = Uuid::try_parse(id).unwrap().as_bytes()[15].is_multiple_of(5);
                    let (call, body) = if reject { ("reject", json!({})) } else { ("approve", json!({"digest": request["digest"]})) };
                    let sent = client.try_send(client.request(Method::POST, &format!("/workflows/{id}/{call}")).json(&body)).await;
                    if let Ok(answer) = sent {
                        match answer.status.as_u16() {
                            200 => self.told.lock().unwrap().decided.push((id.to_owned(), person, call)),
                            409 | 503 => {}
                            _ => panic!("{}", answer.body),
                        }
                    }
                }
            }
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_nothing_runs_twice_nothing_runs_unapproved() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let (announce, address) = watch::channel(None);
    let load = Load { address, told: Arc::default() };
    let mut clients = Vec::new();
    for (number, agent) in (0..).zip(["deploy-bot", "other-bot", "lone-bot"]) {
        clients.push(tokio::spawn(load.clone().submit(agent, number)));
    }
    for person in ["alice", "tess"] {
        clients.push(tokio::spawn(load.clone().decide(person)));
    }

    let mut server = Process::serve(&config, &database).await;
    for _ in 0..KILLS {
        announce.send_replace(Some(server.addr));
        // Killed at a random point of the work, which is counted, not timed: so a slow machine sees
        // as much as a fast one.
        let some = LEAST_PER_ROUND + usize::from(Uuid::new_v4().as_bytes()[0] % 16);
        let (all, decided) = load.acknowledged();
        eventually("work", || async {
            let now = load.acknowledged();
            (now.0 >= all + some && now.1 > decided).then_some(())
        })
        .await;
        announce.send_replace(None);
        server.kill().await;
        server = Process::serve(&config, &database).await;
    }
    drop(announce);
    for client in clients {
        client.await.expect("a client that found nothing wrong");
    }
    eventually("every action's end", || async {
        let running = "select count(*) from workflow where status in ('queued', 'executing')";
        (database.count(running).await == 0).then_some(())
    })
    .await;
    let told = std::mem::take(&mut *load.told.lock().unwrap());
    check(&told, &ledger, &database).await;
    assert!(server.terminate().await);
}

/// Compares what was acknowledged, what is stored, and what the runbooks recorded.
#[track_caller]
fn check(told: &Acknowledged, ledger: &Ledger, database: &Database) -> impl Future<Output = ()> {
    called(async move {
        let storage = Storage::connect(&database.url, 2).unwrap();
        let mut rows: HashMap<Uuid, (i32, String)> = HashMap::new();
        let stored: Vec<(Uuid, i32, String)> =
            sqlx::query_as("select workflow_id, version, status from workflow").fetch_all(&mut database.connect().await).await.unwrap();
        rows.extend(stored.into_iter().map(|(id, version, status)| (id, (version, status))));
        let mut logs: HashMap<String, Vec<Recorded>> = HashMap::new();
        for (id, (version, status)) in &rows {
            let log = storage.log(*id).await.unwrap();
            let workflow = transition::replay(*id, &log).unwrap().expect("a workflow has a log");
            assert_eq!(
                (i64::from(workflow.version), workflow.status().as_str()),
                (i64::from(*version), status.as_str()),
                "row and log of {id}"
            );
            logs.insert(id.to_string(), log);
        }

        // Nothing acknowledged is lost, and each key opened one workflow.
        assert_eq!(database.count("select count(*) from idempotency_key").await, i64::try_from(rows.len()).unwrap());
        for (id, (digest, _)) in &told.submitted {
            let Event::Submitted(submission) = &logs[id][0].event else { panic!("{id} does not begin with its submission") };
            assert_eq!(submission.digest.as_str(), digest);
        }
        for (id, person, call) in &told.decided {
            let kind = if *call == "approve" { "approved" } else { "rejected" };
            assert!(logs[id].iter().any(|one| one.event.name() == kind && one.actor == *person), "{person}'s {call} of {id} is lost");
        }

        // Nothing runs unapproved, nothing runs twice.
        let mut started: HashMap<String, Vec<u32>> = HashMap::new();
        for entry in ledger.entries() {
            assert_eq!(entry.key, entry.workflow, "one key for all attempts");
            if entry.what == "start" {
                started.entry(entry.workflow).or_default().push(entry.attempt);
            }
        }
        for (id, attempts) in &started {
            let log = logs.get(id).unwrap_or_else(|| panic!("{id} ran and is not stored"));
            let Event::Submitted(submission) = &log[0].event else { unreachable!() };
            let released = submission.assessment.level.as_str() == "low" || log.iter().any(|one| one.event.name() == "approved");
            assert!(released && !log.iter().any(|one| one.event.name() == "rejected"), "{id} ran unapproved");
            for attempt in attempts {
                let recorded = |one: &Recorded| matches!(one.event, Event::ExecutionStarted { attempt: began, .. } if began == *attempt);
                assert!(log.iter().any(recorded), "{id} ran an attempt that is not in its log");
                assert_eq!(attempts.iter().filter(|one| *one == attempt).count(), 1, "{id} ran attempt {attempt} twice");
            }
            assert!(submission.idempotent || attempts.len() == 1, "{id} ran {} times and is not idempotent", attempts.len());
        }
        let ended = |id: &str| ledger.of(id).iter().any(|entry| entry.what == "end");
        let mut unknown = 0;
        for (id, (_, status)) in &rows {
            let id = id.to_string();
            match Status::parse(status).unwrap() {
                Status::Completed => assert!(ended(&id), "{id} is said to be completed and has not ended"),
                Status::OutcomeUnknown => unknown += 1,
                Status::PendingApproval | Status::Rejected => assert!(!started.contains_key(&id)),
                other => panic!("{id} is {other}"),
            }
        }

        // Something must have happened.
        let counts =
            format!("submitted {}, decided {}, ran {}, unknown {unknown}", told.submitted.len(), told.decided.len(), started.len());
        assert!(told.submitted.len() + told.decided.len() >= KILLS * LEAST_PER_ROUND, "{counts}");
        assert!(told.decided.len() >= KILLS && started.len() >= KILLS / 2, "{counts}");
        tracing::info!(kills = KILLS, counts, "nothing was lost");
    })
}
