//! `hitl/risk-assessment-rules.yaml`: what each level means, the words that tasks may use, and the
//! registry of resources.

use crate::config::baseline;
use crate::config::names;
use crate::config::value::{At, Fields};
use crate::config::words::{self, Order, Words};
use crate::domain::duration;
use crate::domain::policy::Role;
use crate::domain::risk::Rules;
use crate::domain::risk::baseline::Baseline;
use crate::domain::risk::level::Level;
use crate::domain::risk::readings::Resource;
use crate::domain::risk::triggers::Trigger;
use crate::domain::task::digest::Digest;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::Duration;

const KEYS: [&str; 11] = [
    "risk_levels",
    "operations",
    "resource_types",
    "environments",
    "resources",
    "workspaces",
    "unrecognized",
    "unregistered",
    "low_risk",
    "otherwise",
    "triggers",
];
const LEVEL_KEYS: [&str; 5] = ["auto_approve", "notify", "approvers", "escalate_after", "require_justification"];

/// The environment in the conditions of the built-in triggers.
const PRODUCTION: &str = "production";

/// The file as written, with what it leaves out taken from the shipped one.
#[derive(Debug)]
pub struct RiskRules<'s> {
    /// The least dangerous first; `None` if an entry is missing or not a mapping.
    pub levels: [Option<LevelRules<'s>>; 4],
    pub operations: Words<'s>,
    pub resource_types: Words<'s>,
    pub environments: Words<'s>,
    pub resources: Vec<Resource>,
    pub workspaces: Vec<Resource>,
    pub unrecognized: Level,
    pub unregistered: Option<Level>,
    pub baseline: Baseline,
    /// This file may contain triggers too.
    pub triggers: Option<At<'s>>,
}

/// What `risk_levels` says of one level.
#[derive(Debug)]
pub struct LevelRules<'s> {
    pub at: At<'s>,
    pub auto_approve: bool,
    pub notify: bool,
    pub approvers: Vec<AskedRole<'s>>,
    pub escalate_after: Option<Duration>,
    pub require_justification: bool,
}

/// A role that is asked, and the position of its name.
#[derive(Debug, Clone)]
pub struct AskedRole<'s> {
    pub role: Role,
    pub at: At<'s>,
}

/// Reads the file together with the shipped one.
pub fn read<'s>(file: &At<'s>, shipped: &At<'s>) -> RiskRules<'s> {
    let written = file.fields(&KEYS);
    let defaults = shipped.fields(&KEYS);
    let section = |name: &str| {
        let found = written.as_ref().and_then(|fields| fields.get(name));
        found.or_else(|| defaults.as_ref()?.get(name)).unwrap_or_else(|| shipped.clone())
    };
    let operations = words::words(&section("operations"), Order::Alphabetical);
    let resource_types = words::words(&section("resource_types"), Order::Alphabetical);
    let environments = words::words(&section("environments"), Order::ByDanger);
    let resources = words::resources(&section("resources"), &environments, &resource_types);
    let levels = levels(&section("risk_levels"));
    let unrecognized = unrecognized(&section("unrecognized"), &levels);
    // No defaults from the shipped file, because they would change the meaning of older files.
    let unregistered = written.as_ref().and_then(|fields| fields.get("unregistered")).and_then(|at| at.level());
    let baseline = written.as_ref().map_or(Baseline::LOW, |fields| baseline::read(fields, &operations, &environments, &resource_types));
    let workspaces = written.as_ref().and_then(|fields| fields.get("workspaces"));
    let workspaces = workspaces.map(|at| words::workspaces(&at, &environments)).unwrap_or_default();
    let triggers = written.and_then(|fields| fields.get("triggers"));
    RiskRules { levels, operations, resource_types, environments, resources, workspaces, unrecognized, unregistered, baseline, triggers }
}

fn levels<'s>(at: &At<'s>) -> [Option<LevelRules<'s>>; 4] {
    let Some(fields) = at.fields(&Level::ALL.map(Level::as_str)) else { return Default::default() };
    let levels = Level::ALL.map(|level| {
        let entry = fields.required(level.as_str(), "all four levels have to be written: low, medium, high and critical")?;
        level_rules(&entry)
    });
    let mut below: Option<Level> = None;
    for (rules, level) in levels.iter().zip(Level::ALL) {
        match rules {
            Some(rules) if !rules.auto_approve => below = below.or(Some(level)),
            Some(rules) => {
                if let Some(below) = below {
                    rules.at.problem(format!("approves itself, but {below} below it does not; the more dangerous level has to ask too"));
                }
            }
            None => {}
        }
    }
    levels
}

