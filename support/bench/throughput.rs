//! The first part: rounds of the references and of parkbrake, in turn.

use crate::Args;
use crate::harness::{self, Harness, Server, note};
use crate::lanes::{Phase, Step, drive, park};
use crate::load::Id;
use crate::meters::{Meters, Reading, sync_time};
use crate::references::{self, Plain};
use std::time::Duration;

/// From this number of callers on, there are also a mixed load, and approvals of workflows that the
/// server first has to read.
const MANY: usize = 16;
/// How many workflows that server keeps in memory.
const FEW_RESIDENT: &str = "64";
/// Clients of reference A, and callers of reference B.
pub const PLAIN_CLIENTS: usize = 16;
pub const GROUP_CALLERS: usize = 64;

/// The names of the phases.
pub const SUBMIT: &str = "submit → parked";
pub const APPROVE: &str = "approve → answered";
pub const APPROVE_STORED: &str = "approve → answered, not in memory";
pub const COMPLETE: &str = "approve + result → completed";
pub const MIXED: &str = "mixed: submits, approvals, reads, a list, with 8 open streams";

/// One phase of one round.
pub struct Sample {
    pub what: &'static str,
    pub callers: usize,
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    pub count: f64,
    pub seconds: f64,
    /// Reference A with 16 clients, the mean of directly before and after the phases with this
    /// number of callers.
    pub plain: f64,
    /// How many of the approved workflows were in memory when the phase began.
    pub resident: Option<f64>,
    /// The cost of all steps together.
    pub cost: Reading,
}

/// One round.
pub struct Round {
    pub sync: f64,
    /// Reference A with one client, before and after parkbrake.
    pub lone: [Plain; 2],
    /// Reference A with 16, before and after the phases of each number of callers.
    pub plain: Vec<Plain>,
    pub samples: Vec<Sample>,
    pub group: Sample,
}

/// Runs the rounds.
pub async fn measure(harness: &Harness, args: &Args) -> Vec<Round> {
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        note(&format!("round {round} of {}", args.rounds));
        let sync = sync_time(harness.folder());
        let lone = references::pgbench(harness, 1, args.seconds).await;
        let mut plain = vec![references::pgbench(harness, PLAIN_CLIENTS, args.seconds).await];
        let url = harness.database(&format!("round_{round}")).await;
        harness::prepare(&url).await;
        let mut samples = Vec::new();
        for count in &args.callers {
            let server = Server::start(&url, &[]).await;
            let meters = Meters::new(&url, Some(&server)).await;
            let mut work = Work { server: &server, meters, seconds: args.seconds, samples: Vec::new() };
            let stored = work.at(*count).await;
            let mut found = std::mem::take(&mut work.samples);
            server.stop().await;
            if *count >= MANY {
                let server = Server::start(&url, &["--max-resident", FEW_RESIDENT]).await;
                let meters = Meters::new(&url, Some(&server)).await;
                let mut work = Work { server: &server, meters, seconds: args.seconds, samples: Vec::new() };
                work.phase(APPROVE_STORED, *count, Step::Approve, stored).await;
                found.append(&mut work.samples);
                server.stop().await;
            }
            plain.push(references::pgbench(harness, PLAIN_CLIENTS, args.seconds).await);
            let beside = plain.iter().rev().take(2).map(|plain| plain.rate).sum::<f64>() / 2.0;
            samples.extend(found.into_iter().map(|sample| Sample { plain: beside, ..sample }));
        }
        harness.drop_database(&format!("round_{round}")).await;
        let group = references::group_commit(harness, GROUP_CALLERS, args.seconds).await;
        let beside = plain.last().map_or(f64::NAN, |plain| plain.rate);
        let group = Sample { plain: beside, ..sample("group commit", &group, Reading::default()) };
        let lone = [lone, references::pgbench(harness, 1, args.seconds).await];
        rounds.push(Round { sync, lone, plain, samples, group });
    }
    rounds
}

struct Work<'a> {
    server: &'a Server,
    meters: Meters,
    seconds: u32,
    samples: Vec<Sample>,
}

impl Work<'_> {
    /// Runs every phase with this number of callers; returns the workflows that are still parked.
    async fn at(&mut self, count: usize) -> Vec<Id> {
        // Warm up: prepared statements, cached tokens.
        drive(self.server, count, Step::Submit, Vec::new(), Duration::from_secs(1), count * 20).await;
        let mut ids = self.phase(SUBMIT, count, Step::Submit, Vec::new()).await.ids;
        // Twice as many as were submitted in the same time, so that the phase does not run out of
        // workflows.
        let supply = 2 * ids.len();
        ids.extend(park(self.server, ids.len()).await);
        let left = self.phase(APPROVE, count, Step::Approve, ids).await.ids;
        let fresh = park(self.server, supply / 2).await;
        self.phase(COMPLETE, count, Step::Complete, fresh).await;
        if count >= MANY {
            self.phase(MIXED, count, Step::Mixed, Vec::new()).await;
        }
        left
    }

    async fn phase(&mut self, what: &'static str, count: usize, step: Step, ids: Vec<Id>) -> Phase {
        note(&format!("{what}, {count} callers (the server is process {})", self.server.pid));
        let supply = ids.len();
        let resident = self.meters.workflows_in_memory().await;
        self.meters.checkpoint().await;
        let before = self.meters.read().await;
        let phase = drive(self.server, count, step, ids, Duration::from_secs(self.seconds.into()), usize::MAX).await;
        let cost = self.meters.read().await.since(before);
        let approved = (supply - phase.ids.len().min(supply)) as f64;
        let resident = (step == Step::Approve && approved > 0.0).then(|| resident.min(approved));
        self.samples.push(Sample { resident, ..sample(what, &phase, cost) });
        phase
    }
}

fn sample(what: &'static str, phase: &Phase, cost: Reading) -> Sample {
    Sample {
        what,
        callers: phase.count,
        rate: phase.rate(),
        p50: phase.percentile(0.5),
        p99: phase.percentile(0.99),
        count: phase.latencies.len() as f64,
        seconds: phase.seconds,
        plain: f64::NAN,
        resident: None,
        cost,
    }
}
