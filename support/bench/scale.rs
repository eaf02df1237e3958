//! The second part: the cost of many parked workflows. They wait for people for hours or days, so
//! there can be many.

use crate::fill::Patterns;
use crate::harness::{self, HUMAN, Harness, Server, connect, note, seal};
use crate::lanes::park;
use crate::load::{Caller, Id, get};
use crate::meters::resident;
use crate::{Args, report};
use chrono::{DateTime, Utc};
use parkbrake::domain::page::Cursor;
use sqlx::PgConnection;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How often a list is read; the median counts.
const ASKED: usize = 50;
/// How often the server is restarted.
const RESTARTS: usize = 3;
/// How many parked workflows a server keeps in memory by default.
pub const KEPT: i32 = 80_000;
/// How many workflows are parked beyond those in memory, to measure the memory that each one adds.
const BEYOND: usize = 30_000;

/// The figures for a number of parked workflows.
pub struct Scale {
    pub parked: i32,
    /// Milliseconds of each list, by its name.
    pub lists: Vec<(&'static str, f64)>,
    /// Seconds from the start of the process until the first approval was answered, the quickest
    /// first.
    pub restarts: Vec<f64>,
    /// The memory of the server in bytes, once it is idle after the lists.
    pub memory: f64,
}

/// The results of this part.
pub struct Scales {
    pub steps: Vec<Scale>,
    /// The memory in bytes that each workflow adds beyond those that stay in memory.
    pub beyond: f64,
}

/// Runs this part, from few to many workflows.
pub async fn measure(harness: &Harness, args: &Args) -> Scales {
    let url = harness.database("scale").await;
    harness::prepare(&url).await;
    let server = Server::start(&url, &[]).await;
    let patterns = Patterns::submit(&server).await;
    server.stop().await;
    let mut db = connect(&url).await;
    let mut counts = vec![10, 1_000, 10_000, 100_000];
    counts.extend(args.million.then_some(1_000_000));
    let mut steps = Vec::new();
    for parked in counts {
        note(&format!("with {parked} parked"));
        patterns.fill(&mut db, parked).await;
        seal(&url).await;
        steps.push(step(&url, &mut db, &patterns, parked).await);
    }
    note(&format!("parking {BEYOND} more through the server"));
    let mut server = Server::start(&url, &[]).await;
    server.until_quiet().await;
    // Once without measuring, so that buffers and pools grow to their size.
    park(&server, BEYOND).await;
    let memory = settled(&server).await;
    let count = park(&server, BEYOND).await.len() as f64;
    let grown = settled(&server).await - memory;
    server.stop().await;
    Scales { steps, beyond: grown / count }
}

async fn step(url: &str, db: &mut PgConnection, patterns: &Patterns, parked: i32) -> Scale {
    let mut restarts = Vec::new();
    let mut last = None;
    for _ in 0..RESTARTS {
        if let Some(server) = last.take() {
            Server::stop(server).await;
        }
        let id = oldest(db, patterns).await;
        let server = Server::start(url, &[]).await;
        Caller::connect(server.addr).await.approve(&id).await;
        restarts.push(server.began.elapsed().as_secs_f64());
        last = Some(server);
    }
    restarts.sort_by(f64::total_cmp);
    let mut server = last.expect("a server");
    server.until_quiet().await;
    let lists = lists(&server, db).await;
    let memory = settled(&server).await;
    server.stop().await;
    Scale { parked, lists, restarts, memory }
}

/// The memory of an idle server in bytes. It returns memory that it has not used for a second.
async fn settled(server: &Server) -> f64 {
    tokio::time::sleep(Duration::from_secs(4)).await;
    resident(server.pid)
}

/// The request that has waited longest: a restart does not load it into memory first.
async fn oldest(db: &mut PgConnection, patterns: &Patterns) -> Id {
    let query = "select workflow_id from workflow where approval_status = 'pending' and risk_level = 'high' and workflow_id <> $1
                 order by requested_at, workflow_id limit 1";
    let id: Uuid = sqlx::query_scalar(query).bind(patterns.high).fetch_one(db).await.expect("one that waits");
    Id(id.to_string().into_bytes().try_into().expect("an id"))
}

async fn lists(server: &Server, db: &mut PgConnection) -> Vec<(&'static str, f64)> {
    let query = "select requested_at, workflow_id from workflow where approval_status = 'pending'
                 order by requested_at desc, workflow_id desc
                 offset (select count(*) * 9 / 10 from workflow where approval_status = 'pending') limit 1";
    let (at, workflow_id): (DateTime<Utc>, Uuid) = sqlx::query_as(query).fetch_one(db).await.expect("a deep place");
    let cursor = Cursor { at, workflow_id }.to_string();
    let mut caller = Caller::connect(server.addr).await;
    let mut lists = Vec::new();
    for (name, query) in [
        ("first page", String::new()),
        ("deep page", format!("?cursor={cursor}")),
        ("most (`risk_level=high`)", "?risk_level=high".to_owned()),
        ("few (`risk_level=critical`, 1 in 20)", "?risk_level=critical".to_owned()),
        ("decidable by the caller (`mine=true`)", "?mine=true".to_owned()),
    ] {
        let request = get(&format!("/workflows/pending{query}"), HUMAN);
        let mut times = Vec::new();
        for _ in 0..ASKED {
            let asked = Instant::now();
            caller.expect(&request, 200).await;
            times.push(asked.elapsed().as_secs_f64() * 1e3);
        }
        lists.push((name, report::median(&times)));
    }
    lists
}
