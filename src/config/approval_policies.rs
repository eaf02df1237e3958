//! `hitl/approval-policies.yaml`: the people, the agents, and the terms of decisions.

use crate::config::grants;
use crate::config::names;
use crate::config::quotas;
use crate::config::risk_rules::{self, AskedRole};
use crate::config::value::{At, Fields};
use crate::domain::duration;
use crate::domain::grant::GrantLimits;
use crate::domain::policy::quota::Quotas;
use crate::domain::policy::{Agent, Goal, Person, SYSTEM, roles};
use crate::domain::risk::level::Level;
use crate::domain::text::shown;
use crate::domain::workflow::transition;
use std::collections::BTreeMap;
use std::time::Duration;

mod document;
mod people;

const KEYS: [&str; 10] =
    ["people", "agents", "policies", "separation_of_duties", "allow_cover", "escalation", "remind_every", "quotas", "freezes", "grants"];
const POLICY_KEYS: [&str; 12] = [
    "required",
    "distinct_roles",
    "expire_after",
    "on_expiry",
    "warn_before",
    "require_digest",
    "rejected_memory",
    REPORT_WITHIN,
    "break_glass",
    "goal",
    "remind",
    "require_recent_sign_in",
];
/// The key of `policies` that also applies if nobody is asked.
const REPORT_WITHIN: &str = "report_within";

/// How often people are reminded by default.
const REMIND_EVERY: Duration = Duration::from_secs(30 * 60);

/// The file as it was written.
#[derive(Debug)]
pub struct ApprovalPolicies<'s> {
    /// Where the people are listed, or should be; `None` without a file.
    pub at: Option<At<'s>>,
    pub people: BTreeMap<String, Person>,
    /// Whether all of them could be read. If not, no role is reported as held by nobody: a broken
    /// entry may hold it.
    pub people_are_known: bool,
    /// Whether people who are away may be covered for.
    pub allow_cover: bool,
    pub agents: BTreeMap<String, Agent>,
    pub quotas: Quotas,
    pub grants: GrantLimits,
    pub policies: BTreeMap<Level, LevelTerms<'s>>,
    pub separation_of_duties: bool,
    pub escalation: BTreeMap<Level, Chain<'s>>,
    pub remind_every: Duration,
    /// The section of freezes, if there is one; it is read once the word lists are known.
    pub freezes: Option<At<'s>>,
}

/// What `policies` says of one level.
#[derive(Debug)]
pub struct LevelTerms<'s> {
    pub entry: At<'s>,
    /// The number of approvals, or the whole entry if it gives none.
    pub at: At<'s>,
    /// When a request expires, or the whole entry if it never does.
    pub expiry: At<'s>,
    pub terms: Terms,
    /// The roles that may break the glass.
    pub break_glass: Vec<AskedRole<'s>>,
    /// Whether it sets anything about decisions, and not only `report_within`.
    pub is_of_decisions: bool,
}

/// The terms of one level, as written.
#[derive(Debug, Clone)]
pub struct Terms {
    pub required: u32,
    pub distinct_roles: bool,
    pub expire_after: Option<Duration>,
    pub on_expiry: OnExpiry,
    pub require_digest: bool,
    /// How long the requester of an external action has to report its result.
    pub report_within: Duration,
    /// How long before the expiry people are warned.
    pub warn_before: Option<Duration>,
    /// How long a rejection of exactly the same task is remembered; zero means not at all.
    pub rejected_memory: Duration,
    /// The time within which requests should be decided.
    pub goal: Option<Goal>,
    /// How recently an approver has to have signed in.
    pub recent_sign_in: Option<Duration>,
}

impl Default for Terms {
    fn default() -> Self {
        Self {
            required: 1,
            distinct_roles: false,
            expire_after: None,
            on_expiry: OnExpiry::Hold,
            require_digest: false,
            report_within: transition::REPORT_WITHIN,
            warn_before: None,
            rejected_memory: Duration::ZERO,
            goal: None,
            recent_sign_in: None,
        }
    }
}

/// What happens to a request that nobody decides in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnExpiry {
    Reject,
    /// It keeps waiting, and never expires.
    Hold,
}

/// What `escalation` says of one level.
#[derive(Debug)]
pub struct Chain<'s> {
    pub at: At<'s>,
    pub steps: Vec<Step<'s>>,
}

/// One step of a chain.
#[derive(Debug)]
pub struct Step<'s> {
    pub at: At<'s>,
    pub after: Duration,
    pub to: Vec<AskedRole<'s>>,
}

impl Default for ApprovalPolicies<'_> {
    fn default() -> Self {
        Self {
            at: None,
            people: BTreeMap::new(),
            people_are_known: true,
            allow_cover: false,
            agents: BTreeMap::new(),
            quotas: Quotas::default(),
            grants: GrantLimits::default(),
            policies: BTreeMap::new(),
            separation_of_duties: true,
            escalation: BTreeMap::new(),
            remind_every: REMIND_EVERY,
            freezes: None,
        }
    }
}

