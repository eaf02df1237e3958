//! Random rules, tasks and facts, and other spellings of the same.

use chrono::{TimeZone as _, Utc};
use parkbrake::domain::risk::baseline::{Baseline, LowRisk};
use parkbrake::domain::risk::expression::Expression;
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::risk::readings::{Facts, Resource, Source};
use parkbrake::domain::risk::triggers::{BuiltIn, Condition, Trigger};
use parkbrake::domain::risk::{Assessment, Rules};
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::task::evidence::{Evidence, Fingerprint, TerraformPlan};
use parkbrake::domain::task::metadata::Metadata;
use parkbrake::domain::task::terraform::{Counts, Summary};
use parkbrake::domain::task::vocabulary::{Vocabulary, Word};
use parkbrake::domain::task::{Action, SecurityFinding, Task};
use proptest::prelude::*;
use proptest::sample::select;
use std::sync::LazyLock;

const OPERATIONS: [&str; 6] = ["data_export", "delete", "deploy", "modify", "read", "restart"];
pub const ENVIRONMENTS: [&str; 3] = ["production", "staging", "development"];
const RESOURCE_TYPES: [&str; 3] = ["code", "database", "infrastructure"];
/// Resources, and what the registry says about each: environment and type.
const REGISTERED: [(&str, Option<&str>, Option<&str>); 4] = [
    ("db-prod-1", Some("production"), Some("database")),
    ("stage-net", Some("staging"), Some("infrastructure")),
    ("my-sandbox", Some("development"), None),
    ("vpc", None, Some("infrastructure")),
];

/// Custom conditions, some of them odd on purpose; none depends on the resource.
const CONDITIONS: [&str; 15] = [
    r#"environment == "staging""#,
    r#"environment != "production" && operation == "data_export""#,
    r#"environment == "" || resource_type == """#,
    r#"resource_type == "code" && environment == "development""#,
    r#"operation in ["read", "restart"] && resource_type != "database""#,
    "estimated_cost > 50.0 && environment.size() > 7",
    r#"metadata.ticket == "OPS-1" && operation == "deploy""#,
    r#"security_findings.exists(f, f.severity == "medium")"#,
    "!has(metadata.ticket)",
    "metadata.hours < 2 || estimated_cost == 0.0",
    r#"size(security_findings) == 0 && environment == "production""#,
    r#"environment != "production" && metadata.ticket != "OPS-1""#,
    r#"plan.deletes == 0 && operation == "deploy""#,
    r#"!("aws_vpc" in plan.types) && plan.workspace == """#,
    "plan.replaces > 1 || plan.outputs == 2",
];

fn vocabulary(words: &[&str]) -> Vocabulary {
    let word = |name: &&str| Word { name: (*name).to_owned(), spellings: vec![format!("{name} too")] };
    Vocabulary::new(words.iter().map(word).collect())
}

pub fn level() -> impl Strategy<Value = Level> {
    select(&Level::ALL[..])
}

pub fn trigger() -> impl Strategy<Value = Trigger> {
    let built_in = select(&BuiltIn::ALL[..]).prop_map(|known| (known.name().to_owned(), Condition::BuiltIn(known)));
    static COMPILED: LazyLock<Vec<Expression>> = LazyLock::new(|| CONDITIONS.map(|source| Expression::compile(source).unwrap()).to_vec());
    let own = select(&COMPILED[..]).prop_map(|condition| (condition.source().to_owned(), Condition::Expression(condition)));
    (prop_oneof![built_in, own], level()).prop_map(|((name, condition), level)| Trigger { name, level, condition })
}

pub fn rules_of(triggers: Vec<Trigger>, unrecognized: Level) -> Rules {
    let registered = |(name, environment, resource_type): &(&str, Option<&str>, Option<&str>)| Resource {
        pattern: (*name).to_owned(),
        environment: environment.map(str::to_owned),
        resource_type: resource_type.map(str::to_owned),
    };
    Rules {
        operations: vocabulary(&OPERATIONS),
        resource_types: vocabulary(&RESOURCE_TYPES),
        environments: vocabulary(&ENVIRONMENTS),
        resources: REGISTERED.iter().map(registered).collect(),
        workspaces: vec![Resource { pattern: "live-*".to_owned(), environment: Some("production".to_owned()), resource_type: None }],
        unrecognized,
        unregistered: None,
        baseline: Baseline::LOW,
        triggers,
        version: Digest::of(b""),
    }
}

