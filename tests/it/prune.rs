//! Retention: workflows that ended long ago are removed completely and on record, and nothing else
//! ever is.

use crate::support::client::high;
use crate::support::server::hand_out_tokens;
use crate::support::{Client, Config, Database, TestApp, called, eventually};
use parkbrake::domain::workflow::Status;
use reqwest::Method;
use serde_json::{Value, json};
use sqlx::{Connection as _, PgConnection};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::process::Command;

fn command(database: &Database, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
    command.arg("prune").args(arguments).env("DATABASE_URL", &database.url).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn prune(database: &Database, arguments: &[&str]) -> Output {
    command(database, arguments).output().await.expect("the program")
}

/// The summary of a successful run.
#[track_caller]
fn summary(database: &Database, arguments: &[&str]) -> impl Future<Output = Value> {
    called(async move {
        let done = prune(database, &[arguments, &["--json"]].concat()).await;
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        serde_json::from_slice(&done.stdout).expect("one line of JSON")
    })
}

/// Makes workflows this many days older, with everything that belongs to them; their ids contain
/// the time, so they change too.
async fn age(database: &Database, days: u32, which: &str) {
    let shift = format!("interval '{days} days'");
    database
        .execute(&format!(
            "create temp table aged as
                 select workflow_id as was, (lpad(to_hex((extract(epoch from created_at - {shift}) * 1000)::bigint), 12, '0')
                                             || substr(replace(workflow_id::text, '-', ''), 13))::uuid as becomes
                 from workflow where {which};
             alter table workflow_event disable trigger user;
             update workflow_event set workflow_id = becomes, at = at - {shift} from aged where workflow_id = was;
             alter table workflow_event enable trigger user;
             alter table document disable trigger user;
             update document set workflow_id = becomes from aged where workflow_id = was;
             alter table document enable trigger user;
             update notice set workflow_id = becomes from aged where workflow_id = was;
             update idempotency_key set workflow_id = becomes from aged where workflow_id = was;
             update quarantine set workflow_id = becomes from aged where workflow_id = was;
             update workflow set workflow_id = becomes, created_at = created_at - {shift}, updated_at = updated_at - {shift}
             from aged where workflow_id = was;
             drop table aged"
        ))
        .await;
}

/// The id of the only workflow with this task's name.
async fn id_of(database: &Database, task_id: &str) -> String {
    let query = "select workflow_id::text from workflow where task_id = $1";
    sqlx::query_scalar(query).bind(task_id).fetch_one(&mut database.connect().await).await.expect("one workflow")
}

/// Everything stored about workflows, for comparison.
async fn everything(database: &Database) -> Vec<String> {
    let query = "select 'workflow ' || w::text from workflow w union all select 'event ' || e::text from workflow_event e
                 union all select 'notice ' || n::text from notice n union all select 'key ' || k::text from idempotency_key k
                 union all select 'document ' || d::text from document d
                 union all select 'quarantine ' || q::text from quarantine q union all select 'pruned ' || p::text from pruned p order by 1";
    sqlx::query_scalar(query).fetch_all(&mut database.connect().await).await.expect("rows")
}

/// The names of the tasks that still exist.
async fn names(database: &Database) -> Vec<String> {
    let query = "select task_id from workflow order by 1";
    sqlx::query_scalar(query).fetch_all(&mut database.connect().await).await.expect("names")
}

async fn submit(client: &Client, name: &str) -> String {
    let mut task = high();
    task["task_id"] = json!(name);
    let request = client.request(Method::POST, "/orchestrate").header("idempotency-key", name).json(&task);
    client.send(request).await.expect(202)["workflow_id"].as_str().expect("an id").to_owned()
}

/// A workflow that has run.
async fn complete(bot: &Client, alice: &Client, name: &str, outcome: &str) {
    let id = submit(bot, name).await;
    alice.approve(&id).await.expect(200);
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": outcome, "error": "no space"})).await.expect(200);
}

/// One workflow of each status, named after it, with a delivered notice and a quarantine entry.
#[track_caller]
fn one_of_each(app: &TestApp) -> impl Future<Output = ()> {
    called(async move {
        let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
        bot.submit(high()).await;
        app.database.execute("update workflow set task_id = 'pending_approval'").await;
        for (name, status) in [("executing", "executing"), ("outcome_unknown", "executing"), ("expired", "executing")] {
            let id = submit(&bot, name).await;
            alice.approve(&id).await.expect(200);
            assert_eq!(bot.workflow(&id).await["status"], status);
        }
        // States that would take an outage or time are written by hand.
        app.database.execute("update workflow set status = task_id where task_id in ('outcome_unknown', 'expired')").await;
        complete(&bot, &alice, "completed", "succeeded").await;
        complete(&bot, &alice, "failed", "failed").await;
        let id = submit(&bot, "rejected").await;
        alice.reject(&id).await.expect(200);
        let id = submit(&bot, "cancelled").await;
        bot.post(&format!("/workflows/{id}/cancel"), json!({"reason": "not needed"})).await.expect(200);
        app.database
        .execute(
            "insert into notice (notice_id, workflow_id, version, kind, risk_level, channel, status, created_at, first_due_at, due_at, delivered_at)
                 select gen_random_uuid(), workflow_id, 1, 'approval.decided', risk_level, 'ops', 'delivered', now(), now(), now(), now()
                 from workflow;
             insert into quarantine (workflow_id, reason, failures) select workflow_id, 'a test', 6 from workflow",
        )
        .await;
    })
}

#[tokio::test]
async fn prune_removes_only_old_final_workflows_completely() {
    let app = TestApp::start().await;
    let database = &app.database;
    one_of_each(&app).await;
    age(database, 100, "true").await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    complete(&bot, &alice, "recent", "succeeded").await;
    age(database, 80, "task_id = 'recent'").await;
    complete(&bot, &alice, "unsaid", "succeeded").await;
    let unsaid = "insert into notice (notice_id, workflow_id, version, kind, risk_level, channel, created_at, first_due_at, due_at)
                  select gen_random_uuid(), workflow_id, 1, 'approval.decided', risk_level, 'ops', now(), now(), now() + interval '1 hour'
                  from workflow where task_id = 'unsaid'";
    database.execute(unsaid).await;
    age(database, 100, "task_id = 'unsaid'").await;
    let old = id_of(database, "completed").await;
    assert_eq!(alice.workflow(&old).await["status"], "completed");

    let before = everything(database).await;
    let dry = summary(database, &["--older-than", "90d"]).await;
    assert_eq!(everything(database).await, before, "a dry run changes nothing");
    assert_eq!((&dry["dry_run"], &dry["workflows"]), (&json!(true), &json!(5)));
    assert_eq!(dry["by_status"], json!({"cancelled": 1, "completed": 1, "expired": 1, "failed": 1, "rejected": 1}));
    let said = prune(database, &["--older-than", "90d"]).await;
    let said = String::from_utf8(said.stdout).unwrap();
    for expected in ["5 workflows ended", "cancelled    1", "newest", "about", "--older-than 90d --yes"] {
        assert!(said.contains(expected), "{said}");
    }
    assert_eq!(everything(database).await, before);

    let done = summary(database, &["--older-than", "90d", "--yes"]).await;
    assert_eq!((&done["dry_run"], &done["workflows"]), (&json!(false), &json!(5)));
    assert_eq!(done["events"], dry["events"]);
    assert_eq!((&done["notices"], &done["idempotency_keys"]), (&json!(5), &json!(5)));
    assert_eq!(names(database).await, ["executing", "outcome_unknown", "pending_approval", "recent", "unsaid"]);
    for table in ["workflow_event", "document", "notice", "idempotency_key", "quarantine"] {
        let strays = format!("select count(*) from {table} where workflow_id not in (select workflow_id from workflow)");
        let strays: i64 = sqlx::query_scalar(sqlx::AssertSqlSafe(strays)).fetch_one(&mut database.connect().await).await.unwrap();
        assert_eq!(strays, 0, "{table}");
    }
    // What is kept is unchanged.
    let after = everything(database).await;
    let kept = before.iter().filter(|row| after.contains(row)).count();
    assert_eq!(after.len() - kept, 1, "the record alone is new");
    let record = "select count(*) from pruned where workflows = 5 and database_user = session_user and at > now() - interval '1 minute'";
    assert_eq!(database.count(record).await, 1);

    // For the running server it is as if it had never existed.
    alice.get(&format!("/workflows/{old}")).await.problem(404, "workflow-not-found");
    alice.approve(&old).await.problem(404, "workflow-not-found");
    let again = submit(&bot, "completed").await;
    assert_eq!(alice.workflow(&again).await["status"], "pending_approval", "a key that is gone is a new one");
    assert_eq!(summary(database, &["--older-than", "90d", "--yes"]).await["workflows"], 0);
}

#[tokio::test]
async fn triggers_refuse_manual_deletes_from_the_log() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    for name in ["old", "new"] {
        complete(&bot, &alice, name, "succeeded").await;
        age(&app.database, 100, "task_id = 'old' and updated_at > now() - interval '1 day'").await;
    }
    let before = everything(&app.database).await;
    let all = "(select min(workflow_id::text)::uuid from workflow), (select max(workflow_id::text)::uuid from workflow)";
    let record = |days: u32, events: u32| {
        format!(
            "insert into pruned (cut_off, workflows, events, first_workflow, last_workflow)
             select now() - interval '{days} days', 1, {events}, {all};"
        )
    };
    let (of_old, of_new) =
        ("where workflow_id in (select workflow_id from workflow where task_id = 'old')", "where at > now() - interval '1 day'");
    let whole: u32 = app.database.count("select count(*) from workflow_event").await.try_into().unwrap();
    let whole = whole / 2;
    for (statement, expected) in [
        (format!("delete from workflow_event {of_old}"), "append-only: `parkbrake prune`"),
        ("delete from workflow_event where false".to_owned(), "append-only"),
        (format!("{} delete from workflow_event {of_new}", record(90, whole)), "not what is on record"),
        (format!("{} delete from workflow_event", record(90, 2 * whole)), "not what is on record"),
        (format!("{} delete from workflow_event {of_old}", record(90, 1)), "not what is on record"),
        (format!("{} delete from workflow_event {of_old} and version = 1", record(90, 1)), "not what is on record"),
        (format!("{} delete from workflow_event {of_old}", record(120, whole)), "not what is on record"),
        (
            format!("delete from workflow where task_id = 'old'; {} delete from workflow_event {of_old}", record(90, whole)),
            "not what is on record",
        ),
        (
            format!(
                "update workflow set updated_at = now() - interval '100 days'; {} delete from workflow_event {of_new}",
                record(90, whole)
            ),
            "not what is on record",
        ),
        (format!("delete from document {of_old}"), "document is append-only: `parkbrake prune`"),
        (format!("{} delete from document {of_old}", record(90, whole)), "document is append-only: this is not what is on record"),
        (
            format!(
                "{} delete from workflow_event {of_old}; delete from document where workflow_id in (select workflow_id from workflow)",
                record(90, whole)
            ),
            "document is append-only: this is not what is on record",
        ),
        (record(0, whole), "within the last day"),
        (format!("{} update workflow_event set actor = 'mallory'", record(90, whole)), "append-only"),
        (format!("{} truncate workflow_event", record(90, whole)), "append-only"),
        ("update pruned set workflows = 0".to_owned(), "pruned is append-only"),
        ("delete from pruned".to_owned(), "pruned is append-only"),
        ("truncate pruned".to_owned(), "pruned is append-only"),
    ] {
        let refused = sqlx::raw_sql(sqlx::AssertSqlSafe(statement.clone())).execute(&mut app.database.connect().await).await;
        let refused = refused.map(|_| ()).unwrap_err().to_string();
        assert!(refused.contains(expected), "{statement}: {refused}");
    }
    assert_eq!(everything(&app.database).await, before);

    // A record cannot lie about the user and the time, and one of another transaction permits
    // nothing.
    let lie = "insert into pruned (at, database_user, transaction, cut_off, workflows, events, first_workflow, last_workflow)
               select now() + interval '1 hour', 'nobody', '7', now() - interval '2 days', 0, 0, gen_random_uuid(), gen_random_uuid()";
    app.database.execute(lie).await;
    let truth = "select count(*) from pruned where at <= now() and database_user = session_user and transaction <> '7'";
    assert_eq!(app.database.count(truth).await, 1);
    let refused = sqlx::raw_sql("delete from workflow_event").execute(&mut app.database.connect().await).await;
    assert!(refused.is_err());
}

