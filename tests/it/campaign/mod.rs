//! The fault campaign: a workload runs while faults happen in combinations that are drawn from a
//! seed. Then all faults end, everything settles, and a checker compares what is stored, what
//! clients were told, what the runbooks recorded and what listeners received.
//!
//! `CAMPAIGN_SEED=N` repeats one campaign, as far as timing allows; `CAMPAIGN_MINUTES=N` runs
//! campaigns for this long, starting with that seed. Findings name their seed.

mod check;
mod dice;
mod faults;
mod history;
mod lies;
mod listen;
mod load;
mod runbooks;
mod slots;
mod world;

use crate::support::called;
use check::check;
use dice::Dice;
use faults::Fault;
use futures_util::future::join_all;
use history::{History, Mark};
use listen::Listener;
use load::{Load, read_all};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::time::{Duration, Instant};
use tokio::time::sleep;
use world::World;

/// The seeds of an ordinary run, which together have every kind of fault.
const SEEDS: [u64; 2] = [2, 3];
/// The fewest workflows that are submitted while faults happen.
const WORKFLOWS: usize = 500;
/// How many kinds of faults each campaign has; the seed determines which. An even seed and the next
/// one have each kind once.
const KINDS: usize = Fault::ALL.len() / 2;
/// How many faults are enough for an ordinary campaign.
const ENOUGH: usize = 2 * KINDS;
/// How long the campaign waits without any progress after all faults have ended.
const REST_LIMIT: Duration = Duration::from_secs(60);

/// The figures of a campaign.
#[derive(Debug, Default)]
struct Figures {
    workflows: usize,
    events: usize,
    starts: usize,
    unknown: usize,
    cut: usize,
    servers: usize,
    acknowledged: usize,
    heard: usize,
    faults: BTreeMap<Fault, usize>,
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { workflows, events, starts, unknown, cut, servers, acknowledged, heard, faults } = self;
        write!(
            f,
            "{workflows} workflows, {events} events, {starts} starts, {unknown} of unknown outcome, {cut} actions ended by their server, \
             {servers} servers acted, {acknowledged} calls acknowledged, {heard} events heard, faults {faults:?}"
        )
    }
}

/// How a campaign's servers are run, which is random, too.
fn arguments(dice: &mut Dice) -> Vec<&'static str> {
    let (resident, turns) = (dice.one_of(&["1", "1", "20", "1000"]), dice.one_of(&["4", "16", "64"]));
    vec!["--lease", "8s", "--drain", "3s", "--connections", "8", "--max-resident", resident, "--turns", turns]
}

/// Causes the faults, a few at a time with pauses, until each kind of this seed has happened and
/// enough was submitted.
async fn disturb(world: &World, load: &Load, dice: &mut Dice, least: Duration) -> BTreeMap<Fault, usize> {
    let mut kinds = Fault::ALL.to_vec();
    Dice::new(load.seed / 2, "the kinds of faults").shuffle(&mut kinds);
    if load.seed % 2 == 1 {
        kinds.rotate_left(KINDS);
    }
    kinds.truncate(KINDS);
    let (mut deck, mut happened) = (Vec::new(), BTreeMap::new());
    let began = Instant::now();
    while happened.len() < kinds.len() || load.submitted() < WORKFLOWS || began.elapsed() < least {
        if happened.values().sum::<usize>() >= ENOUGH && began.elapsed() >= least {
            // A slow machine needs longer for as many workflows, but not more faults.
            sleep(Duration::from_millis(100)).await;
            continue;
        }
        if deck.is_empty() {
            deck.clone_from(&kinds);
            dice.shuffle(&mut deck);
        }
        let together = deck.split_off(deck.len() - deck.len().min(1 + dice.below(3)));
        let number: usize = happened.values().sum();
        join_all(together.iter().map(|fault| fault.happen(world, Dice::new(load.seed, &format!("{fault:?} {number}"))))).await;
        for fault in together {
            *happened.entry(fault).or_default() += 1;
        }
        sleep(dice.between(200, 1_200)).await;
    }
    happened
}

/// Waits until nothing is in progress, and the listeners have received everything. If there is no
/// progress for too long, the checker reports it.
async fn rest(world: &World, listeners: &[Listener]) {
    let (mut moved, mut last) = (Instant::now(), None);
    let mut calm = 0;
    while calm < 3 && moved.elapsed() < REST_LIMIT {
        let (under_way, events) = (world.under_way().await, world.events().await);
        let heard: Vec<_> = listeners.iter().map(|listener| i32::try_from(listener.count()).ok()).collect();
        calm = if under_way == Some(0) && events.is_some() && heard.iter().all(|heard| *heard >= events) { calm + 1 } else { 0 };
        let now = Some((events, heard));
        if now != last {
            (moved, last) = (Instant::now(), now);
        }
        sleep(Duration::from_millis(300)).await;
    }
}

