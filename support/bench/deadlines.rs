//! The third part: many escalations that fall due within a minute, while agents continue to submit.
//!
//! The delay of each one comes from the log: the time of its event, by the database's clock, minus
//! the time at which it was due.

use crate::fill::{Patterns, now};
use crate::harness::{self, Harness, Server, connect, note, seal};
use crate::lanes::{Phase, Step, drive};
use crate::meters::{Meters, Reading};
use chrono::{DateTime, TimeDelta, Utc};
use sqlx::PgConnection;
use std::time::{Duration, Instant};

/// The time over which they fall due evenly.
const WITHIN: Duration = Duration::from_secs(60);
/// The time from the beginning of the fill to the first deadline: to fill, to start, and to measure
/// without deadlines.
const LEAD: TimeDelta = TimeDelta::seconds(60);
/// The number of callers that submit meanwhile.
const CALLERS: usize = 64;
/// The shortest measurement without deadlines, before and afterwards.
const BASE: Duration = Duration::from_secs(10);
/// The limit for the last one, far above the target.
const WAIT_LIMIT: Duration = Duration::from_secs(120);

/// The results.
pub struct Deadlines {
    pub count: u32,
    /// The delays in seconds: median, 99th percentile, maximum.
    pub late: [f64; 3],
    /// Submits without deadlines, before and afterwards, and with them.
    pub before: Side,
    pub after: Side,
    pub during: Side,
}

/// The submits of one measurement, and their cost.
pub struct Side {
    pub rate: f64,
    pub p99: f64,
    pub seconds: f64,
    pub cost: Reading,
}

/// Runs this part.
pub async fn measure(harness: &Harness, count: u32) -> Deadlines {
    let url = harness.database("deadlines").await;
    harness::prepare(&url).await;
    let server = Server::start(&url, &[]).await;
    let pattern = Patterns::submit(&server).await.high;
    server.stop().await;
    let mut db = connect(&url).await;
    let query = "select extract(epoch from timeout_at - requested_at)::float8 from workflow where workflow_id = $1";
    let term: f64 = sqlx::query_scalar(query).bind(pattern).fetch_one(&mut db).await.expect("a deadline");
    let term = TimeDelta::from_std(Duration::from_secs_f64(term)).expect("a term");

    let first_due = now(&mut db).await + LEAD;
    let spacing = TimeDelta::from_std(WITHIN / count).expect("a spacing");
    note(&format!("{count} deadlines within {} s", WITHIN.as_secs()));
    Patterns::only(pattern).copy(&mut db, 1, count.try_into().expect("a count"), first_due - term, spacing).await;
    seal(&url).await;
    let mut server = Server::start(&url, &[]).await;
    server.until_quiet().await;

    let mut work = Work { server: &server, meters: Meters::new(&url, Some(&server)).await };
    drive(&server, CALLERS, Step::Submit, Vec::new(), Duration::from_secs(1), CALLERS * 20).await;
    let left = until(&mut db, first_due).await;
    assert!(left > BASE, "the fill took too long: the first deadlines are only {left:?} away");
    let before = work.side(left).await;
    note(&format!("they fall due (the server is process {})", server.pid));
    let during = work.side(WITHIN).await;
    all_handled(&mut db).await;
    let after = work.side(BASE).await;
    server.stop().await;

    let query = "select percentile_disc(array[0.5, 0.99, 1]) within group (order by late), count(*)
                 from (select extract(epoch from e.at - s.at)::float8 - $1 as late
                       from workflow_event e join workflow_event s on s.workflow_id = e.workflow_id and s.version = 1
                       where e.kind = 'escalated') as escalation";
    let (late, handled): (Vec<f64>, i64) = sqlx::query_as(query).bind(term.as_seconds_f64()).fetch_one(&mut db).await.expect("escalations");
    assert_eq!(handled, i64::from(count), "each request is escalated exactly once");
    Deadlines { count, late: late.try_into().expect("three"), before, after, during }
}

struct Work<'a> {
    server: &'a Server,
    meters: Meters,
}

impl Work<'_> {
    async fn side(&mut self, duration: Duration) -> Side {
        let before = self.meters.read().await;
        let phase: Phase = drive(self.server, CALLERS, Step::Submit, Vec::new(), duration, usize::MAX).await;
        let cost = self.meters.read().await.since(before);
        Side { rate: phase.rate(), p99: phase.percentile(0.99), seconds: phase.seconds, cost }
    }
}

async fn until(db: &mut PgConnection, moment: DateTime<Utc>) -> Duration {
    (moment - now(db).await).to_std().unwrap_or_default()
}

/// Waits until no deadline is due.
async fn all_handled(db: &mut PgConnection) {
    let began = Instant::now();
    let query = "select exists (select from workflow where approval_status = 'pending' and timeout_at <= clock_timestamp())";
    while sqlx::query_scalar(query).fetch_one(&mut *db).await.expect("what is due") {
        assert!(began.elapsed() < WAIT_LIMIT, "some are still not handled after {WAIT_LIMIT:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