/// This many workflows that ended 100 days ago, copied from one.
async fn long_ended(database: &Database, count: u32) {
    database
        .execute(&format!(
            "create temp table copy as
                 select (lpad(to_hex((extract(epoch from now() - interval '100 days') * 1000)::bigint + n), 12, '0')
                         || '7000' || '8' || substr(md5(n::text), 1, 15))::uuid as workflow_id, now() - interval '100 days' as at
                 from generate_series(1, {count}) as n;
             create temp table pattern as select * from workflow;
             insert into workflow (workflow_id, version, status, risk_level, action, running, requested_by, digest, created_at, updated_at)
                 select c.workflow_id, p.version, p.status, p.risk_level, p.action, p.running, p.requested_by, p.digest, c.at, c.at
                 from copy c, pattern p;
             insert into workflow_event (workflow_id, version, kind, actor, at, data)
                 select c.workflow_id, e.version, e.kind, e.actor, c.at, e.data
                 from copy c, workflow_event e where e.workflow_id = (select workflow_id from pattern);
             insert into document (workflow_id, round, content)
                 select c.workflow_id, d.round, d.content from copy c, document d where d.workflow_id = (select workflow_id from pattern);
             insert into notice (notice_id, workflow_id, version, kind, risk_level, channel, status, created_at, first_due_at, due_at, delivered_at)
                 select workflow_id, workflow_id, 1, 'approval.decided', 'high', 'ops', 'delivered', at, at, at, at from copy"
        ))
        .await;
}

