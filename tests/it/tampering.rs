//! Somebody who can write to the database, but does not have the server's secret key: nothing runs,
//! the workflow is quarantined, and an alarm is raised.

use crate::support::called;
use crate::support::client::high;
use crate::support::{Config, Database, Ledger, TestApp, eventually, keys};
use parkbrake::app::StartError;
use parkbrake::domain::workflow::Recorded;
use parkbrake::secret_key::{SecretKeys, generate};
use parkbrake::storage::{Error, Sealing, Storage};
use serde_json::{Value, json};
use uuid::Uuid;

fn deployment() -> Value {
    let mut task = high();
    task["action"] = json!({"type": "runbook", "name": "once"});
    task
}

/// As a superuser: without the triggers that protect the log.
pub async fn as_superuser(app: &TestApp, statements: &str) {
    let statements = format!(
        "alter table workflow_event disable trigger user; alter table document disable trigger user; {statements};
             alter table workflow_event enable trigger user; alter table document enable trigger user"
    );
    app.database.execute(&statements).await;
}

/// It is quarantined, everybody sees that, the alarm was raised, and nothing has run.
#[track_caller]
fn quarantined(app: &TestApp, ledger: &Ledger, id: &str, case: &str) -> impl Future<Output = ()> {
    called(async move {
        let cora = app.client("cora");
        // A decision loads it if it was not in memory. However often this is tried, it never
        // succeeds.
        for _ in 0..3 {
            assert_ne!(app.client("alice").approve(id).await.status, 200, "{case}");
        }
        let reason = eventually("its quarantine", || async {
            let listed = cora.get("/workflows").await.expect(200);
            let found = listed["workflows"].as_array().unwrap().iter().find(|one| one["workflow_id"] == id)?["quarantine"].clone();
            found.as_str().map(str::to_owned).or_else(|| found["reason"].as_str().map(str::to_owned))
        })
        .await;
        assert!(reason.contains("was not written by this server"), "{case}: {reason}");
        let metrics = cora.get("/metrics").await.text;
        let alarm = metrics.lines().find(|line| line.starts_with("parkbrake_integrity_failures_total")).unwrap_or_default();
        assert!(!alarm.ends_with(" 0") && !alarm.is_empty(), "{case}: {alarm}");
        assert_eq!(ledger.entries(), [], "{case}");
    })
}

/// A complete workflow that was never submitted, with its own command: released, or already
/// started.
async fn insert_workflow(app: &TestApp, pattern: &str, tail: &str, status: &str) -> String {
    let id = Uuid::now_v7().to_string();
    app.database
        .execute(&format!(
            "with forged as (insert into document (workflow_id, round, content)
                             select '{id}', 1, convert_to(replace(convert_from(document, 'UTF8'), 'run.sh', 'evil.sh'), 'UTF8')
                             from payload where workflow_id = '{pattern}'
                             returning content as document)
             insert into workflow_event (workflow_id, version, kind, actor, at, data, via)
             select '{id}', 1, 'submitted', 'deploy-bot', clock_timestamp(),
                    regexp_replace(e.data, 'sha256:[0-9a-f]{{64}}', 'sha256:' || encode(sha256(f.document), 'hex')), 'rest'
             from workflow_event e, forged f where e.workflow_id = '{pattern}' and e.version = 1;
             {};
             insert into workflow (workflow_id, version, status, risk_level, action, queued, running, requested_by, digest, created_at, updated_at)
             select '{id}', (select count(*) from workflow_event where workflow_id = '{id}'), '{status}', 'low', 'runbook', '{status}' = 'queued',
                    '{status}' = 'executing', 'deploy-bot', digest, clock_timestamp(), clock_timestamp()
             from workflow where workflow_id = '{pattern}'",
            tail.replace("{id}", &id)
        ))
        .await;
    id
}

const RELEASED: &str = r#"insert into workflow_event (workflow_id, version, kind, actor, at, data, via)
    values ('{id}', 2, 'released', 'parkbrake', clock_timestamp(), '{"event":"released","step":1,"attempt":1}', 'system')"#;
const STARTED: &str = r#"insert into workflow_event (workflow_id, version, kind, actor, at, data, via)
    values ('{id}', 2, 'execution_started', 'parkbrake', clock_timestamp(),
            '{"event":"execution_started","step":1,"attempt":1,"owner":"00000000-0000-0000-0000-000000000001"}', 'system')"#;
/// As if cora had approved it, and it had been released.
const APPROVED: &str = r#"insert into workflow_event (workflow_id, version, kind, actor, at, data, via)
    select '{id}', 3, 'approved', 'cora', clock_timestamp(),
           json_build_object('event', 'approved', 'round', 1, 'approver', 'cora', 'roles', json_build_array('cto'), 'digest', digest, 'remaining', 0)::text,
           'rest' from workflow where workflow_id = '{id}';
    insert into workflow_event (workflow_id, version, kind, actor, at, data, via)
    values ('{id}', 4, 'released', 'parkbrake', clock_timestamp(), '{"event":"released","step":1,"attempt":1}', 'system');
    update workflow set version = 4, status = 'queued', queued = true, approval_status = 'approved', approvals = 1, resolved_at = clock_timestamp()
    where workflow_id = '{id}'"#;

