//! The boundary to the database: fences, guards, isolation of a bad row, migrations, the
//! append-only log.

use crate::support::Database;
use crate::support::called;
use chrono::{DateTime, TimeDelta, Utc};
use parkbrake::actors::batch::CommitError;
use parkbrake::actors::checkpointer::{Checkpointer, Msg};
use parkbrake::domain::policy::{ApprovalTerms, EscalationStep};
use parkbrake::domain::request::idempotency::IdempotencyKey;
use parkbrake::domain::risk::Assessment;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::task::metadata::Metadata;
use parkbrake::domain::task::{Action, ActionKind, Task};
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::transition::{self, Guard};
use parkbrake::domain::workflow::{Event, Recorded, Submission, Workflow};
use parkbrake::storage::{Advance, Claim, Error, Opening, Server, ServerLease, Storage, Written, migrate};
use ractor::Actor;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

#[track_caller]
fn storage() -> impl Future<Output = (Storage, Database)> {
    called(async move {
        let database = Database::migrated().await;
        (Storage::connect(&database.url, 4).unwrap(), database)
    })
}

fn opening(description: &str) -> Opening {
    let task = Task {
        task_id: None,
        description: description.to_owned(),
        operation: "deploy".to_owned(),
        environment: None,
        resource: None,
        resource_type: None,
        security_findings: Vec::new(),
        estimated_cost: None,
        evidence: None,
        action: Action::external(),
        metadata: Metadata::default(),
    };
    let submission = Submission {
        task_id: None,
        requested_by: "deploy-bot".to_owned(),
        on_behalf_of: None,
        digest: task.digest(),
        assessment: Assessment { level: Level::High, reasons: Vec::new(), policy_version: Digest::of(b"") },
        action: ActionKind::External,
        idempotent: false,
        report_within: None,
        retry: None,
        probe: false,
        target: None,
        supersedes: None,
        steps: Vec::new(),
        claim: None,
        gate: Default::default(),
    };
    let terms = ApprovalTerms {
        approvers: vec!["team_lead".to_owned()],
        required: 1,
        distinct_roles: false,
        require_justification: false,
        require_digest: false,
        separation_of_duties: true,
        escalation: vec![EscalationStep { after: Duration::from_secs(90), to: vec!["cto".to_owned()] }],
        expire_after: Some(Duration::from_secs(3600)),
    };
    let id = Uuid::now_v7();
    let events = transition::open(submission, Some(terms), Uuid::new_v4());
    let workflow = fold(id, None, &events, DateTime::UNIX_EPOCH);
    Opening {
        workflow,
        events,
        via: Via::Rest,
        document: task.canonical(),
        is_claimed: true,
        key: None,
        begins: None,
        granted: None,
        notices: Vec::new(),
    }
}

fn fold(id: Uuid, workflow: Option<Workflow>, events: &[Event], at: DateTime<Utc>) -> Workflow {
    let first = workflow.as_ref().map_or(1, |workflow| workflow.version + 1);
    let log: Vec<Recorded> = (first..)
        .zip(events)
        .map(|(version, event)| Recorded { version, at, actor: "x".to_owned(), via: Via::Rest, event: event.clone() })
        .collect();
    log.iter().fold(workflow, |workflow, recorded| Some(transition::apply(id, workflow, recorded).unwrap())).unwrap()
}

#[track_caller]
fn opened(storage: &Storage) -> impl Future<Output = Workflow> {
    called(async move {
        let opening = opening("one");
        let [Written::Committed { at }] = storage.open(std::slice::from_ref(&opening)).await.unwrap()[..] else { panic!("not committed") };
        fold(opening.workflow.id, None, &opening.events, at)
    })
}

fn escalation(workflow: &Workflow, guard: Guard) -> Advance {
    let events = vec![Event::Escalated { round: 1, level: 1, to: vec!["cto".to_owned()] }];
    let next = fold(workflow.id, Some(workflow.clone()), &events, workflow.updated_at);
    Advance {
        expected: workflow.version,
        workflow: next,
        actor: "parkbrake".to_owned(),
        via: Via::System,
        events,
        document: None,
        guard,
        now: workflow.updated_at,
        begins: None,
        notices: Vec::new(),
    }
}