/// Reads the file.
pub fn read<'s>(file: &At<'s>) -> ApprovalPolicies<'s> {
    let fields = file.fields(&KEYS);
    let section = |name: &str| fields.as_ref().and_then(|fields| fields.get(name));
    let allow_cover = section("allow_cover").and_then(|at| at.boolean()).unwrap_or(false);
    let (people, people_are_known) = section("people").map_or_else(|| (BTreeMap::new(), true), |at| people::read(&at, allow_cover));
    let mut quotas = Quotas::default();
    if let Some(at) = section("quotas") {
        quotas.usual = quotas::quota(&at, quotas.usual);
    }
    let agents = section("agents").map(|at| agents(&at, &people, &mut quotas)).unwrap_or_default();
    let default = ApprovalPolicies::default();
    ApprovalPolicies {
        at: section("people").or_else(|| Some(file.clone())),
        people,
        people_are_known,
        allow_cover,
        agents,
        quotas,
        grants: section("grants").map(|at| grants::read(&at)).unwrap_or_default(),
        policies: section("policies").map(|at| by_level(&at, level_terms)).unwrap_or_default(),
        separation_of_duties: section("separation_of_duties").and_then(|at| at.boolean()).unwrap_or(default.separation_of_duties),
        escalation: section("escalation").map(|at| by_level(&at, chain)).unwrap_or_default(),
        remind_every: section("remind_every").and_then(|at| at.duration()).unwrap_or(default.remind_every),
        freezes: section("freezes"),
    }
}

fn by_level<'s, T>(at: &At<'s>, read: impl Fn(&At<'s>) -> Option<T>) -> BTreeMap<Level, T> {
    let Some(fields) = at.fields(&Level::ALL.map(Level::as_str)) else { return BTreeMap::new() };
    Level::ALL.into_iter().filter_map(|level| Some((level, read(&fields.get(level.as_str())?)?))).collect()
}

fn agents(at: &At<'_>, people: &BTreeMap<String, Person>, quotas: &mut Quotas) -> BTreeMap<String, Agent> {
    let mut agents = BTreeMap::new();
    for (name, at) in at.entries("agents: a name and { on_behalf_of: a person }").unwrap_or_default() {
        valid_name(name, &at, people.keys().chain(agents.keys()));
        no_role(name, &at, people);
        let fields = at.fields(&["on_behalf_of", "quotas"]);
        if let Some(at) = fields.as_ref().and_then(|fields| fields.get("quotas")) {
            quotas.agents.insert(name.to_owned(), quotas::quota(&at, quotas.usual));
        }
        let on_behalf_of = fields.and_then(|fields| fields.get("on_behalf_of")).and_then(|at| {
            let known = || people.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let unknown = |text: &str| format!("`{}` is not one of the people: {}", shown(text), known());
            at.parsed(|text| people.contains_key(text).then(|| text.to_owned()).ok_or_else(|| unknown(text)))
        });
        agents.insert(name.to_owned(), Agent { on_behalf_of });
    }
    agents
}

/// Notes a name that is invalid or already taken.
fn valid_name<'n>(name: &str, at: &At<'_>, mut taken: impl Iterator<Item = &'n String>) {
    if let Err(error) = names::principal(name) {
        at.problem(error);
    } else if name.eq_ignore_ascii_case(SYSTEM) {
        at.problem("is the name under which parkbrake itself acts; choose another");
    } else if let Some(other) = taken.find(|taken| taken.eq_ignore_ascii_case(name)) {
        at.problem(format!("`{other}` is already the name of somebody else; names are unique, whatever their case"));
    }
}

/// Notes a name that is also a role's: readers of "asked: admin" could not tell which is meant.
fn no_role(name: &str, at: &At<'_>, people: &BTreeMap<String, Person>) {
    let mut known = people.values().flat_map(|person| &person.roles).map(String::as_str).chain([roles::ADMIN, roles::AUDITOR]);
    if known.any(|role| role.eq_ignore_ascii_case(name)) {
        at.problem("is the name of a role; a person or an agent needs another one");
    }
}

