//! Which server may act on a database when connections break, hang and recover, and when the server
//! itself is frozen.

use crate::support::called;
use crate::support::client::high;
use crate::support::proxy::{Proxy, Which};
use crate::support::server::hand_out_tokens;
use crate::support::{Client, Config, Database, Ledger, Process, eventually};
use parkbrake::postgres::{Cluster, Options, Programs};
use parkbrake::storage::{Claim, Server, ServerLease};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use uuid::Uuid;

/// The statement that renews a lease, and no other.
const RENEWAL: &str = "update server set lease_until";

async fn world() -> (Ledger, Config, Database) {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    (ledger, config, database)
}

fn runbook(name: &str) -> Value {
    let mut task = high();
    task["action"] = json!({"type": "runbook", "name": name});
    task
}

/// Approved actions, held in the middle of their run.
#[track_caller]
fn running(server: &Process, ledger: &Ledger, name: &str, count: usize) -> impl Future<Output = Vec<String>> {
    called(async move {
        ledger.hold();
        let (bot, alice) = (server.client("deploy-bot"), server.client("alice"));
        let mut ids = Vec::new();
        for _ in 0..count {
            let id = bot.submit_id(runbook(name)).await;
            alice.approve(&id).await.expect(200);
            ids.push(id);
        }
        eventually("their start", || async { ids.iter().all(|id| ledger.starts(id) == 1).then_some(()) }).await;
        ids
    })
}

fn stranger() -> Server {
    let (address, host) = ("192.0.2.1:8001".to_owned(), "elsewhere".to_owned());
    Server { server_id: Uuid::new_v4(), address, host, version: "0", process: None }
}

#[track_caller]
fn claims(lease: &mut ServerLease, server: &Server) -> impl Future<Output = bool> {
    called(async move { matches!(lease.claim(server, None).await.unwrap(), Claim::Granted) })
}

#[tokio::test]
async fn a_database_is_claimed_by_one_server_until_it_gives_the_lease_back_or_the_lease_lapses() {
    let database = Database::migrated().await;
    let mut lease = ServerLease::new(&database.url, Duration::from_secs(2)).unwrap();
    let (one, two) = (stranger(), stranger());
    assert!(claims(&mut lease, &one).await);
    assert!(claims(&mut lease, &one).await, "asked again, because the answer was lost");
    let Claim::Held(Some(holder)) = lease.claim(&two, None).await.unwrap() else { panic!("two act") };
    assert_eq!((holder.server_id, holder.address.as_str(), holder.host.as_str()), (one.server_id, "192.0.2.1:8001", "elsewhere"));
    assert!(!lease.renew(two.server_id).await.unwrap(), "what was never granted is not renewed");
    // It is seen to have ended, but only exactly that one.
    assert!(matches!(lease.claim(&two, Some(two.server_id)).await.unwrap(), Claim::Held(_)));
    assert!(matches!(lease.claim(&two, Some(one.server_id)).await.unwrap(), Claim::Granted));
    assert!(!lease.renew(one.server_id).await.unwrap() && lease.renew(two.server_id).await.unwrap());
    lease.release(two.server_id).await.unwrap();
    assert!(claims(&mut lease, &one).await);
    // A lapsed lease belongs to its holder until another server claims it.
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert!(lease.renew(one.server_id).await.unwrap());
    tokio::time::sleep(Duration::from_millis(2_200)).await;
    assert!(claims(&mut lease, &two).await);
    assert!(!lease.renew(one.server_id).await.unwrap());
}

#[tokio::test]
async fn of_many_that_claim_a_database_at_the_same_moment_one_acts() {
    let database = Database::migrated().await;
    for _ in 0..5 {
        database.execute("update server set acts = false, ended_at = now() where acts").await;
        let claims = (0..8).map(|_| async {
            let mut lease = ServerLease::new(&database.url, Duration::from_secs(10)).unwrap();
            claims(&mut lease, &stranger()).await
        });
        let granted = futures_util::future::join_all(claims).await.into_iter().filter(|granted| *granted).count();
        assert_eq!(granted, 1);
        assert_eq!(database.count("select count(*) from server where acts").await, 1);
    }
}

#[tokio::test]
async fn a_server_on_the_machine_of_one_that_was_killed_does_not_wait_for_its_lease() {
    let (_, config, database) = world().await;
    let server = Process::serve_with(&config, &database, &["--lease", "10m"]).await;
    let first = server.client("alice").get("/readyz").await.expect(200);
    assert_eq!(first["lease"], "ok");
    server.kill().await;
    // A server waits at most half a minute for a lease, and this one has ten left.
    let server = Process::serve(&config, &database).await;
    assert_eq!(
        database.count("select count(*) from server where lease_until > clock_timestamp() + interval '5 minutes' and not acts").await,
        1
    );
    let second = server.client("alice").get("/readyz").await.expect(200);
    assert_ne!(first["server_id"], second["server_id"]);
}