async fn parked(ledger: &Ledger) -> (TestApp, String) {
    let app = TestApp::with(ledger.runbooks(Config::new())).await;
    let id = app.client("deploy-bot").submit_id(deployment()).await;
    (app, id)
}

#[tokio::test]
async fn a_workflow_that_somebody_inserted_never_runs() {
    let ledger = Ledger::new();
    let (app, pattern) = parked(&ledger).await;
    for (tail, status) in [(RELEASED, "queued"), (STARTED, "executing")] {
        let id = insert_workflow(&app, &pattern, tail, status).await;
        quarantined(&app, &ledger, &id, status).await;
    }
    app.client("alice").approve(&pattern).await.expect(200);
    app.client("alice").wait_for(&pattern, "completed").await;
    assert_eq!(ledger.starts(&pattern), 1, "what nobody has touched runs");
}

#[tokio::test]
async fn an_approval_that_somebody_inserted_releases_nothing() {
    for restart in [false, true] {
        let ledger = Ledger::new();
        let (mut app, id) = parked(&ledger).await;
        if restart {
            app.stop().await;
        }
        app.database.execute(&APPROVED.replace("{id}", &id)).await;
        if restart {
            app.restart().await;
        }
        quarantined(&app, &ledger, &id, &format!("restarted: {restart}")).await;
    }
}

#[tokio::test]
async fn a_tampered_log_is_not_acted_upon() {
    let evil = "update document set content = convert_to(replace(convert_from(content, 'UTF8'), 'run.sh', 'bad.sh'), 'UTF8');
         update workflow_event set data = regexp_replace(data, 'sha256:[0-9a-f]{64}', 'sha256:' || (select encode(sha256(content), 'hex') from document)) where version = 1;
         update workflow set digest = (select 'sha256:' || encode(sha256(content), 'hex') from document)";
    // Terms are referenced by their digest, so the attacker stores others, which is possible, and
    // references them instead.
    let weaker_terms = "insert into approval_terms (terms_id, content)
         select substr(sha256(convert_to(weak, 'UTF8')), 1, 16), weak from (select replace(content, '\"required\":1', '\"required\":0') as weak from approval_terms) one;
         update workflow_event set data = regexp_replace(data, '\"terms\":\"[0-9a-f]{32}', '\"terms\":\"' || (select encode(terms_id, 'hex') from approval_terms where content like '%\"required\":0%'))
         where version = 2";
    for (case, change) in [
        ("document and digest", evil),
        ("requester", "update workflow_event set data = replace(data, 'deploy-bot', 'lone-bot') where version = 1"),
        ("terms", weaker_terms),
        ("door", "update workflow_event set via = 'slack' where version = 2"),
        ("actor", "update workflow_event set actor = 'tina' where version = 2"),
        ("row's version", "update workflow set version = 1"),
    ] {
        let ledger = Ledger::new();
        let (mut app, id) = parked(&ledger).await;
        as_superuser(&app, change).await;
        app.restart().await;
        quarantined(&app, &ledger, &id, case).await;
    }
}

#[tokio::test]
async fn the_name_of_an_approver_cannot_be_changed() {
    let ledger = Ledger::new();
    let mut app = TestApp::with(ledger.runbooks(Config::new().with_policies("policies: { high: { required: 2 } }"))).await;
    let id = app.client("deploy-bot").submit_id(deployment()).await;
    app.client("alice").approve(&id).await.expect(200);
    as_superuser(&app, "update workflow_event set data = replace(data, 'alice', 'tess'), actor = 'tess' where version = 3").await;
    app.restart().await;
    quarantined(&app, &ledger, &id, "alice became tess, and could approve again").await;
}

#[tokio::test]
async fn a_log_whose_end_was_removed_does_not_run_a_second_time() {
    let ledger = Ledger::new();
    let (mut app, id) = parked(&ledger).await;
    app.client("alice").approve(&id).await.expect(200);
    app.client("alice").wait_for(&id, "completed").await;
    assert_eq!(ledger.starts(&id), 1);
    for put_back in ["", ", seal = (select seal from workflow_event e where e.workflow_id = workflow.workflow_id and e.version = 2)"] {
        app.stop().await;
        as_superuser(
            &app,
            &format!(
                "delete from workflow_event where version > 2;
                 update workflow set version = 2, status = 'pending_approval', approval_status = 'pending', resolved_at = null, approvals = 0{put_back}"
            ),
        )
        .await;
        app.restart().await;
        assert_ne!(app.client("alice").approve(&id).await.status, 200);
        eventually("its quarantine", || async {
            (app.database.count("select count(*) from quarantine where reason like '%some were removed%'").await == 1).then_some(())
        })
        .await;
        assert_eq!(ledger.starts(&id), 1);
    }
}

