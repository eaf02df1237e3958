//! The log of a server: one id finds everything about its workflow, as JSON and as text, and the
//! log contains no secret.

use crate::support::called;
use crate::support::client::{high, token};
use crate::support::hook::{Hook, Reply};
use crate::support::server::{SECRET, SECRET_KEY};
use crate::support::{Client, Config, Database, Ledger, Process, eventually};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};
use std::fs::{File, OpenOptions};
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

/// A filter that shows everything about a workflow.
const ALL: &str = "info,parkbrake=debug";

/// The log lines about a workflow, in order.
const STORY: [&[&str]; 7] = [
    &["committed", "submitted", "deploy-bot"],
    &["the workflow is due"],
    &["committed", "escalated"],
    &["committed", "approved", "released", "alice"],
    &["the action starts"],
    &["the action ended", "succeeded"],
    &["committed", "execution_succeeded"],
];

/// The log lines about the workflow's notices, in the meantime. The first attempt to send the
/// decision fails.
const NOTICES: [&[&str]; 3] =
    [&["a notice was not delivered"], &["a notice was delivered", "approval.requested"], &["a notice was delivered", "workflow.succeeded"]];

struct World {
    ledger: Ledger,
    hook: Hook,
    config: Config,
    database: Database,
}

impl World {
    async fn new() -> Self {
        let (ledger, hook) = (Ledger::new(), Hook::start().await);
        let config = ledger.runbooks(Config::new()).with_policies("escalation: { high: [ { after: 1s, to: [cto] } ] }").write(
            "notifications.yaml",
            &format!("channels:\n{}routes: [ {{ levels: [high], channels: [audit] }} ]\n", hook.channel("audit")),
        );
        let database = Database::migrated().await;
        Self { ledger, hook, config, database }
    }

    /// Submits, waits for an escalation, approves, and waits for the end: returns the workflow's
    /// id.
    #[track_caller]
    fn live(&self, client: impl Fn(&str) -> Client) -> impl Future<Output = String> {
        called(async move {
            let mut task = high();
            task["action"] = json!({"type": "runbook", "name": "once"});
            let id = client("deploy-bot").submit_id(task).await;
            eventually("an escalation", || async { self.hook.told(&id).contains(&"approval.escalated".to_owned()).then_some(()) }).await;
            let alice = client("alice");
            self.hook.then([Reply::Status(503)]);
            alice.approve(&id).await.expect(200);
            alice.wait_for(&id, "completed").await;
            let delivered = "select count(*) from notice where kind = 'workflow.succeeded' and status = 'delivered'";
            eventually("the last notice", || async { (self.database.count(delivered).await == 1).then_some(()) }).await;
            assert_eq!(self.ledger.starts(&id), 1);
            id
        })
    }
}

/// Checks that the lines of a workflow are as expected.
#[track_caller]
fn tells_the_story(lines: &[String]) {
    let says = |line: &String, words: &[&str]| words.iter().all(|word| line.contains(word));
    let mut left = lines.iter();
    for step in STORY {
        assert!(left.any(|line| says(line, step)), "{step:?} is missing, or out of order:\n{}", lines.join("\n"));
    }
    for notice in NOTICES {
        assert!(lines.iter().any(|line| says(line, notice)), "{notice:?} is missing:\n{}", lines.join("\n"));
    }
}

#[track_caller]
fn keeps_secrets(log: &[String]) {
    let log = log.join("\n");
    for secret in [SECRET, SECRET_KEY, &token("alice"), &token("deploy-bot")] {
        assert!(!log.contains(secret), "a secret is in the log:\n{log}");
    }
}

#[tokio::test]
async fn one_id_finds_the_whole_story_of_a_workflow_in_the_json_log() {
    let world = World::new().await;
    let server = Process::serve_telling(&world.config, &world.database, ALL).await;
    let id = world.live(|name| server.client(name)).await;
    let parked = server.client("deploy-bot").submit_id(high()).await;
    let log = server.log().await;
    keeps_secrets(&log);
    let of_it: Vec<String> = log.iter().filter(|line| line.contains(&id)).cloned().collect();
    for line in &of_it {
        let line: Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["workflow.id"], id, "{line}");
    }
    tells_the_story(&of_it);

    let server = Process::serve_telling(&world.config, &world.database, ALL).await;
    let nora = server.client("nora");
    eventually("rehydration", || async { nora.get("/metrics").await.text.contains("parkbrake_workflows_remembered 1").then_some(()) })
        .await;
    let log = server.log().await;
    let back = log.iter().find(|line| line.contains("a parked workflow is back in memory")).expect("a line");
    assert_eq!(serde_json::from_str::<Value>(back).unwrap()["workflow.id"], parked);
}

#[tokio::test]
async fn one_id_finds_the_whole_story_of_a_workflow_in_the_text_log() {
    let world = World::new().await;
    let (mut server, terminal) = on_a_terminal(&world);
    let addr = eventually("a server", || async {
        let lines = terminal.lock().unwrap();
        let ready = lines.iter().find(|line| line.contains("parkbrake is ready"))?;
        let (_, addr) = ready.split_once("127.0.0.1:")?;
        let port: String = addr.chars().take_while(char::is_ascii_digit).collect();
        Some(format!("127.0.0.1:{port}").parse().unwrap())
    })
    .await;
    let id = world.live(|name| Client::new(addr, name)).await;
    server.kill().await.unwrap();
    let log = terminal.lock().unwrap().clone();
    keeps_secrets(&log);
    let of_it: Vec<String> = log.iter().filter(|line| line.contains(&id)).cloned().collect();
    for line in &of_it {
        assert!(line.contains(&format!("workflow.id={id}")), "{line}");
    }
    tells_the_story(&of_it);
}

/// A server whose log goes to a terminal, and the lines on it.
fn on_a_terminal(world: &World) -> (tokio::process::Child, Arc<Mutex<Vec<String>>>) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let theirs = OpenOptions::new().read(true).write(true).open(name).unwrap();
    let mut command = Process::command(world.config.path(), &world.database.url, &[], Some(ALL));
    let child = command.env("NO_COLOR", "1").stderr(Stdio::from(theirs)).spawn().unwrap();
    // A terminal handle in this process would keep the reader waiting after the server's end.
    drop(command);
    let lines = Arc::<Mutex<Vec<String>>>::default();
    let kept = Arc::clone(&lines);
    std::thread::spawn(move || {
        for line in BufReader::new(File::from(ours)).lines().map_while(Result::ok) {
            kept.lock().unwrap().push(line);
        }
    });
    (child, lines)
}
