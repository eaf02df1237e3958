//! The fourth part: `parkbrake prune`, also under full load, and whether tables grow.
//!
//! Each day adds as many workflows as it removes: three days are kept, a fourth is added, the
//! oldest is pruned, and a vacuum follows. If the tables are as large after many days as after
//! four, pruning leaves nothing behind.

use crate::fill::{Patterns, now};
use crate::harness::{self, Harness, Server, connect, note};
use crate::lanes::{Phase, Step, drive};
use chrono::TimeDelta;
use sqlx::PgConnection;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tokio::process::{Child, Command};

/// The number of days.
const DAYS: i32 = 9;
/// The days that are kept.
const KEPT: i32 = 3;
/// The age of the first day.
const OLDEST: i32 = 100;
/// The number of callers that submit during the last prune.
const CALLERS: usize = 64;
/// The measurement without a prune.
const BASE: Duration = Duration::from_secs(8);

/// Bytes after a day was added, and the time to prune the oldest day.
pub struct Day {
    pub tables: f64,
    pub indexes: f64,
    /// Seconds; `None` if nothing was old enough.
    pub pruned: Option<f64>,
}

/// Submits without a prune, and during one.
pub struct Beside {
    pub without: f64,
    pub with: f64,
    pub p99_without: f64,
    pub p99_with: f64,
    /// Seconds that the prune took under load.
    pub seconds: f64,
}

/// The results.
pub struct Retention {
    /// Workflows per day.
    pub count: u32,
    pub days: Vec<Day>,
    pub beside: Beside,
}

/// Runs this part.
pub async fn measure(harness: &Harness, count: u32) -> Retention {
    let url = harness.database("retention").await;
    harness::prepare(&url).await;
    let server = Server::start(&url, &[]).await;
    let pattern = Patterns::complete(&server).await;
    server.stop().await;
    let mut db = connect(&url).await;
    let begin = now(&mut db).await - TimeDelta::days(OLDEST.into());
    let mut days = Vec::new();
    for day in 0..DAYS {
        note(&format!("day {} of {DAYS}, {count} workflows each", day + 1));
        let start = begin + TimeDelta::days(day.into());
        // Within the first hours of the day.
        pattern.copy(&mut db, 1, count.try_into().expect("a count"), start, TimeDelta::milliseconds(20)).await;
        let (tables, indexes) = sizes(&mut db).await;
        let pruned = if day >= KEPT {
            let began = Instant::now();
            finish(prune(&url, day - KEPT)).await;
            let took = began.elapsed().as_secs_f64();
            // As autovacuum would do later.
            sqlx::raw_sql("vacuum").execute(&mut db).await.expect("a vacuum");
            Some(took)
        } else {
            None
        };
        days.push(Day { tables, indexes, pruned });
    }
    let beside = beside(&url).await;
    Retention { count, days, beside }
}

/// Prunes the next day while agents submit.
async fn beside(url: &str) -> Beside {
    let server = Server::start(url, &[]).await;
    drive(&server, CALLERS, Step::Submit, Vec::new(), Duration::from_secs(1), CALLERS * 20).await;
    let without = drive(&server, CALLERS, Step::Submit, Vec::new(), BASE, usize::MAX).await;
    note("pruning during submits");
    let began = Instant::now();
    let mut child = prune(url, DAYS - KEPT);
    let (mut latencies, mut seconds) = (Vec::new(), 0.0);
    while child.try_wait().expect("a process").is_none() {
        let phase = drive(&server, CALLERS, Step::Submit, Vec::new(), Duration::from_millis(500), usize::MAX).await;
        seconds += phase.seconds;
        latencies.extend(phase.latencies);
    }
    let took = began.elapsed().as_secs_f64();
    finish(child).await;
    server.stop().await;
    latencies.sort_unstable();
    let with = Phase { count: CALLERS, seconds, latencies, ids: Vec::new() };
    Beside {
        without: without.rate(),
        with: with.rate(),
        p99_without: without.percentile(0.99),
        p99_with: with.percentile(0.99),
        seconds: took,
    }
}

/// `parkbrake prune` of this day and all earlier ones.
fn prune(url: &str, day: i32) -> Child {
    let age = format!("{}h", (OLDEST - day - 1) * 24 + 12);
    let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
    command.args(["prune", "--older-than", &age, "--yes"]).env("DATABASE_URL", url).stdin(Stdio::null()).stdout(Stdio::null());
    command.stderr(Stdio::null()).kill_on_drop(true).spawn().expect("the program")
}

async fn finish(mut child: Child) {
    assert!(child.wait().await.expect("its end").success(), "a prune failed");
}

/// Bytes of all tables with their TOAST, and of all indexes.
async fn sizes(db: &mut PgConnection) -> (f64, f64) {
    let query = "select sum(pg_table_size(oid))::float8, sum(pg_indexes_size(oid))::float8 from pg_class
                 where relnamespace = 'public'::regnamespace and relkind = 'r'";
    sqlx::query_as(query).fetch_one(db).await.expect("sizes")
}