/// Workflows that are partly removed.
const HALF: &str = "select count(*)
    from (select workflow_id, count(*) as events from workflow_event group by 1) as e full join workflow w using (workflow_id)
    where w.version is distinct from e.events";

#[tokio::test]
async fn a_run_that_is_killed_leaves_each_workflow_whole_or_gone_and_the_next_one_goes_on() {
    let mut app = TestApp::start().await;
    complete(&app.client("deploy-bot"), &app.client("alice"), "pattern", "succeeded").await;
    app.stop().await;
    let database = &app.database;
    long_ended(database, 2_000).await;
    // In the third step another session holds a row, when that step's events are already removed.
    let mut holder = PgConnection::connect(&database.url).await.unwrap();
    sqlx::raw_sql(
        "begin; select from notice where notice_id = (select notice_id from notice order by notice_id offset 1200 limit 1) for update",
    )
    .execute(&mut holder)
    .await
    .unwrap();
    let mut run = command(database, &["--older-than", "90d", "--yes"]).stdout(Stdio::null()).spawn().unwrap();
    let waiting = "select count(*) from pg_stat_activity
                   where datname = current_database() and application_name = 'parkbrake' and wait_event_type = 'Lock'";
    eventually("a step that waits", || async { (database.count(waiting).await == 1).then_some(()) }).await;
    run.kill().await.unwrap();
    assert_eq!(database.count(HALF).await, 0);
    assert_eq!(database.count("select count(*) from workflow").await, 1_001, "two steps are done, and nothing of the third");

    // Whether or not the database executes the third step without its client, the step is atomic.
    sqlx::raw_sql("rollback").execute(&mut holder).await.unwrap();
    let left = "select count(*) from pg_stat_activity where datname = current_database() and application_name = 'parkbrake'";
    eventually("the end of the step", || async { (database.count(left).await == 0).then_some(()) }).await;
    assert_eq!(database.count(HALF).await, 0);
    let there = database.count("select count(*) from workflow").await - 1;
    assert!([500, 1_000].contains(&there), "{there}");
    let done = summary(database, &["--older-than", "90d", "--yes"]).await;
    assert_eq!(done["workflows"], there);
    assert_eq!(database.count("select count(*) from workflow").await, 1);
    assert_eq!(database.count("select sum(workflows) from pruned").await, 2_000);
    assert_eq!(database.count("select count(*) from notice").await, 0);
}

