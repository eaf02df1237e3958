//! The first part: rounds of the references and of parkbrake, in turn.

use crate::Args;
use crate::load::{Caller, Id, Phase, Step, callers, drive, park};
use crate::meters::{Meters, Reading, sync_time};
use crate::references::{self, Plain};
use crate::stage::{self, Server, Stage, note};
use std::time::Duration;

/// Decisions of a phase at most, so that they all meet workflows in memory: the server keeps 10,000 there.
const IN_MEMORY: usize = 9_000;
/// How many the server keeps in memory, and some more.
const BEYOND_MEMORY: usize = 10_500;
/// Fewer than this are not worth a row.
const ENOUGH: usize = 500;
/// Clients of reference A, and callers of reference B.
pub const PLAIN_CLIENTS: usize = 16;
pub const GROUP_CALLERS: usize = 64;

/// What a phase is called.
pub const SUBMIT: &str = "submit → parked";
pub const APPROVE: &str = "approve → answered";
pub const APPROVE_STORED: &str = "approve → answered, not in memory";
pub const COMPLETE: &str = "approve + result → completed";

/// One phase of one round.
pub struct Sample {
    pub what: &'static str,
    pub callers: usize,
    pub rate: f64,
    pub p50: f64,
    pub p99: f64,
    pub count: f64,
    pub seconds: f64,
    /// What it cost, all steps together.
    pub cost: Reading,
}

/// Everything once.
pub struct Round {
    pub sync: f64,
    /// Reference A with one client and with 16, each before and after parkbrake.
    pub lone: [Plain; 2],
    pub plain: [Plain; 2],
    pub samples: Vec<Sample>,
    pub group: Sample,
}

/// Takes the rounds.
pub async fn measure(stage: &Stage, args: &Args) -> Vec<Round> {
    let mut rounds = Vec::new();
    for round in 1..=args.rounds {
        note(&format!("round {round} of {}", args.rounds));
        let sync = sync_time(stage.folder());
        let lone = references::pgbench(stage, 1, args.seconds).await;
        let plain = references::pgbench(stage, PLAIN_CLIENTS, args.seconds).await;
        let url = stage.database(&format!("round_{round}")).await;
        stage::prepare(&url).await;
        let server = Server::start(&url).await;
        let mut work = Work { server: &server, meters: Meters::new(&url, Some(&server)).await, seconds: args.seconds, samples: Vec::new() };
        for count in &args.callers {
            work.at(*count).await;
        }
        let samples = work.samples;
        server.stop().await;
        let group = references::group_commit(stage, GROUP_CALLERS, args.seconds).await;
        let group = sample("group commit", &group, Reading::default());
        let lone = [lone, references::pgbench(stage, 1, args.seconds).await];
        let plain = [plain, references::pgbench(stage, PLAIN_CLIENTS, args.seconds).await];
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
    /// Every phase with this many callers.
    async fn at(&mut self, count: usize) {
        let mut callers = callers(self.server, count).await;
        // Warm: connections, prepared statements, the believed tokens.
        drive(&mut callers, Step::Submit, Vec::new(), Duration::from_secs(1), count * 20).await;

        let mut ids = self.phase(SUBMIT, &mut callers, Step::Submit, Vec::new(), usize::MAX).await.ids;
        let newest = ids.split_off(ids.len().saturating_sub(IN_MEMORY));
        let stored: Vec<Id> = ids.drain(..(ids.len() + newest.len()).saturating_sub(BEYOND_MEMORY)).collect();

        let approved = newest.len();
        let left = self.phase(APPROVE, &mut callers, Step::Approve, newest, usize::MAX).await.ids;
        let approved = approved - left.len();
        if stored.len() >= ENOUGH {
            self.phase(APPROVE_STORED, &mut callers, Step::Approve, stored, usize::MAX).await;
        }
        let fresh = park(self.server, approved).await;
        self.phase(COMPLETE, &mut callers, Step::Complete, fresh, usize::MAX).await;
    }

    async fn phase(&mut self, what: &'static str, callers: &mut [Caller], step: Step, ids: Vec<Id>, most: usize) -> Phase {
        note(&format!("{what}, {} callers (the server is process {})", callers.len(), self.server.pid));
        self.meters.checkpoint().await;
        let before = self.meters.read().await;
        let phase = drive(callers, step, ids, Duration::from_secs(self.seconds.into()), most).await;
        let cost = self.meters.read().await.since(before);
        self.samples.push(sample(what, &phase, cost));
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
        cost,
    }
}