#[tokio::test]
async fn nobody_changes_a_seal_or_the_log_under_its_cover() {
    let ledger = Ledger::new();
    let (app, _) = parked(&ledger).await;
    let refused = |statement: &'static str| {
        let app = &app;
        async move {
            let outcome = sqlx::raw_sql(statement).execute(&mut app.database.connect().await).await;
            assert!(outcome.is_err_and(|error| error.to_string().contains("append-only")), "{statement}");
        }
    };
    refused("update workflow_event set seal = null").await;
    refused("update workflow_event set data = '{}'").await;
    refused("begin; insert into resealed (workflows, first_workflow, last_workflow) select 1, workflow_id, workflow_id from workflow; update workflow_event set data = '{}'").await;
    refused("insert into resealed (workflows, first_workflow, last_workflow) select 1, workflow_id, workflow_id from workflow; delete from resealed").await;
}

#[track_caller]
pub fn rekey(database: &Database, keys: SecretKeys) -> impl Future<Output = (usize, usize, usize, usize)> {
    called(async move {
        let storage = Storage::connect(&database.url, 1).unwrap().with_keys(keys);
        let adopt = storage.sealing().await.unwrap() == Sealing::Incomplete;
        let (mut after, mut found) = (Uuid::nil(), (0, 0, 0, 0));
        while let Some(step) = storage.reseal_step(after, 1, true, adopt).await.unwrap() {
            after = step.visited;
            found = (found.0 + step.current, found.1 + step.earlier, found.2 + step.unsealed, found.3 + step.foreign.len());
        }
        storage.sealed().await.unwrap();
        storage.close().await;
        found
    })
}

#[tokio::test]
async fn a_key_is_replaced_and_what_the_new_one_sealed_runs() {
    let ledger = Ledger::new();
    let (mut app, id) = parked(&ledger).await;
    let other = app.client("deploy-bot").submit_id(deployment()).await;
    app.stop().await;
    as_superuser(&app, &format!("update workflow_event set actor = 'tina' where version = 2 and workflow_id = '{other}'")).await;
    let (old, new) = (crate::support::SECRET_KEY, generate().unwrap());
    let both = SecretKeys::parse(&format!("{new} {old}"), "a test").unwrap();
    assert_eq!(rekey(&app.database, both.clone()).await, (0, 1, 0, 1), "what was tampered with is not sealed");
    assert_eq!(rekey(&app.database, both).await, (1, 0, 0, 1), "and again, after it was broken off, it has nothing to do");
    let with_old = Storage::connect(&app.database.url, 1).unwrap().with_keys(keys());
    assert_eq!(with_old.sealing().await.unwrap(), Sealing::OtherKey);
    assert!(proven(&with_old, &id).await.is_err());
    with_old.close().await;
    let with_new = Storage::connect(&app.database.url, 1).unwrap().with_keys(SecretKeys::parse(&new, "a test").unwrap());
    assert_eq!(with_new.sealing().await.unwrap(), Sealing::Sound);
    assert_eq!(proven(&with_new, &id).await.unwrap().len(), 2);
    assert!(proven(&with_new, &other).await.is_err());
    with_new.close().await;
    // And back again, so that this server can start.
    assert_eq!(rekey(&app.database, SecretKeys::parse(&format!("{old} {new}"), "a test").unwrap()).await, (0, 1, 0, 1));
    app.restart().await;
    app.client("alice").approve(&id).await.expect(200);
    app.client("alice").wait_for(&id, "completed").await;
}

#[tokio::test]
async fn a_database_from_before_there_were_seals_is_served_once_it_is_sealed() {
    let ledger = Ledger::new();
    let (mut app, id) = parked(&ledger).await;
    app.stop().await;
    as_superuser(
        &app,
        "update workflow_event set seal = null; update workflow set seal = null; update sealing set complete = false, key_check = null",
    )
    .await;
    let refused = app.try_restart().await;
    assert!(matches!(refused, Err(StartError::Sealing(Sealing::Incomplete))), "{:?}", refused.err());
    assert_eq!(rekey(&app.database, keys()).await, (0, 0, 1, 0));
    app.restart().await;
    app.client("alice").approve(&id).await.expect(200);
    app.client("alice").wait_for(&id, "completed").await;
    assert_eq!(ledger.starts(&id), 1);
    // From then on nothing without a seal is accepted.
    app.stop().await;
    as_superuser(&app, "update workflow_event set seal = null; update workflow set seal = null").await;
    assert_eq!(rekey(&app.database, keys()).await, (0, 0, 1, 0));
    assert_eq!(app.database.count("select count(*) from workflow where seal is null").await, 1);
}

#[track_caller]
fn proven(storage: &Storage, id: &str) -> impl Future<Output = Result<Vec<Recorded>, Error>> {
    called(async move {
        let id = id.parse().unwrap();
        storage.proven_logs(&[id]).await?.remove(&id).unwrap()
    })
}