fn level_rules<'s>(at: &At<'s>) -> Option<LevelRules<'s>> {
    let fields = at.fields(&LEVEL_KEYS)?;
    let auto_approve = fields.required("auto_approve", "write true (runs at once) or false (asks people)").and_then(|at| at.boolean());
    if auto_approve == Some(true) {
        nobody_is_asked(&fields);
    } else if auto_approve == Some(false) {
        fields.required("approvers", "name the roles that are asked, such as [team_lead]");
    }
    let asks = auto_approve == Some(false);
    Some(LevelRules {
        at: at.clone(),
        // If it cannot be read, assume the safer value; the file is refused in any case.
        auto_approve: auto_approve.unwrap_or(false),
        notify: fields.get("notify").map_or(Some(asks), |at| at.boolean()).unwrap_or(asks),
        approvers: fields.get("approvers").filter(|_| asks).map_or_else(Vec::new, |at| roles(&at)),
        escalate_after: fields.get("escalate_after").and_then(|at| at.duration()),
        require_justification: fields.get("require_justification").and_then(|at| at.boolean()).unwrap_or(false),
    })
}

/// Notes settings about the approval of a level that needs none.
fn nobody_is_asked(fields: &Fields<'_>) {
    for at in ["approvers", "escalate_after", "require_justification"].into_iter().filter_map(|name| fields.get(name)) {
        at.problem("has no effect, because this level approves itself; leave it out, or set auto_approve to false");
    }
}

/// Reads a list of roles, at least one, without repetitions.
pub fn roles<'s>(at: &At<'s>) -> Vec<AskedRole<'s>> {
    let items = at.items("roles").unwrap_or_default();
    if at.is_empty() {
        at.problem("names no role, so nobody would be asked; name at least one");
    }
    let mut seen = BTreeSet::new();
    let mut roles = Vec::new();
    for at in items {
        let Some(role) = at.parsed(names::role) else { continue };
        if !seen.insert(role.clone()) {
            at.problem(format!("names `{role}` a second time; keep one"));
        }
        roles.push(AskedRole { role, at });
    }
    roles
}

fn unrecognized(at: &At<'_>, levels: &[Option<LevelRules<'_>>; 4]) -> Level {
    let level = at.level().unwrap_or(Level::Critical);
    let approves_itself = levels[level as usize].as_ref().is_some_and(|rules| rules.auto_approve);
    if approves_itself && levels[level as usize..].iter().flatten().any(|above| !above.auto_approve) {
        at.problem(format!("is {level}, which approves itself, so an unknown word would run without review; name a level that asks"));
    }
    level
}

impl RiskRules<'_> {
    /// Whether any level needs people.
    pub fn asks_somebody(&self) -> bool {
        self.levels.iter().flatten().any(|rules| !rules.auto_approve)
    }

    /// Remarks for the operator, although nothing is wrong.
    pub fn notes(&self) -> impl Iterator<Item = String> {
        let first = self.environments.vocabulary.names().next().filter(|first| *first != PRODUCTION);
        let first = first.filter(|_| self.environments.vocabulary.contains(PRODUCTION));
        let order = first
            .map(|first| format!("`{first}` is listed before `{PRODUCTION}` under environments, so it counts as the more dangerous one"));
        let low_runs = self.levels[0].as_ref().is_some_and(|low| low.auto_approve) && self.asks_somebody();
        let everything = (low_runs && self.baseline.is_low()).then(|| {
            "everything that no trigger matches is low and runs at once; to reverse that, list what is low risk under `low_risk` \
             and give everything else a level with `otherwise`"
                .to_owned()
        });
        let believed = (low_runs && self.unregistered.is_none()).then(|| {
            "a resource that no entry of `resources` matches is whatever the requester says; to ask people about it, give it a level \
             with `unregistered`"
                .to_owned()
        });
        order.into_iter().chain(everything).chain(believed)
    }

    /// The rules of the core.
    pub fn into_domain(self, triggers: Vec<Trigger>, version: Digest) -> Rules {
        Rules {
            operations: self.operations.vocabulary,
            resource_types: self.resource_types.vocabulary,
            environments: self.environments.vocabulary,
            resources: self.resources,
            workspaces: self.workspaces,
            unrecognized: self.unrecognized,
            unregistered: self.unregistered,
            baseline: self.baseline,
            triggers,
            version,
        }
    }

    /// The values of the file as a document, with defaults filled in.
    pub fn document(&self) -> Value {
        let level = |rules: &LevelRules<'_>| {
            json!({
                "auto_approve": rules.auto_approve,
                "notify": rules.notify,
                "approvers": rules.approvers.iter().map(|asked| &asked.role).collect::<Vec<_>>(),
                "escalate_after": rules.escalate_after.map(|after| duration::show(after).to_string()),
                "require_justification": rules.require_justification,
            })
        };
        let levels: serde_json::Map<_, _> =
            Level::ALL.iter().zip(&self.levels).map(|(name, rules)| (name.to_string(), rules.as_ref().map(level).into())).collect();
        let mut document = json!({
            "risk_levels": levels,
            "operations": self.operations.document(),
            "resource_types": self.resource_types.document(),
            "environments": self.environments.document(),
            "resources": words::resources_document(&self.resources),
            "unrecognized": self.unrecognized,
            "unregistered": self.unregistered,
            "low_risk": baseline::document(&self.baseline),
            "otherwise": self.baseline.otherwise,
        });
        // Left out if it is not set, so that configurations from before this key keep their
        // version.
        if !self.workspaces.is_empty() {
            document["workspaces"] = words::resources_document(&self.workspaces);
        }
        document
    }
}