#[tokio::test]
async fn stored_workflows_are_read_back_as_written() {
    let (storage, _) = storage().await;
    let opening = opening("deploy\u{202e} é 🚀 \u{1}");
    assert!(matches!(storage.open(std::slice::from_ref(&opening)).await.unwrap()[..], [Written::Committed { .. }]));
    let log = storage.log(opening.workflow.id).await.unwrap();
    assert_eq!(log.iter().map(|recorded| &recorded.event).collect::<Vec<_>>(), opening.events.iter().collect::<Vec<_>>());
    assert_eq!(storage.document(opening.workflow.id, 1).await.unwrap().unwrap(), opening.document);
    let due = storage.due(10).await.unwrap();
    assert_eq!(due.next, Some(log[0].at + TimeDelta::seconds(90)), "the deadline is counted by the database");
}

#[tokio::test]
async fn the_next_event_is_written_once() {
    let (storage, _) = storage().await;
    let workflow = opened(&storage).await;
    let advance = escalation(&workflow, Guard::default());
    let writers = (0..16).map(|_| {
        let (storage, advance) = (storage.clone(), advance.clone());
        tokio::spawn(async move { storage.advance(std::slice::from_ref(&advance)).await.unwrap()[0] })
    });
    let answers = futures_util::future::join_all(writers).await.into_iter().map(Result::unwrap);
    let (won, lost): (Vec<_>, Vec<_>) = answers.partition(|answer| matches!(answer, Written::Committed { .. }));
    assert_eq!((won.len(), lost.len()), (1, 15));
    assert!(lost.iter().all(|answer| matches!(answer, Written::Conflict | Written::Busy)), "{lost:?}");
    assert_eq!(storage.log(workflow.id).await.unwrap().len(), 3);
}

#[tokio::test]
async fn the_database_clock_decides_what_is_too_early_or_too_late() {
    let (storage, database) = storage().await;
    let workflow = opened(&storage).await;
    let now = storage.now().await.unwrap();
    let (past, future) = (now - TimeDelta::milliseconds(1), now + TimeDelta::minutes(1));
    let guard = |not_before, not_after| Guard { not_before, not_after, lapsed: None };
    for (guard, expected) in [
        (guard(Some(future), None), Written::TooEarly),
        (guard(None, Some(past)), Written::TooLate),
        (guard(Some(past), Some(past)), Written::TooLate),
    ] {
        assert_eq!(storage.advance(&[escalation(&workflow, guard)]).await.unwrap(), [expected]);
    }
    assert_eq!(database.count("select count(*) from workflow_event").await, 2);
    let within = storage.advance(&[escalation(&workflow, guard(Some(past), Some(future)))]).await.unwrap();
    assert!(matches!(within[..], [Written::Committed { .. }]));
}

#[tokio::test]
async fn a_locked_row_is_busy_and_the_rest_of_its_batch_is_written() {
    let (storage, database) = storage().await;
    let (held, free) = (opened(&storage).await, opened(&storage).await);
    let missing = Workflow { id: Uuid::now_v7(), ..free.clone() };
    let hold = database.hold_text(format!("select from workflow where workflow_id = '{}' for update", held.id)).await;
    let batch = [&held, &free, &missing].map(|workflow| escalation(workflow, Guard::default()));
    let answers = storage.advance(&batch).await.unwrap();
    assert!(matches!(answers[..], [Written::Busy, Written::Committed { .. }, Written::Conflict]), "{answers:?}");
    hold.release().await;
    assert!(matches!(storage.advance(&batch[..1]).await.unwrap()[..], [Written::Committed { .. }]));
}

#[tokio::test]
async fn a_guard_is_checked_after_the_lock_was_waited_for() {
    let (storage, database) = storage().await;
    let workflow = opened(&storage).await;
    let deadline = storage.now().await.unwrap() + TimeDelta::milliseconds(300);
    let hold = database.hold("select from workflow for update").await;
    let advance = escalation(&workflow, Guard { not_after: Some(deadline), ..Guard::default() });
    let (versions, feed, wakeup, metrics) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
    let checkpointer = Checkpointer { storage: storage.clone(), versions, feed, wakeup, metrics };
    let (checkpointer, task) = Actor::spawn(None, checkpointer, ()).await.unwrap();
    let waiting = tokio::spawn({
        let checkpointer = checkpointer.clone();
        async move { checkpointer.call(|reply| Msg::Advance(Box::new(advance), reply), None).await.unwrap().unwrap() }
    });
    while storage.now().await.unwrap() <= deadline {}
    hold.release().await;
    let (_, answer) = waiting.await.unwrap().unwrap();
    assert_eq!(answer, Written::TooLate, "it was in time when it began to wait, and no longer when it could be written");
    checkpointer.stop(None);
    task.await.unwrap();
}

