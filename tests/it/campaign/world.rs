//! A separate world for each campaign: a PostgreSQL that may be restarted, two slots for servers,
//! and a proxy in front of each.

use super::history::{History, Server, Stored};
use super::runbooks::Runbooks;
use super::slots::{Life, Order, Slot};
use crate::support::called;
use crate::support::proxy::Proxy;
use crate::support::server::hand_out_tokens;
use crate::support::{Config, Database, keys};
use chrono::{DateTime, Utc};
use parkbrake::postgres::{Cluster, Options, Programs};
use parkbrake::storage::Storage;
use sqlx::{AssertSqlSafe, Connection as _, PgConnection};
use std::path::PathBuf;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::Mutex;
use tokio::time::sleep;
use uuid::Uuid;

/// Stalls a commit for the time in the table, once for each transaction.
const STALL: &str = "
create table stall (seconds double precision not null);
insert into stall values (0);
create function stall() returns trigger language plpgsql as $$
declare v_seconds double precision;
begin
    if current_setting('campaign.stalled', true) is distinct from 'yes' then
        perform set_config('campaign.stalled', 'yes', true);
        select seconds into v_seconds from stall;
        if v_seconds > 0 then perform pg_sleep(v_seconds); end if;
    end if;
    return null;
end $$;
create constraint trigger stall after insert on workflow_event deferrable initially deferred for each row execute function stall()";

pub struct World {
    pub slots: Vec<Slot>,
    pub proxies: Vec<Proxy>,
    pub runbooks: Runbooks,
    database: Database,
    cluster: Mutex<Option<Cluster>>,
    home: PathBuf,
    _config: Config,
    _folder: TempDir,
}

#[track_caller]
fn start(home: &std::path::Path) -> impl Future<Output = Cluster> {
    called(async move {
        let programs = Programs::find().unwrap_or_else(|error| panic!("{error}"));
        Cluster::start(&programs, home, Options { durable: false }).await.unwrap_or_else(|error| panic!("{error}"))
    })
}

impl World {
    /// With two servers, one of which acts.
    pub async fn begin(arguments: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let home = folder.path().join("postgres");
        let cluster = start(&home).await;
        cluster.create_database("campaign").await.expect("a database");
        let database = Database::at(cluster.url("campaign"));
        // PostgreSQL fails, but not the machine: what is committed only has to reach the operating
        // system.
        database.execute("alter database campaign set synchronous_commit = on").await;
        parkbrake::storage::migrate(&database.url).await.expect("migrations");
        hand_out_tokens(&database).await;
        database.execute(STALL).await;
        let runbooks = Runbooks::new(folder.path());
        let config = runbooks.config();
        let (mut slots, mut proxies) = (Vec::new(), Vec::new());
        for _ in 0..2 {
            let proxy = Proxy::before(&database).await;
            let slot = Slot::new(&config, &proxy.database(), arguments);
            slot.order(Order::Come);
            slots.push(slot);
            proxies.push(proxy);
        }
        Self { slots, proxies, runbooks, database, cluster: Mutex::new(Some(cluster)), home, _config: config, _folder: folder }
    }

    async fn connect(&self) -> Option<PgConnection> {
        let connecting = PgConnection::connect(&self.database.url);
        tokio::time::timeout(Duration::from_secs(5), connecting).await.ok()?.ok()
    }

    /// Runs a statement if the database is available; returns whether it was.
    pub async fn sql(&self, statement: &str) -> bool {
        let Some(mut connection) = self.connect().await else { return false };
        sqlx::raw_sql(AssertSqlSafe(statement.to_owned())).execute(&mut connection).await.is_ok()
    }

    /// Runs a statement once the database is available.
    pub async fn until_done(&self, statement: &str) {
        while !self.sql(statement).await {
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub async fn number(&self, query: &str) -> Option<i32> {
        let mut connection = self.connect().await?;
        sqlx::query_scalar(AssertSqlSafe(query.to_owned())).fetch_optional(&mut connection).await.ok()?
    }

    /// Holds the locks of a statement.
    pub async fn hold(&self, statement: &str, span: Duration) {
        let Some(mut connection) = self.connect().await else { return };
        let lock = format!("set lock_timeout = '2s'; begin; {statement}");
        if sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut connection).await.is_ok() {
            sleep(span).await;
        }
        let _ = connection.close().await;
    }

    #[track_caller]
    pub fn restart_database(&self, span: Duration) -> impl Future<Output = ()> {
        called(async move {
            let mut cluster = self.cluster.lock().await;
            if let Some(running) = cluster.take() {
                running.stop().await.expect("its end");
            }
            sleep(span).await;
            *cluster = Some(start(&self.home).await);
        })
    }

    /// Ends all disturbances.
    pub async fn heal(&self) {
        for proxy in &self.proxies {
            proxy.relent();
            proxy.refuse(false);
            proxy.thaw();
        }
        self.until_done("update stall set seconds = 0").await;
        for slot in &self.slots {
            slot.order(Order::Thaw);
            slot.order(Order::Come);
        }
    }

    /// How much is in progress or overdue; zero once everything has settled.
    pub async fn under_way(&self) -> Option<i32> {
        let query = "select count(*)::int from workflow where queued or running or (approval_status = 'pending'
                         and least(timeout_at, expires_at) < clock_timestamp() - interval '1 second')";
        self.number(query).await
    }

    pub async fn events(&self) -> Option<i32> {
        self.number("select count(*)::int from workflow_event").await
    }

    #[track_caller]
    pub fn ids(&self) -> impl Future<Output = Vec<Uuid>> {
        called(async move {
            sqlx::query_scalar("select workflow_id from workflow order by workflow_id")
                .fetch_all(&mut self.database.connect().await)
                .await
                .expect("ids")
        })
    }

    /// Stops everything, and returns what is stored and what the servers logged.
    pub async fn end(self) -> History {
        let mut history = History::default();
        let mut lives: Vec<Life> = Vec::new();
        for slot in self.slots {
            lives.extend(slot.end().await);
        }
        history.ledger = self.runbooks.ledger();
        let storage = Storage::connect(&self.database.url, 3).expect("an address").with_keys(keys());
        let mut connection = self.database.connect().await;
        let rows: Vec<(Uuid, i32, String)> =
            sqlx::query_as("select workflow_id, version, status from workflow").fetch_all(&mut connection).await.expect("rows");
        for (id, version, status) in rows {
            let log = storage.log(id).await.expect("a log");
            history.stored.insert(id, Stored { log, version: version.try_into().unwrap_or_default(), status });
        }
        let servers: Vec<(Uuid, Option<DateTime<Utc>>)> =
            sqlx::query_as("select server_id, ended_at from server").fetch_all(&mut connection).await.expect("rows");
        history.servers = servers.into_iter().map(|(id, ended_at)| (id, Server { ended_at, ..Server::default() })).collect();
        for life in lives {
            history.alarms.extend(life.alarms);
            if let Some(server) = life.server.and_then(|id| history.servers.get_mut(&id)) {
                server.cut = life.cut;
            }
        }
        let left: Vec<String> = sqlx::query_scalar("select workflow_id || ' is in quarantine: ' || reason from quarantine")
            .fetch_all(&mut connection)
            .await
            .expect("rows");
        history.alarms.extend(left);
        storage.close().await;
        history
    }
}