#[track_caller]
fn run(seed: u64, least: Duration) -> impl Future<Output = (History, Figures)> {
    called(async move {
        let mut dice = Dice::new(seed, "the campaign");
        let world = World::begin(&arguments(&mut dice)).await;
        let load = Load::new(seed, world.slots.iter().map(|slot| slot.address.clone()).collect());
        let listeners: Vec<_> = (0..2).map(|number| Listener::begin(&load, number)).collect();
        let began = Instant::now();
        while !listeners.iter().all(Listener::has_a_position) {
            assert!(began.elapsed() < REST_LIMIT, "no server has come");
            sleep(Duration::from_millis(50)).await;
        }
        let callers = load.begin();
        let faults = disturb(&world, &load, &mut dice, least).await;
        world.heal().await;
        sleep(Duration::from_secs(1)).await;
        load.end();
        for caller in callers {
            caller.await.expect("a caller");
        }
        rest(&world, &listeners).await;
        read_all(&load, &world.ids().await).await;
        let heard: Vec<_> = listeners.iter().map(Listener::heard).collect();
        drop(listeners);
        let mut history = world.end().await;
        for (events, alarms) in heard {
            history.heard.push(events);
            history.alarms.extend(alarms);
        }
        history.told = load.told();
        let figures = figures(&history, faults);
        (history, figures)
    })
}

fn figures(history: &History, faults: BTreeMap<Fault, usize>) -> Figures {
    Figures {
        workflows: history.stored.len(),
        events: history.stored.values().map(|stored| stored.log.len()).sum(),
        starts: history.ledger.iter().filter(|line| line.mark == Mark::Start).count(),
        unknown: history.stored.values().filter(|stored| stored.first("outcome_unknown").is_some()).count(),
        cut: history.servers.values().map(|server| server.cut.len()).sum(),
        servers: history.servers.len(),
        acknowledged: history.told.iter().filter(|told| [200, 202].contains(&told.status)).count(),
        heard: history.heard.iter().map(Vec::len).sum(),
        faults,
    }
}

/// One campaign; its findings, in a readable form.
async fn campaign(seed: u64, least: Duration) -> (Figures, Vec<String>) {
    let began = Instant::now();
    let (history, figures) = run(seed, least).await;
    let found: Vec<String> = check(&history)
        .into_iter()
        .map(|violation| {
            let log = violation.workflow.and_then(|id| history.stored.get(&id));
            let log = log.map(|stored| {
                stored.log.iter().map(|one| format!("\n    {} {} {} {:?}", one.version, one.at, one.actor, one.event)).collect::<String>()
            });
            let lines = history.ledger.iter().filter(|line| Some(line.workflow) == violation.workflow);
            let lines: String = lines.map(|line| format!("\n    ledger: {} {:?} {}", line.at, line.mark, line.attempt)).collect();
            let told = history.told.iter().filter(|told| told.workflow.is_some() && told.workflow == violation.workflow);
            let told: String = told.map(|told| format!("\n    told: {} {:?} {} {}", told.by, told.call, told.status, told.code)).collect();
            format!(
                "seed {seed}: {:?} {}: {}{}{lines}{told}",
                violation.rule,
                violation.workflow.unwrap_or_default(),
                violation.detail,
                log.unwrap_or_default()
            )
        })
        .collect();
    // The test harness captures it, and prints it if something was found or if output is requested.
    eprintln!("campaign of seed {seed}: {:.0?}, {} violations, {figures}", began.elapsed(), found.len());
    for one in &found {
        eprintln!("{one}");
    }
    (figures, found)
}

#[track_caller]
fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok().map(|text| text.parse().unwrap_or_else(|_| panic!("{variable} is a number")))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn under_random_faults_nothing_is_lost_repeated_or_misreported() {
    let (seed, minutes) = (number("CAMPAIGN_SEED"), number("CAMPAIGN_MINUTES"));
    let mut results = Vec::new();
    match (seed, minutes) {
        (seed, Some(minutes)) => {
            let began = Instant::now();
            for seed in seed.unwrap_or(100).. {
                if began.elapsed() > Duration::from_secs(60 * minutes) {
                    break;
                }
                results.push(campaign(seed, Duration::from_secs(40)).await);
            }
        }
        (Some(seed), None) => results.push(campaign(seed, Duration::ZERO).await),
        // All at once: a campaign mostly waits.
        (None, None) => results.extend(join_all(SEEDS.map(|seed| campaign(seed, Duration::ZERO))).await),
    }
    let found: Vec<_> = results.iter().flat_map(|(_, found)| found).cloned().collect();
    assert!(found.is_empty(), "{} violations:\n{}", found.len(), found.join("\n"));
    // Something must have happened.
    for (figures, _) in &results {
        assert!(figures.workflows >= WORKFLOWS && figures.acknowledged > WORKFLOWS && figures.heard >= 2 * figures.events, "{figures}");
        assert!(figures.starts >= WORKFLOWS / 4 && figures.faults.len() == KINDS, "{figures}");
    }
    if (seed, minutes) == (None, None) {
        let kinds: BTreeSet<Fault> = results.iter().flat_map(|(figures, _)| figures.faults.keys().copied()).collect();
        assert_eq!(kinds, Fault::ALL.into(), "the seeds have every kind");
    }
}