/// PostgreSQL cannot store a NUL; the API refuses it long before, so this represents any unforeseen
/// error.
fn batch_with_a_bad_row() -> Vec<Opening> {
    let mut batch: Vec<Opening> = (0..8).map(|number| opening(&format!("task {number}"))).collect();
    Arc::make_mut(&mut batch[3].workflow.submission).task_id = Some("a\0b".to_owned());
    batch
}

#[tokio::test]
async fn a_batch_is_written_whole_or_not_at_all() {
    let (storage, database) = storage().await;
    assert!(matches!(storage.open(&batch_with_a_bad_row()).await, Err(Error::Refused(_))));
    assert_eq!(database.count("select count(*) from workflow").await, 0);
}

#[tokio::test]
async fn a_bad_row_does_no_harm_to_those_that_share_its_batch() {
    let (storage, database) = storage().await;
    let (versions, feed, wakeup, metrics) = (Arc::default(), Arc::default(), Arc::default(), Arc::default());
    let checkpointer = Checkpointer { storage, versions, feed, wakeup, metrics };
    let (checkpointer, task) = Actor::spawn(None, checkpointer, ()).await.unwrap();
    let commits = batch_with_a_bad_row().into_iter().map(|opening| {
        let checkpointer = checkpointer.clone();
        async move { checkpointer.call(|reply| Msg::Open(Box::new(opening), reply), None).await.unwrap().unwrap() }
    });
    let answers = futures_util::future::join_all(commits).await;
    for (index, answer) in answers.iter().enumerate() {
        match answer {
            Ok((_, Written::Committed { .. })) => assert_ne!(index, 3),
            Err(CommitError::Refused(_)) => assert_eq!(index, 3),
            other => panic!("{index}: {other:?}"),
        }
    }
    assert_eq!(database.count("select count(*) from workflow").await, 7);
    checkpointer.stop(None);
    task.await.unwrap();
}

#[tokio::test]
async fn a_key_is_used_once_even_within_a_batch() {
    let (storage, database) = storage().await;
    let key = |text: &str| Some(IdempotencyKey { key: text.to_owned(), fingerprint: Digest::of(text.as_bytes()) });
    let mut batch: Vec<Opening> = (0..4).map(|_| opening("keyed")).collect();
    for (opening, text) in batch.iter_mut().zip(["a", "b", "a", "c"]) {
        opening.key = key(text);
    }
    let answers = storage.open(&batch).await.unwrap();
    let committed = |answer: &Written| matches!(answer, Written::Committed { .. });
    assert!(committed(&answers[0]) && committed(&answers[1]) && committed(&answers[3]));
    assert_eq!(answers[2], Written::Duplicate);
    assert_eq!(database.count("select count(*) from workflow").await, 3);
    assert_eq!(storage.open(&batch[..1]).await.unwrap(), [Written::Duplicate], "sending it again writes nothing");
    assert_eq!(storage.first_use("deploy-bot", "a").await.unwrap().unwrap().workflow_id, batch[0].workflow.id);
}

#[tokio::test]
async fn the_log_and_the_documents_cannot_be_changed() {
    let (storage, database) = storage().await;
    opened(&storage).await;
    for statement in [
        "update workflow_event set actor = 'mallory'",
        "delete from workflow_event",
        "truncate workflow_event",
        "update payload set document = ''",
        "delete from payload",
        "truncate document",
    ] {
        let refused = sqlx::raw_sql(statement).execute(&mut database.connect().await).await;
        assert!(refused.unwrap_err().to_string().contains("append-only"), "{statement}");
    }
}

/// A server that holds a lease.
#[track_caller]
fn acting(database: &Database) -> impl Future<Output = (ServerLease, Server)> {
    called(async move {
        let mut lease = ServerLease::new(&database.url, Duration::from_secs(600)).unwrap();
        let server = Server { server_id: Uuid::new_v4(), address: "here".to_owned(), host: "here".to_owned(), version: "0", process: None };
        assert!(matches!(lease.claim(&server, None).await.unwrap(), Claim::Granted));
        (lease, server)
    })
}