#[tokio::test]
async fn concurrent_prunes_do_not_disturb_the_server() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    complete(&bot, &alice, "pattern", "succeeded").await;
    long_ended(&app.database, 4_000).await;
    let (over, watch) = tokio::sync::watch::channel(false);
    let work = (0..8).map(|caller| {
        let (bot, alice, watch) = (bot.clone(), alice.clone(), watch.clone());
        tokio::spawn(async move {
            let mut done = 0;
            while !*watch.borrow() {
                complete(&bot, &alice, &format!("work-{caller}-{done}"), "succeeded").await;
                done += 1;
            }
            done
        })
    });
    let work: Vec<_> = work.collect();
    let arguments = ["--older-than", "90d", "--yes"];
    let (first, second) = tokio::join!(summary(&app.database, &arguments), summary(&app.database, &arguments));
    over.send_replace(true);
    let mut done = 0;
    for worker in work {
        done += worker.await.expect("work without a failure");
    }
    assert!(done > 0);
    let removed = |summary: &Value| summary["workflows"].as_i64().unwrap();
    // Workflows that one had locked were left to it by the other.
    assert_eq!(removed(&first) + removed(&second), 4_000);
    assert_eq!(app.database.count("select count(*) from workflow").await, done + 1);
    assert_eq!(app.database.count(HALF).await, 0);
}