#[tokio::test]
async fn a_second_server_is_refused_and_names_the_first() {
    let (_, config, database) = world().await;
    let first = Process::serve(&config, &database).await;
    let (status, log) = Process::refused(&config, &database, &[]).await;
    assert_eq!(status, Some(1));
    let last = log.last().unwrap();
    assert!(last.contains("another server works on this database") && last.contains(&first.addr.to_string()), "{last}");
    first.client("alice").get("/readyz").await.expect(200);
}

/// What must be true after a server lost its connections for a while with another one waiting:
/// every action ran once and completed.
#[track_caller]
fn all_completed(client: &Client, ledger: &Ledger, ids: &[String]) -> impl Future<Output = ()> {
    called(async move {
        for id in ids {
            client.wait_for(id, "completed").await;
            assert_eq!(ledger.starts(id), 1, "{id}");
        }
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_is_cut_again_and_again_loses_no_lease_while_a_second_server_waits() {
    let (ledger, config, database) = world().await;
    let proxy = Proxy::before(&database).await;
    let first = Process::serve(&config, &proxy.database()).await;
    let (bot, alice) = (first.client("deploy-bot"), first.client("alice"));
    let mut ids = running(&first, &ledger, "once", 5).await;
    ids.extend(running(&first, &ledger, "again", 5).await);
    let mut parked = Vec::new();
    for _ in 0..10 {
        parked.push(bot.submit_id(runbook("once")).await);
    }
    let second = Process::started(&config, &database, &[]);
    // What PostgreSQL itself, and what a network, can do to a connection.
    for (round, id) in parked[..6].iter().enumerate() {
        if round % 2 == 0 {
            proxy.cut(Which::Running("server"));
        } else {
            database
                .execute(
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid() \
                     and query like 'update server set lease_until%'",
                )
                .await;
        }
        eventually("an approval", || async { (alice.approve(id).await.status == 200).then_some(()) }).await;
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
    alice.get("/readyz").await.expect(200);
    ledger.release();
    ids.extend_from_slice(&parked[..6]);
    all_completed(&alice, &ledger, &ids).await;
    assert_eq!(database.count("select count(*) from server").await, 1, "the second one has never acted");
    drop(second);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_frozen_connection_for_longer_than_the_lease_is_replaced_and_nothing_is_ended() {
    let (ledger, config, database) = world().await;
    let proxy = Proxy::before(&database).await;
    let server = Process::serve(&config, &proxy.database()).await;
    let ids = running(&server, &ledger, "once", 3).await;
    eventually("a renewal", || async {
        let renewing =
            "select count(*) from pg_stat_activity where datname = current_database() and query like 'update server set lease_until%'
                        and pid <> pg_backend_pid()";
        (database.count(renewing).await == 1).then_some(())
    })
    .await;
    proxy.freeze(Which::Running(RENEWAL));
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(11) {
        server.client("alice").get("/readyz").await.expect(200);
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    proxy.thaw();
    ledger.release();
    all_completed(&server.client("alice"), &ledger, &ids).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_lines_were_all_frozen_ends_what_it_runs_and_goes_on_with_its_lease() {
    let (ledger, config, database) = world().await;
    let proxy = Proxy::before(&database).await;
    let server = Process::serve(&config, &proxy.database()).await;
    let (bot, alice) = (server.client("deploy-bot"), server.client("alice"));
    let ids = running(&server, &ledger, "once", 2).await;
    proxy.freeze(Which::All);
    eventually("its fence to fall", || async { (alice.get("/readyz").await.expect(503)["lease"] == "unavailable").then_some(()) }).await;
    // Stopped before the lease could lapse; nobody reports what is dropped after it has lapsed.
    let lapsed = "select count(*) from server where acts and lease_until <= clock_timestamp()";
    eventually("the lease to lapse", || async { (database.count(lapsed).await == 1).then_some(()) }).await;
    ledger.release();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(ledger.entries().iter().all(|entry| entry.what == "start"), "{:?}", ledger.entries());
    proxy.thaw();
    eventually("readiness", || async { (alice.get("/readyz").await.status == 200).then_some(()) }).await;
    for id in &ids {
        let workflow = alice.wait_for(id, "outcome_unknown").await;
        assert!(workflow.to_string().contains("could not renew its lease"), "{workflow:#}");
        assert_eq!(ledger.starts(id), 1);
    }
    let id = bot.submit_id(runbook("once")).await;
    alice.approve(&id).await.expect(200);
    all_completed(&alice, &ledger, &[id]).await;
    assert_eq!(database.count("select count(*) from server").await, 1, "it is the same server");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_frozen_for_longer_than_its_lease_starts_nothing_after_the_takeover_and_ends() {
    let (ledger, config, database) = world().await;
    // If it stopped on its own, it would wait ten minutes for what it runs.
    let first = Process::serve_with(&config, &database, &["--drain", "10m"]).await;
    ledger.hold();
    let (bot, alice) = (first.client("deploy-bot"), first.client("alice"));
    // More than there are turns: the rest wait for theirs.
    let mut ids = Vec::new();
    for _ in 0..72 {
        let id = bot.submit_id(runbook("once")).await;
        alice.approve(&id).await.expect(200);
        ids.push(id);
    }
    eventually("turns to be taken", || async { (ledger.entries().len() >= 8).then_some(()) }).await;
    tokio::time::sleep(Duration::from_secs(1)).await;
    first.signal(rustix::process::Signal::STOP);
    let second = Process::serve(&config, &database).await;
    let alice = second.client("alice");
    let settled = |status: &Value| ["completed", "outcome_unknown"].iter().any(|one| status == *one);
    // Their gate opens only when the first has resumed: until then nothing that it runs can end.
    first.signal(rustix::process::Signal::CONT);
    let (status, log) = tokio::time::timeout(Duration::from_secs(120), first.ended_with_log()).await.expect("it waits for what it runs");
    assert_eq!(status, Some(1));
    assert!(log.iter().any(|line| line.contains("another server has taken over")), "{}", log.join("\n"));
    ledger.release();
    for id in &ids {
        let workflow = eventually("its end", || async {
            let workflow = alice.workflow(id).await;
            settled(&workflow["status"]).then_some(workflow)
        })
        .await;
        let starts = ledger.starts(id);
        assert!(starts <= 1, "{id} started {starts} times");
        assert!(workflow["status"] != "completed" || starts == 1, "{id} is said to be completed and never started");
    }
    // Nothing starts after its outcome is recorded as unknown.
    let starts = ledger.entries().len();
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(ledger.entries().len(), starts);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_whose_lines_break_while_a_server_starts_and_migrates_is_waited_for() {
    let (_, config, _) = world().await;
    for round in 0..3_u64 {
        let database = Database::create().await;
        let proxy = Proxy::before(&database).await;
        proxy.refuse(true);
        let starting = Process::started(&config, &proxy.database(), &[]);
        tokio::time::sleep(Duration::from_millis(700)).await;
        proxy.refuse(false);
        // The connection is cut at any point: connecting, waiting for the lock, in the middle of a
        // migration, claiming, reading the time.
        for _ in 0..25 {
            proxy.cut(Which::Existing);
            tokio::time::sleep(Duration::from_millis(60 + 25 * round)).await;
        }
        let server = starting.await.unwrap();
        // The last cut may fall just before it is asked.
        let alice = server.client("alice");
        eventually("it to be ready", || async { (alice.get("/readyz").await.status == 200).then_some(()) }).await;
        let locks = "select count(*) from pg_locks join pg_database d on d.oid = database
                     where locktype = 'advisory' and datname = current_database()";
        eventually("no lock to be left behind", || async { (database.count(locks).await == 0).then_some(()) }).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_restarts_ends_neither_the_server_nor_the_one_that_waits_for_it() {
    let folder = tempfile::tempdir().unwrap();
    let programs = Programs::find().unwrap_or_else(|error| panic!("{error}"));
    let home = folder.path().join("postgres");
    let start = async || Cluster::start(&programs, &home, Options::default()).await.unwrap_or_else(|error| panic!("{error}"));
    let mut cluster = start().await;
    cluster.create_database("restarts").await.unwrap();
    let database = Database::at(cluster.url("restarts"));
    parkbrake::storage::migrate(&database.url).await.unwrap();
    hand_out_tokens(&database).await;
    let (ledger, config, _) = world().await;
    let first = Process::serve(&config, &database).await;
    let parked = first.client("deploy-bot").submit_id(runbook("once")).await;
    let second = Process::started(&config, &database, &[]);
    for _ in 0..3 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        cluster.stop().await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
        assert!(!second.is_finished());
        cluster = start().await;
    }
    let alice = first.client("alice");
    eventually("readiness", || async { (alice.get("/readyz").await.status == 200).then_some(()) }).await;
    alice.approve(&parked).await.expect(200);
    all_completed(&alice, &ledger, &[parked]).await;
    first.kill().await;
    let second = second.await.unwrap();
    second.client("alice").get("/readyz").await.expect(200);
    drop(second);
    cluster.stop().await.unwrap();
}