#[tokio::test]
async fn an_action_starts_only_under_the_lease_of_the_server_that_runs_it() {
    let (storage, database) = storage().await;
    let (mut lease, server) = acting(&database).await;
    let mut opening = opening("one");
    let Event::Submitted(submission) = opening.events.remove(0) else { panic!("no submission") };
    opening.events = transition::open(
        Submission { action: ActionKind::Runbook, ..Submission::clone(&submission) },
        None::<ApprovalTerms>,
        server.server_id,
    );
    opening.workflow = fold(opening.workflow.id, None, &opening.events, DateTime::UNIX_EPOCH);
    let [Written::Committed { at }] = storage.open(std::slice::from_ref(&opening)).await.unwrap()[..] else { panic!("not committed") };
    let queued = fold(opening.workflow.id, None, &opening.events, at);
    let start = |owner| {
        let events = vec![Event::ExecutionStarted { step: 1, attempt: 1, owner, token: Some(Uuid::new_v4()) }];
        let next = fold(queued.id, Some(queued.clone()), &events, at);
        let (expected, actor) = (queued.version, "parkbrake".to_owned());
        Advance {
            expected,
            workflow: next,
            actor,
            via: Via::Rest,
            events,
            document: None,
            guard: Guard::default(),
            now: at,
            begins: None,
            notices: Vec::new(),
        }
    };
    let starts = async |owner| storage.advance(&[start(owner)]).await.unwrap()[0];
    assert_eq!(starts(Uuid::new_v4()).await, Written::NoLease, "a server that nobody knows");
    database.execute("update server set lease_until = clock_timestamp() - interval '1 ms'").await;
    assert_eq!(starts(server.server_id).await, Written::NoLease, "its lease has lapsed");
    assert!(lease.renew(server.server_id).await.unwrap());
    lease.release(server.server_id).await.unwrap();
    assert_eq!(starts(server.server_id).await, Written::NoLease, "it has given its lease back");
    lease.claim(&server, None).await.unwrap();
    assert!(matches!(starts(server.server_id).await, Written::Committed { .. }));
    assert_eq!(starts(server.server_id).await, Written::Conflict);
}

#[tokio::test]
async fn an_attempt_is_taken_up_only_once_the_lease_of_its_server_has_lapsed() {
    let (storage, database) = storage().await;
    let (mut lease, server) = acting(&database).await;
    let workflow = opened(&storage).await;
    let taken_up = async |owner| {
        let guard = Guard { lapsed: Some(owner), ..Guard::default() };
        storage.advance(&[escalation(&workflow, guard)]).await.unwrap()[0]
    };
    assert_eq!(taken_up(server.server_id).await, Written::OwnerActs);
    lease.release(server.server_id).await.unwrap();
    assert!(matches!(taken_up(server.server_id).await, Written::Committed { .. }));
    assert_eq!(taken_up(Uuid::new_v4()).await, Written::Conflict, "of a server that nobody knows no lease holds");
}

#[tokio::test]
async fn a_database_that_cannot_hold_every_text_is_refused_in_words() {
    let database = Database::create().await;
    for encoding in ["LATIN1", "EUC_JP", "SQL_ASCII"] {
        let name = format!("encoded_{}_{}", encoding.to_lowercase(), std::process::id());
        database.execute(&format!("create database {name} encoding '{encoding}' template template0 locale 'C'")).await;
        let (before, after) = database.url.split_once('?').unwrap();
        let url = format!("{}/{name}?{after}", before.rsplit_once('/').unwrap().0);
        let refused = migrate(&url).await.unwrap_err().to_string();
        assert!(refused.contains(encoding) && refused.contains("createdb --encoding=UTF8"), "{refused}");
        let other = Database::at(url);
        assert_eq!(other.count("select count(*) from pg_tables where schemaname = 'public'").await, 0, "nothing was done to it");
        let (status, log) = crate::support::Process::refused(&crate::support::Config::new(), &other, &["--no-migrate"]).await;
        assert_eq!(status, Some(1));
        assert!(log.last().is_some_and(|line| line.contains(encoding)), "{log:?}");
    }
}

#[tokio::test]
async fn servers_that_start_together_migrate_once_and_an_older_one_finds_a_newer_database_in_order() {
    let database = Database::create().await;
    for migrated in futures_util::future::join_all((0..6).map(|_| migrate(&database.url))).await {
        migrated.unwrap();
    }
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/migrations")).unwrap().count();
    assert_eq!(database.count("select count(*) from _sqlx_migrations where success").await, i64::try_from(files).unwrap());
    database.execute("insert into _sqlx_migrations values (9999, 'from the future', now(), true, '', 0)").await;
    migrate(&database.url).await.unwrap();
    // Other tests migrate their own databases on the same server.
    let locks = "select count(*) from pg_locks join pg_database d on d.oid = database
                 where locktype = 'advisory' and datname = current_database()";
    assert_eq!(database.count(locks).await, 0, "no lock is left behind");
}