/// Entries of `low_risk`, and the level of everything else.
fn baseline() -> impl Strategy<Value = Baseline> {
    let some = |words: &'static [&'static str]| prop::collection::vec(select(words).prop_map(str::to_owned), 1..3);
    let entry = (some(&OPERATIONS), prop::option::of(some(&ENVIRONMENTS)), prop::option::of(some(&RESOURCE_TYPES)));
    let entry = entry.prop_map(|(operations, environments, resource_types)| LowRisk { operations, environments, resource_types });
    (prop::collection::vec(entry, 0..4), level()).prop_map(|(low_risk, otherwise)| Baseline { low_risk, otherwise })
}

pub fn rules() -> impl Strategy<Value = Rules> {
    let listed = (prop::collection::vec(trigger(), 0..10), level());
    (listed, baseline(), prop::option::of(level())).prop_map(|((triggers, unrecognized), baseline, unregistered)| Rules {
        baseline,
        unregistered,
        ..rules_of(triggers, unrecognized)
    })
}

fn resource() -> impl Strategy<Value = String> {
    prop_oneof![select(&REGISTERED[..]).prop_map(|(name, ..)| name.to_owned()), Just("api".to_owned())]
}

pub fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = String> {
    select(words).prop_map(str::to_owned)
}

/// A plan as evidence.
pub fn evidence() -> impl Strategy<Value = Box<Evidence>> {
    let counts = prop::array::uniform5(0..3_u64);
    let workspace = prop::option::of(select(&["live-1", "staging", "production", "else"][..]).prop_map(str::to_owned));
    (counts, workspace).prop_map(|([creates, updates, deletes, replaces, outputs], workspace)| {
        let counts = Counts { creates, updates, deletes, replaces, outputs, ..Counts::default() };
        let types = if creates + updates + deletes + replaces > 0 { vec!["aws_vpc".to_owned()] } else { Vec::new() };
        let destroyed_types = if deletes + replaces > 0 { types.clone() } else { Vec::new() };
        let unlisted = creates + updates + deletes + replaces;
        let summary = Summary { workspace, counts, types, destroyed_types, unlisted, unlisted_outputs: outputs, ..Summary::default() };
        Box::new(Evidence::TerraformPlan(TerraformPlan { fingerprint: Fingerprint::Sealed("hmac-sha256:0".to_owned()), summary }))
    })
}

/// A task with known words only.
pub fn task() -> impl Strategy<Value = Task> {
    let severities = select(&["critical", "high", "medium", "low", "strange"][..]);
    let findings = prop::collection::vec(severities, 0..3);
    (
        one_of(&OPERATIONS),
        prop::option::of(one_of(&ENVIRONMENTS)),
        prop::option::of(one_of(&RESOURCE_TYPES)),
        prop::option::of(resource()),
        findings,
        prop::option::of(0.0..2_000.0),
    )
        .prop_map(|(operation, environment, resource_type, resource, findings, estimated_cost)| Task {
            task_id: None,
            description: "a task".to_owned(),
            operation,
            environment,
            resource,
            resource_type,
            security_findings: findings
                .into_iter()
                .map(|severity| SecurityFinding { severity: severity.to_owned(), id: None, title: None })
                .collect(),
            estimated_cost,
            evidence: None,
            action: Action::external(),
            metadata: Metadata::default(),
        })
}

pub fn facts() -> impl Strategy<Value = Facts> {
    let odd = |words| prop_oneof![4 => one_of(words), 1 => Just("strange".to_owned())];
    (
        prop::option::of(odd(&OPERATIONS)),
        prop::option::of(odd(&ENVIRONMENTS)),
        prop::option::of(odd(&RESOURCE_TYPES)),
        prop::option::of(resource()),
    )
        .prop_map(|(operation, environment, resource_type, resource)| Facts {
            source: "runbook `go`".to_owned(),
            from: Source::Runbook,
            operation,
            environment,
            resource,
            resource_type,
        })
}

