//! The cost of a phase: CPU of the server, of this process and of PostgreSQL; WAL; bytes; rows in a
//! commit.
//!
//! CPU comes from `/proc/PID/stat` in ticks of 10 ms, so a phase of one second is accurate to about
//! one percent.

use crate::harness::{HUMAN, Server, connect};
use crate::load::{Caller, get};
use sqlx::PgConnection;
use std::collections::HashMap;
use std::fs;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Instant;

/// Ticks per second; Linux has 100 on all relevant platforms.
const TICKS: f64 = 100.0;

/// A reading of all counters.
#[derive(Debug, Clone, Copy, Default)]
pub struct Reading {
    /// Seconds of CPU.
    pub server: f64,
    pub client: f64,
    pub postgres: f64,
    pub wal: f64,
    pub store: f64,
    pub rows: f64,
    pub batches: f64,
}

impl Reading {
    /// The difference from an earlier one.
    pub fn since(self, earlier: Self) -> Self {
        Self {
            server: self.server - earlier.server,
            client: self.client - earlier.client,
            postgres: self.postgres - earlier.postgres,
            wal: self.wal - earlier.wal,
            store: self.store - earlier.store,
            rows: self.rows - earlier.rows,
            batches: self.batches - earlier.batches,
        }
    }
}

/// Takes readings.
pub struct Meters {
    db: PgConnection,
    postmaster: u32,
    server: Option<(u32, SocketAddr)>,
}

impl Meters {
    /// Of a database, and of a server if one is measured.
    pub async fn new(url: &str, server: Option<&Server>) -> Self {
        let mut db = connect(url).await;
        let backend: i32 = sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut db).await.expect("a backend");
        let postmaster = processes().get(&backend.try_into().expect("a process")).expect("a backend on this machine").parent;
        let server = server.map(|server| (server.pid, server.addr));
        Self { db, postmaster, server }
    }

    /// Writes dirty pages out, so that no phase pays for an earlier one.
    pub async fn checkpoint(&mut self) {
        sqlx::raw_sql("checkpoint").execute(&mut self.db).await.expect("a checkpoint");
    }

    /// How many workflows the server has in memory: those with an actor, and those whose state it
    /// keeps.
    pub async fn workflows_in_memory(&self) -> f64 {
        match self.server {
            Some((_, addr)) => metrics(addr, &["parkbrake_workflows_resident ", "parkbrake_workflows_remembered "]).await.iter().sum(),
            None => 0.0,
        }
    }

    pub async fn read(&mut self) -> Reading {
        let query = "select (pg_current_wal_lsn() - '0/0'::pg_lsn)::float8,
                            (select coalesce(sum(pg_total_relation_size(oid)), 0)::float8 from pg_class
                             where relnamespace = 'public'::regnamespace and relkind = 'r')";
        let (wal, store) = sqlx::query_as(query).fetch_one(&mut self.db).await.expect("sizes");
        let (rows, batches) = match self.server {
            Some((_, addr)) => {
                let values = metrics(addr, &["parkbrake_commit_batch_rows_sum ", "parkbrake_commit_batch_rows_count "]).await;
                (values[0], values[1])
            }
            None => (0.0, 0.0),
        };
        let all = processes();
        let own = |pid: u32| all.get(&pid).map_or(0.0, |process| process.own);
        // The parent includes backends that have ended.
        let backends: f64 = all.values().filter(|process| process.parent == self.postmaster).map(|process| process.own).sum();
        let ended = all.get(&self.postmaster).map_or(0.0, |process| process.own + process.children);
        let server = self.server.map_or(0.0, |(pid, _)| own(pid));
        Reading { server, client: own(std::process::id()), postgres: backends + ended, wal, store, rows, batches }
    }
}

/// The metrics of the server. The connection is new, because a server closes idle ones.
async fn metrics(addr: SocketAddr, names: &[&str]) -> Vec<f64> {
    let mut caller = Caller::connect(addr).await;
    let body = caller.expect(&get("/metrics", HUMAN), 200).await;
    let text = String::from_utf8_lossy(body).into_owned();
    let value = |name: &&str| text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0);
    names.iter().map(value).collect()
}

struct Process {
    parent: u32,
    /// Seconds of CPU of a process, and of its children that have ended.
    own: f64,
    children: f64,
}

fn processes() -> HashMap<u32, Process> {
    let entries = fs::read_dir("/proc").expect("/proc").flatten();
    entries.filter_map(|entry| Some((entry.file_name().to_str()?.parse().ok()?, process(&entry.path())?))).collect()
}

fn process(folder: &Path) -> Option<Process> {
    let stat = fs::read_to_string(folder.join("stat")).ok()?;
    // The name, in parentheses, may contain anything; the state and then numbers follow it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let number = |index: usize| fields.get(index)?.parse::<f64>().ok();
    let seconds = |index: usize| Some((number(index)? + number(index + 1)?) / TICKS);
    Some(Process { parent: fields.get(1)?.parse().ok()?, own: seconds(11)?, children: seconds(13)? })
}

/// The resident memory of a process, in bytes.
pub fn resident(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a process");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("its memory");
    line.trim().trim_end_matches(" kB").parse::<f64>().expect("a number") * 1024.0
}

/// The milliseconds to write and sync a page, the median of 200 tries: every commit waits for this.
pub fn sync_time(folder: &Path) -> f64 {
    let path = folder.join("sync");
    let mut file = fs::File::create(&path).expect("a file");
    let mut times: Vec<f64> = (0..200)
        .map(|_| {
            let began = Instant::now();
            file.write_all(&[7; 8192]).expect("a page");
            file.sync_data().expect("a disk");
            began.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    let _ = fs::remove_file(path);
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}
