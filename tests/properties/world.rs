//! Small random worlds: people, agents that act for others, roles, suspensions, and the policy of
//! each level.
//!
//! They are drawn by a special generator, because a million of them have to be cheap even in a
//! debug build. A failing case names its seed; `PARKBRAKE_CASES` and `PARKBRAKE_SEED` set how many
//! are drawn, and the first seed.

use parkbrake::domain::policy::{Agent, ApprovalTerms, EscalationStep, LevelPolicy, Person, Policy, Suspended};
use parkbrake::domain::risk::Assessment;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::task::ActionKind;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::via::Via;
use parkbrake::domain::workflow::{Approval, Event, Recorded, Submission, Workflow};
use parkbrake::domain::workflow::{approval, transition};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Debug;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

pub const ROLES: [&str; 4] = ["lead", "tech", "cto", "admin"];
pub const PEOPLE: [&str; 5] = ["ann", "ben", "cora", "dan", "eve"];
pub const AGENTS: [&str; 3] = ["bot", "helper", "tool"];
/// Names that are valid but that no list has.
pub const STRANGERS: [&str; 3] = ["Ann", "gone", "BOT"];
const ID: Uuid = Uuid::from_u128(7);

/// Numbers that look random (SplitMix64).
pub struct Dice(u64);

impl Dice {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number less than this one.
    pub fn below(&mut self, end: usize) -> usize {
        usize::try_from(self.next() % end as u64).expect("a small number")
    }

    /// True in this percentage of cases.
    pub fn percent(&mut self, times: usize) -> bool {
        self.below(100) < times
    }

    pub fn one<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.below(of.len())]
    }

    /// Each of them in this percentage of cases.
    pub fn some(&mut self, of: &[&str], times: usize) -> Vec<String> {
        of.iter().filter(|_| self.percent(times)).map(|name| (*name).to_owned()).collect()
    }
}

/// Draws worlds until this many cases were checked; each world returns how many it had.
#[track_caller]
pub fn cases(usual: usize, mut look: impl FnMut(&mut Dice) -> usize) {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse::<u64>().unwrap_or_else(|_| panic!("{name} is a number")));
    let wanted = number("PARKBRAKE_CASES").map_or(usual, |cases| usize::try_from(cases).expect("a number"));
    let (first, mut looked) = (number("PARKBRAKE_SEED").unwrap_or(1), 0);
    for seed in first.. {
        if looked >= wanted {
            break;
        }
        let world = AssertUnwindSafe(|| look(&mut Dice(seed.wrapping_mul(0xD134_2543_DE82_EF95))));
        looked += catch_unwind(world).unwrap_or_else(|_| panic!("PARKBRAKE_SEED={seed} PARKBRAKE_CASES=1 draws this world again"));
    }
}

/// A configuration with suspensions.
#[derive(Debug, Clone)]
pub struct World {
    pub people: BTreeMap<String, Person>,
    pub agents: BTreeMap<String, Agent>,
    pub suspended: BTreeSet<String>,
    pub auto_approve: bool,
    pub terms: ApprovalTerms,
}

impl World {
    pub fn draw(dice: &mut Dice) -> Self {
        let mut people = BTreeMap::new();
        for name in PEOPLE {
            if dice.percent(90) {
                people.insert(name.to_owned(), Person { roles: dice.some(&ROLES, 40).into_iter().collect(), ..Person::default() });
            }
        }
        let anybody: Vec<&str> = PEOPLE.into_iter().chain(AGENTS).chain(STRANGERS).collect();
        let mut agents = BTreeMap::new();
        for name in AGENTS {
            if dice.percent(85) {
                let on_behalf_of = dice.percent(75).then(|| dice.one(&anybody).to_owned());
                agents.insert(name.to_owned(), Agent { on_behalf_of });
            }
        }
        let suspended = PEOPLE.into_iter().chain(AGENTS).filter(|_| dice.percent(8)).map(str::to_owned).collect();
        Self { people, agents, suspended, auto_approve: dice.percent(15), terms: terms(dice) }
    }

    pub fn policy(&self) -> Policy {
        let level = |auto_approve| LevelPolicy {
            auto_approve,
            notify: true,
            terms: self.terms.clone().into(),
            break_glass: Vec::new(),
            remind_every: Duration::from_secs(60),
            report_within: Duration::from_secs(60),
            rejected_memory: Duration::ZERO,
            recent_sign_in: None,
            goal: None,
            warn_before: None,
        };
        Policy::new(
            [level(self.auto_approve), level(true), level(self.auto_approve), level(true)],
            self.people.clone(),
            self.agents.clone(),
        )
    }

    /// Suspensions in the database's form: in any case.
    pub fn suspensions(&self) -> Suspended {
        self.suspended.iter().map(|name| name.to_ascii_uppercase()).collect()
    }

    /// Every name that the configuration lists.
    pub fn listed(&self) -> Vec<&str> {
        self.people.keys().chain(self.agents.keys()).map(String::as_str).collect()
    }
}

