//! Migrating over connections that go silent: it never hangs, it says why it gave up, and it is
//! retried.

use crate::support::called;
use crate::support::proxy::{Fault, Proxy, Which};
use crate::support::{Config, Database, Process, eventually};
use parkbrake::storage::{Error, migrate};
use std::time::Duration;

/// A statement in the middle of the migrations, and no other.
const SOMEWHERE: &str = "create table server (";

/// Far less than TCP would wait for a dead connection.
const BOUND: Duration = Duration::from_secs(60);

#[track_caller]
fn migrated(url: &str) -> impl Future<Output = Result<(), Error>> {
    called(async move { tokio::time::timeout(BOUND, migrate(url)).await.expect("an end, whatever the line does") })
}

async fn is_whole(database: &Database) -> bool {
    database.count("select count(*) from pg_proc where proname = 'advance_workflows'").await == 1
        && database.count("select count(*) from pg_class where relname = 'server'").await == 1
}

/// Checks that no session still holds the lock or an open transaction.
async fn nobody_is_left(database: &Database) {
    eventually("the end of the connection that was given up", || async {
        let others = "select count(*) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()";
        (database.count(others).await == 0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_migration_whose_answer_never_comes_is_given_up_and_can_be_made_again() {
    for fault in [Fault::HoldAnswer, Fault::HoldRequest] {
        let database = Database::create().await;
        let proxy = Proxy::before(&database).await;
        proxy.next(SOMEWHERE, fault, 1);
        let error = migrated(&proxy.url()).await.unwrap_err();
        assert!(matches!(&error, Error::Unavailable(reason) if reason.contains("lost while migrating")), "{fault:?}: {error}");
        assert_eq!(proxy.applied(), 1);
        assert!(!is_whole(&database).await, "it was given up in the middle");
        nobody_is_left(&database).await;
        migrated(&proxy.url()).await.unwrap();
        assert!(is_whole(&database).await);
    }
}

#[tokio::test]
async fn a_migration_whose_database_falls_silent_on_every_line_is_given_up() {
    let database = Database::create().await;
    let proxy = Proxy::before(&database).await;
    proxy.next(SOMEWHERE, Fault::HoldRequest, 1);
    let freezing = async {
        eventually("the middle of the migration", || async { (proxy.applied() == 1).then_some(()) }).await;
        proxy.freeze(Which::All);
    };
    let url = proxy.url();
    let (migrated_first, ()) = tokio::join!(migrated(&url), freezing);
    let error = migrated_first.unwrap_err();
    assert!(matches!(&error, Error::Unavailable(reason) if reason.contains("no answer within")), "{error}");
    proxy.thaw();
    migrated(&proxy.url()).await.unwrap();
    assert!(is_whole(&database).await);
}

#[tokio::test]
async fn a_server_that_starts_migrates_again_where_the_line_fell_silent() {
    let (config, database) = (Config::new(), Database::create().await);
    let proxy = Proxy::before(&database).await;
    proxy.next(SOMEWHERE, Fault::HoldAnswer, 1);
    let server = Process::serve(&config, &proxy.database()).await;
    assert_eq!(proxy.applied(), 1);
    server.client("alice").get("/readyz").await.expect(200);
}

#[tokio::test]
async fn a_migration_that_takes_long_is_not_given_up() {
    let database = Database::create().await;
    database
        .execute(
            "create function slow() returns event_trigger language plpgsql as $$ begin
                 if exists (select from pg_event_trigger_ddl_commands() where object_identity = 'public.server') then perform pg_sleep(10); end if;
             end $$;
             create event trigger slow on ddl_command_end when tag in ('CREATE TABLE') execute function slow()",
        )
        .await;
    migrated(&database.url).await.unwrap();
    assert!(is_whole(&database).await);
}