#[tokio::test]
async fn prune_explains_what_it_cannot_do() {
    let database = Database::create().await;
    let run = async |arguments: &[&str]| {
        let done = tokio::time::timeout(Duration::from_secs(20), prune(&database, arguments)).await.expect("an end");
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    for (arguments, status, expected) in [
        (&["--yes"][..], 2, "--older-than"),
        (&["--older-than", "23h"], 2, "say 1d or more"),
        (&["--older-than", "90"], 2, "a whole number and a unit"),
        (&["--older-than", "90d"], 1, "`parkbrake migrate` does that"),
        (&["--older-than", "90d", "--yes"], 1, "`parkbrake migrate` does that"),
    ] {
        let (code, said) = run(arguments).await;
        assert!(code == Some(status) && said.contains(expected), "{arguments:?}: {code:?} {said}");
    }
    // A role that may not delete, like the server's.
    parkbrake::storage::migrate(&database.url).await.unwrap();
    hand_out_tokens(&database).await;
    let app = TestApp::launch(Config::new(), &crate::support::server::settings(&Config::new()), database).await;
    complete(&app.client("deploy-bot"), &app.client("alice"), "old", "succeeded").await;
    age(&app.database, 100, "true").await;
    let role = format!("prune_{}", std::process::id());
    app.database
        .execute(&format!(
            "create role {role}; grant select, insert on all tables in schema public to {role}; grant update on workflow to {role}"
        ))
        .await;
    let database = Database::at(format!("{}&options=-c%20role%3D{role}", app.database.url));
    let refused = prune(&database, &["--older-than", "90d", "--yes"]).await;
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(refused.status.code() == Some(1) && said.contains("the role that owns the tables"), "{said}");
    assert_eq!(names(&app.database).await, ["old"]);
}

#[tokio::test]
async fn the_database_knows_what_is_final() {
    let database = Database::migrated().await;
    for status in Status::ALL {
        let known = sqlx::query_scalar("select is_final($1)").bind(status.as_str()).fetch_one(&mut database.connect().await).await;
        assert_eq!(known.ok(), Some(status.is_final()), "{status}");
    }
}