/// Terms of any strictness.
pub fn terms(dice: &mut Dice) -> ApprovalTerms {
    let mut approvers = dice.some(&ROLES, 45);
    if approvers.is_empty() {
        approvers.push(dice.one(&ROLES).to_owned());
    }
    let steps = dice.below(3) as u64;
    let escalation = (1..=steps).map(|step| EscalationStep { after: Duration::from_secs(60 * step), to: dice.some(&ROLES, 40) }).collect();
    ApprovalTerms {
        approvers,
        required: 1 + u32::try_from(dice.below(3)).expect("a small number"),
        distinct_roles: dice.percent(40),
        require_justification: dice.percent(25),
        require_digest: dice.percent(25),
        separation_of_duties: dice.percent(70),
        escalation,
        expire_after: None,
    }
}

pub fn digest() -> Digest {
    Digest::of(b"the task")
}

/// A waiting workflow, after some steps of its timetable.
pub fn parked(dice: &mut Dice, world: &World, terms: &ApprovalTerms) -> Workflow {
    let anybody: Vec<&str> = PEOPLE.into_iter().chain(AGENTS).chain(STRANGERS).collect();
    let listed = world.listed();
    let requested_by = if listed.is_empty() || dice.percent(15) { dice.one(&anybody) } else { dice.one(&listed) }.to_owned();
    // Usually as it is declared now; it may have been declared differently then.
    let declared = world.agents.get(&requested_by).and_then(|agent| agent.on_behalf_of.clone());
    let on_behalf_of = if dice.percent(80) { declared } else { dice.percent(60).then(|| dice.one(&anybody).to_owned()) };
    let submission = Submission {
        task_id: None,
        requested_by,
        on_behalf_of,
        digest: digest(),
        assessment: Assessment { level: Level::High, reasons: Vec::new(), policy_version: Digest::of(b"policy") },
        action: ActionKind::Runbook,
        idempotent: false,
        report_within: None,
        retry: None,
        probe: false,
        target: None,
        supersedes: None,
        steps: Vec::new(),
        claim: None,
        gate: Default::default(),
    };
    let taken = if terms.escalation.is_empty() { 0 } else { dice.below(terms.escalation.len() + 1) };
    let steps = (1..).zip(&terms.escalation[..taken]).map(|(level, step)| Event::Escalated { round: 1, level, to: step.to.clone() });
    let opening = transition::open(submission, Some(Arc::new(terms.clone())), Uuid::nil());
    opening.into_iter().chain(steps).fold(None, |workflow, event| Some(after(workflow, event))).expect("a workflow")
}

/// The state after one more event.
pub fn after(workflow: Option<Workflow>, event: Event) -> Workflow {
    let version = workflow.as_ref().map_or(0, |workflow| workflow.version) + 1;
    // The actor of an approval is the approver; the actor of any other event does not matter here.
    let actor = if let Event::Approved(approval) = &event { approval.approver.clone() } else { "somebody".to_owned() };
    let recorded = Recorded { version, at: chrono::DateTime::UNIX_EPOCH, actor, via: Via::Rest, event };
    transition::apply(ID, workflow, &recorded).expect("an event that can follow")
}

/// The workflow with approvals of entitled people at some time; whether they are still entitled is
/// another question.
pub fn with_approvals(dice: &mut Dice, mut workflow: Workflow) -> Workflow {
    let anybody: Vec<&str> = PEOPLE.into_iter().chain(STRANGERS).collect();
    for name in anybody {
        let Some(round) = workflow.round() else { break };
        let asked: Vec<String> = approval::entitled_roles(round).into_iter().cloned().collect();
        let roles: Vec<String> = asked.into_iter().filter(|_| dice.percent(50)).collect();
        if roles.is_empty() || !dice.percent(35) {
            continue;
        }
        let given: Vec<&[String]> = round.approvals.iter().map(|approval| approval.roles.as_slice()).collect();
        let remaining = |given: &[&[String]]| approval::remaining(&round.terms, given);
        let left = remaining(&given.iter().copied().chain([roles.as_slice()]).collect::<Vec<_>>());
        if left == remaining(&given) {
            continue;
        }
        let given = Approval {
            round: round.number,
            approver: name.to_owned(),
            roles,
            digest: digest(),
            justification: (round.terms.require_justification || dice.percent(60)).then(|| "I looked".to_owned()),
            remaining: left,
            by_groups: Vec::new(),
            cover: Vec::new(),
        };
        workflow = after(Some(workflow), Event::Approved(given));
        if left == 0 {
            return after(Some(workflow), Event::Released { step: 1, attempt: 1 });
        }
    }
    workflow
}

/// Fails, and prints everything about the case.
#[track_caller]
pub fn hold(holds: bool, rule: &str, case: impl FnOnce() -> Vec<Box<dyn Debug>>) {
    if !holds {
        let made_of: Vec<String> = case().iter().map(|part| format!("{part:#?}")).collect();
        panic!("{rule}\n{}", made_of.join("\n"));
    }
}
