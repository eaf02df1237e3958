//! The references: the speed of the same PostgreSQL with the rows alone, without parkbrake.
//!
//! A is the speed of an application that commits each workflow separately. B is the plain limit:
//! the same rows in group commits, by a program that does nothing else.

use crate::harness::{Harness, connect};
use crate::lanes::Phase;
use crate::load::usual_task;
use futures_util::future::join_all;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::process::Command;
use tokio::sync::{Mutex, mpsc, oneshot};

/// One row for the state and one for the approval, as in a small application.
const TABLES: &str = "
    create table if not exists checkpoint (
        workflow_id bigint not null, seq smallint not null, state jsonb not null, created_at timestamptz not null default now(),
        primary key (workflow_id, seq));
    create table if not exists approval (
        workflow_id bigint primary key, status text not null, risk float8 not null, created_at timestamptz not null default now(),
        decided_at timestamptz);
    truncate checkpoint, approval;
    checkpoint";

/// One transaction for each workflow.
const TRANSACTION: &str = r"\set id random(1, 9000000000000000000)
begin;
insert into checkpoint (workflow_id, seq, state) values (:id, 1, :state::jsonb);
insert into approval (workflow_id, status, risk) values (:id, 'pending', 0.9);
commit;
";

/// The same rows for many workflows: one statement, one transaction, one flush.
const GROUP: &str = "
    with input as (select * from unnest($1::bigint[], $2::text[]) as i (workflow_id, state)),
         stored as (insert into checkpoint (workflow_id, seq, state) select workflow_id, 1, state::jsonb from input)
    insert into approval (workflow_id, status, risk) select workflow_id, 'pending', 0.9 from input";

/// Connections that commit groups, and the largest group.
const COMMITTERS: usize = 2;
const LARGEST: usize = 256;

/// The results of pgbench.
#[derive(Debug, Clone, Copy)]
pub struct Plain {
    pub rate: f64,
    /// The mean time of a transaction, in milliseconds.
    pub mean: f64,
}

/// The database of the references, empty.
pub async fn prepare(harness: &Harness) -> String {
    let url = harness.database("reference").await;
    sqlx::raw_sql(TABLES).execute(&mut connect(&url).await).await.expect("tables");
    url
}

/// Reference A.
pub async fn pgbench(harness: &Harness, clients: usize, seconds: u32) -> Plain {
    let url = prepare(harness).await;
    let script = harness.folder().join("transaction.sql");
    std::fs::write(&script, TRANSACTION).expect("a script");
    let output = Command::new(harness.pgbench())
        .args(["--no-vacuum", "--protocol=prepared", "--client"])
        .arg(clients.to_string())
        .arg(format!("--jobs={}", clients.min(2)))
        .arg(format!("--time={}", seconds.max(1)))
        .arg(format!("--define=state={}", usual_task()))
        .arg(format!("--file={}", script.display()))
        .arg(&url)
        .output()
        .await
        .unwrap_or_else(|error| panic!("pgbench, which comes with PostgreSQL (on some systems in its contrib package): {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    let value = |name: &str| said.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next()?.parse().ok());
    match (value("tps = "), value("latency average = ")) {
        (Some(rate), Some(mean)) => Plain { rate, mean },
        _ => panic!("pgbench printed:\n{said}\n{}", String::from_utf8_lossy(&output.stderr)),
    }
}

struct Asked {
    id: i64,
    done: oneshot::Sender<()>,
}

/// Reference B. It has its own threads, as a server would.
pub async fn group_commit(harness: &Harness, waiting: usize, seconds: u32) -> Phase {
    let url = prepare(harness).await;
    let duration = Duration::from_secs(seconds.into());
    let work = move || {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
        runtime.block_on(serve(url, waiting, duration))
    };
    tokio::task::spawn_blocking(work).await.expect("its end")
}

async fn serve(url: String, waiting: usize, duration: Duration) -> Phase {
    let state: Arc<str> = usual_task().into();
    let (ask, asked) = mpsc::channel(waiting);
    let asked = Arc::new(Mutex::new(asked));
    let committers: Vec<_> = join_all((0..COMMITTERS).map(|_| connect(&url)))
        .await
        .into_iter()
        .map(|db| tokio::spawn(commit(db, Arc::clone(&asked), Arc::clone(&state))))
        .collect();
    let began = Instant::now();
    let callers = (0..waiting as i64).map(|caller| {
        let ask = ask.clone();
        tokio::spawn(async move {
            let mut latencies = Vec::with_capacity(1 << 14);
            while began.elapsed() < duration {
                let (done, answer) = oneshot::channel();
                // The ids are random, as in A.
                let id = (latencies.len() as i64 * waiting as i64 + caller).wrapping_mul(0x5851_F42D_4C95_7F2D);
                let start = Instant::now();
                assert!(ask.send(Asked { id, done }).await.is_ok(), "the committers have ended");
                answer.await.expect("a commit");
                latencies.push(start.elapsed());
            }
            latencies
        })
    });
    let mut latencies: Vec<Duration> = join_all(callers).await.into_iter().flat_map(|caller| caller.expect("a caller")).collect();
    let seconds = began.elapsed().as_secs_f64();
    drop(ask);
    join_all(committers).await;
    latencies.sort_unstable();
    Phase { count: waiting, seconds, latencies, ids: Vec::new() }
}

/// Commits all waiting rows together. There is no timer.
async fn commit(mut db: sqlx::PgConnection, asked: Arc<Mutex<mpsc::Receiver<Asked>>>, state: Arc<str>) {
    let mut group = Vec::with_capacity(LARGEST);
    while asked.lock().await.recv_many(&mut group, LARGEST).await > 0 {
        let ids: Vec<i64> = group.iter().map(|asked| asked.id).collect();
        let states: Vec<&str> = group.iter().map(|_| &*state).collect();
        sqlx::query(GROUP).bind(ids).bind(states).execute(&mut db).await.expect("a group commit");
        for asked in group.drain(..) {
            let _ = asked.done.send(());
        }
    }
}