/// How many subsets of a task's optional claims there are.
pub const CLAIMS: u32 = 1 << 6;

/// The task with only some of its claims, one for each bit.
pub fn claiming(subset: u32, task: &Task) -> Task {
    let says = |bit: u32| subset & (1 << bit) != 0;
    Task {
        environment: task.environment.clone().filter(|_| says(0)),
        resource_type: task.resource_type.clone().filter(|_| says(1)),
        resource: task.resource.clone().filter(|_| says(2)),
        security_findings: if says(3) { task.security_findings.clone() } else { Vec::new() },
        estimated_cost: task.estimated_cost.filter(|_| says(4)),
        metadata: if says(5) { task.metadata.clone() } else { Metadata::default() },
        ..task.clone()
    }
}

/// A task that claims something about everything, true or not.
pub fn lies() -> impl Strategy<Value = Task> {
    let odd = |words| prop_oneof![3 => one_of(words), 1 => Just("strange".to_owned())];
    let metadata = prop_oneof![
        Just(serde_json::json!({"ticket": "OPS-1"})),
        Just(serde_json::json!({"ticket": "OPS-2", "hours": 3})),
        Just(serde_json::json!({"ticket": 7}))
    ];
    (task(), odd(&OPERATIONS), odd(&ENVIRONMENTS), odd(&RESOURCE_TYPES), resource(), 0.0..2_000.0, metadata).prop_map(
        |(task, operation, environment, resource_type, resource, cost, metadata)| Task {
            operation,
            environment: Some(environment),
            resource_type: Some(resource_type),
            resource: Some(resource),
            estimated_cost: Some(cost),
            metadata: metadata.as_object().cloned().unwrap_or_default().into(),
            ..task
        },
    )
}

/// The same word in another spelling.
pub fn variant(word: &str) -> impl Strategy<Value = String> + use<> {
    let (word, white) = (word.to_owned(), select(&["", " ", "\t", "\n ", "\u{a0}", "\u{2003}"][..]));
    (prop::collection::vec(any::<bool>(), word.len()), white.clone(), white, any::<bool>()).prop_map(
        move |(upper, before, after, alias)| {
            let cased: String = word.chars().zip(upper).map(|(it, upper)| if upper { it.to_ascii_uppercase() } else { it }).collect();
            format!("{before}{cased}{}{after}", if alias { " TOO" } else { "" })
        },
    )
}

/// An unknown spelling: near misses and arbitrary text.
pub fn unknown(word: &str) -> impl Strategy<Value = String> + use<> {
    let word = word.to_owned();
    let near =
        (0..word.len(), select(&["", "\u{200b}", "\u{301}", "0", "-", "\u{430}", "\u{ff45}", " "][..])).prop_map(move |(at, with)| {
            let mut near = word.clone();
            near.replace_range(at..=at, with);
            near
        });
    prop_oneof![near, any::<String>()]
}

pub fn is_known(vocabulary: &Vocabulary, word: &str) -> bool {
    vocabulary.resolve(word).is_some()
}

pub fn assess(rules: &Rules, task: &Task, facts: Option<&Facts>) -> Assessment {
    rules.assess(task, facts, "deploy-bot", Utc.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap())
}

/// What the registry knows about the task's resource.
pub fn registered(task: &Task) -> (Option<&'static str>, Option<&'static str>) {
    let known = REGISTERED.iter().find(|(name, ..)| task.resource.as_deref() == Some(name));
    known.map_or((None, None), |(_, environment, resource_type)| (*environment, *resource_type))
}

/// The task as an honest requester would write it: in agreement with the registry.
pub fn honest(task: &Task) -> Task {
    let (environment, resource_type) = registered(task);
    Task {
        environment: environment.map(str::to_owned).or(task.environment.clone()),
        resource_type: resource_type.map(str::to_owned).or(task.resource_type.clone()),
        ..task.clone()
    }
}