fn level_terms<'s>(at: &At<'s>) -> Option<LevelTerms<'s>> {
    let fields = at.fields(&POLICY_KEYS)?;
    let expiry = fields.get("expire_after");
    let on_expiry = fields.get("on_expiry").and_then(|at| {
        let read = at.parsed(|text| match text {
            "reject" => Ok(OnExpiry::Reject),
            "hold" => Ok(OnExpiry::Hold),
            _ => {
                Err(format!("is `{}`, but has to be reject (the request ends) or hold (it keeps waiting, and never expires)", shown(text)))
            }
        });
        if read == Some(OnExpiry::Reject) && expiry.is_none() {
            at.problem("has no effect without expire_after: say when a request expires, or leave this out");
        }
        read
    });
    let expire_after = expiry.as_ref().and_then(At::duration);
    let warn_before = fields.get("warn_before").and_then(|at| {
        let before = at.duration()?;
        match expire_after {
            None => at.problem("has no effect without expire_after: say when a request expires, or leave this out"),
            Some(after) if before >= after => at.problem(format!(
                "is not less than expire_after ({}), so people would be warned before they are asked; warn later",
                duration::show(after)
            )),
            Some(_) => {}
        }
        Some(before)
    });
    let boolean = |name: &str| fields.get(name).and_then(|at| at.boolean()).unwrap_or(false);
    let required = fields.get("required");
    let terms = Terms {
        required: required.as_ref().and_then(At::count).unwrap_or(1),
        distinct_roles: boolean("distinct_roles"),
        on_expiry: on_expiry.unwrap_or(if expiry.is_some() { OnExpiry::Reject } else { OnExpiry::Hold }),
        expire_after,
        warn_before,
        require_digest: boolean("require_digest"),
        rejected_memory: fields.get("rejected_memory").and_then(|at| at.duration()).unwrap_or_default(),
        goal: goal(&fields),
        recent_sign_in: fields.get("require_recent_sign_in").and_then(|at| at.duration()),
        report_within: fields.get(REPORT_WITHIN).and_then(|at| at.duration()).unwrap_or(transition::REPORT_WITHIN),
    };
    let is_of_decisions = POLICY_KEYS.iter().any(|key| *key != REPORT_WITHIN && fields.get(key).is_some());
    let break_glass = fields.get("break_glass").map(|at| {
        if at.is_empty() {
            at.problem("names no role, so nobody may break the glass; name one, or leave the key out");
        }
        risk_rules::roles(&at)
    });
    let or_entry = |part: Option<At<'s>>| part.unwrap_or_else(|| at.clone());
    Some(LevelTerms {
        entry: at.clone(),
        at: or_entry(required),
        expiry: or_entry(expiry),
        terms,
        break_glass: break_glass.unwrap_or_default(),
        is_of_decisions,
    })
}

/// The time within which people should decide, and when they are reminded of it.
fn goal(fields: &Fields<'_>) -> Option<Goal> {
    let (goal, remind) = (fields.get("goal"), fields.get("remind"));
    if let Some(at) = remind.as_ref().filter(|_| goal.is_none()) {
        at.problem("has no effect without goal: say within what time people should decide, or leave this out");
    }
    let remind = remind.map(|at| percents(&at)).unwrap_or_default();
    Some(Goal { within: goal?.duration()?, remind })
}

/// Shares of the goal, such as `[50%, 90%]`.
fn percents(at: &At<'_>) -> Vec<u32> {
    if at.is_empty() {
        at.problem("names no share of the goal; name one, such as 50%, or leave the key out");
    }
    let mut read: Vec<u32> = Vec::new();
    for at in at.items("shares of the goal, such as [50%, 90%]").unwrap_or_default() {
        let Some(percent) = at.parsed(percent) else { continue };
        if let Some(before) = read.last().filter(|before| **before >= percent) {
            at.problem(format!("is not more than the share before it ({before}%); write them in rising order"));
        }
        read.push(percent);
    }
    read
}

fn percent(text: &str) -> Result<u32, String> {
    let digits = text.strip_suffix('%').filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
    let percent = digits.and_then(|digits| digits.parse().ok()).filter(|percent| (1..100).contains(percent));
    percent.ok_or_else(|| format!("is `{}`, but has to be a share of the goal from 1% to 99%, such as 50%", shown(text)))
}

fn chain<'s>(at: &At<'s>) -> Option<Chain<'s>> {
    let mut steps: Vec<Step<'s>> = Vec::new();
    for entry in at.items("steps, such as { after: 30m, to: [cto] }")? {
        let Some(fields) = entry.fields(&["after", "to"]) else { continue };
        let after = fields.required("after", "write how long after the request these roles are asked, such as 30m");
        let to = fields.required("to", "name the roles that are asked then").map(|at| risk_rules::roles(&at)).unwrap_or_default();
        let Some((after, at)) = after.and_then(|at| Some((at.duration()?, at))) else { continue };
        if let Some(before) = steps.last().filter(|before| before.after >= after) {
            let before = duration::show(before.after);
            at.problem(format!("is not later than the step before it ({before}); each is counted from the request, so steps have to rise"));
        }
        steps.push(Step { at, after, to });
    }
    if at.is_empty() {
        at.problem("has no step; name one, or leave the level out to have escalate_after instead");
    }
    Some(Chain { at: at.clone(), steps })
}

impl Terms {
    /// When a request expires, taking `on_expiry` into account.
    pub fn expires_after(&self) -> Option<Duration> {
        self.expire_after.filter(|_| self.on_expiry == OnExpiry::Reject)
    }
}

impl ApprovalPolicies<'_> {
    /// The terms of a level.
    pub fn terms(&self, level: Level) -> Terms {
        self.policies.get(&level).map(|written| written.terms.clone()).unwrap_or_default()
    }
}
