//! Grants: any change to a request that a grant releases needs an approval; and exactly the same
//! request is released.

use parkbrake::domain::grant::pattern::{ArgumentPattern, Like, Pattern};
use parkbrake::domain::grant::{Asking, GrantTerms, Micros};
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::risk::readings::Source;
use parkbrake::domain::risk::target::{Differs, Target};
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::task::metadata::Metadata;
use parkbrake::domain::task::{Action, ActionKind, SecurityFinding, Task};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

/// All parts of a request that a grant checks.
#[derive(Debug, Clone)]
pub struct Request {
    pub requester: String,
    pub level: Level,
    pub task: Task,
    pub target: Target,
    binding: Option<Digest>,
}

impl Request {
    fn asking(&self) -> Asking<'_> {
        Asking { requester: &self.requester, level: self.level, task: &self.task, target: &self.target, binding: self.binding.as_ref() }
    }

    /// Terms that match exactly this kind of request.
    fn exact_terms(&self) -> GrantTerms {
        let pattern = Pattern::exactly(&self.requester, &self.target, &self.task.action).unwrap();
        GrantTerms { pattern, level: self.level, uses: 1, cost: None, binding: self.binding.clone() }
    }
}

fn word() -> impl Strategy<Value = String> {
    "[a-z][a-z0-9-]{0,6}"
}

fn value() -> impl Strategy<Value = Value> {
    prop_oneof![
        word().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(json!(null)),
        Just(json!(["a"])),
        Just(json!({"like": "a*"})),
    ]
}

pub fn request() -> impl Strategy<Value = Request> {
    let action = (
        select(vec![ActionKind::External, ActionKind::Runbook]),
        prop::option::of(word()),
        prop::collection::btree_map(word(), value(), 0..4),
    );
    let named = (word(), word(), prop::option::of(word()), prop::option::of(word()));
    let rest = (word(), select(vec![Level::Low, Level::Medium, Level::High]), prop::option::of(0..1_000_u32), any::<bool>());
    (action, named, rest).prop_map(
        |((kind, name, args), (operation, environment, resource, resource_type), (requester, level, cost, is_bound))| {
            let args: Map<String, Value> = args.into_iter().collect();
            let target = Target {
                operation: operation.clone(),
                environment: Some(environment.clone()),
                resource: resource.clone(),
                resource_type: resource_type.clone(),
                differs: Vec::new(),
            };
            let task = Task {
                task_id: None,
                description: "x".to_owned(),
                operation,
                environment: Some(environment),
                resource,
                resource_type,
                security_findings: Vec::new(),
                estimated_cost: cost.map(f64::from),
                evidence: None,
                action: Action { kind, name, args, awaits: Vec::new(), runs: None, calls: None },
                metadata: Metadata::default(),
            };
            Request { requester, level, task, target, binding: is_bound.then(|| Digest::of(b"the program")) }
        },
    )
}

pub type Change = fn(&mut Request);

/// Every change that makes it a different kind of request.
pub const CHANGES: &[(&str, Change)] = &[
    ("another requester", |request| request.requester.push('x')),
    ("the requester in capitals", |request| request.requester = request.requester.to_uppercase()),
    ("another operation", |request| request.target.operation.push('x')),
    ("another environment", |request| request.target.environment = request.target.environment.take().map(|word| word + "x")),
    ("an environment that nobody knows", |request| request.target.environment = None),
    ("another resource", |request| request.target.resource = Some(request.target.resource.take().unwrap_or_default() + "x")),
    ("another type of resource", |request| {
        request.target.resource_type = Some(request.target.resource_type.take().unwrap_or_default() + "x")
    }),
    ("critical", |request| request.level = Level::Critical),
    ("one more argument", |request| drop(request.task.action.args.insert("another argument".to_owned(), json!(1)))),
    ("a name of its own", |request| request.task.action.name = Some(request.task.action.name.take().unwrap_or_default() + "x")),
    ("another kind of action", |request| request.task.action.kind = ActionKind::Webhook),
    ("another program", |request| request.binding = Some(Digest::of(b"another program"))),
    ("a finding", |request| {
        request.task.security_findings.push(SecurityFinding { severity: "low".to_owned(), id: None, title: None });
    }),
    ("a claim that is not true", |request| {
        let (field, known) = ("environment".to_owned(), "production".to_owned());
        request.target.differs.push(Differs { field, claimed: None, known, from: Source::Registry });
    }),
    ("a cost that is none", |request| request.task.estimated_cost = Some(-1.0)),
];

proptest! {
    #[test]
    fn the_narrowest_pattern_of_a_request_matches_it_and_nothing_that_is_changed(request in request()) {
        let terms = request.exact_terms();
        prop_assert!(terms.cover(request.asking()).is_some());
        for (name, change) in CHANGES {
            let mut other = request.clone();
            change(&mut other);
            prop_assert!(terms.cover(other.asking()).is_none(), "{name}: {other:?}");
        }
        for name in request.task.action.args.keys() {
            let mut other = request.clone();
            other.task.action.args.shift_remove(name);
            prop_assert!(terms.cover(other.asking()).is_none(), "without {name}");
            let mut other = request.clone();
            other.task.action.args.insert(name.clone(), json!("something else"));
            prop_assert!(terms.cover(other.asking()).is_none(), "another {name}");
        }
    }

    #[test]
    fn claims_do_not_matter_where_the_target_is_known(request in request(), claim in word()) {
        let terms = request.exact_terms();
        let mut other = request;
        (other.task.environment, other.task.resource, other.task.operation) = (Some(claim.clone()), Some(claim.clone()), claim);
        prop_assert!(terms.cover(other.asking()).is_some(), "the target is what counts, and it is the same");
    }

    #[test]
    fn a_grant_covers_its_level_and_lower_ones_only(request in request(), level in select(vec![Level::Low, Level::Medium, Level::High, Level::Critical])) {
        let terms = GrantTerms { level, ..request.exact_terms() };
        let passes = request.level <= level;
        prop_assert_eq!(terms.cover(request.asking()).is_some(), passes);
    }

    #[test]
    fn a_grant_with_a_sum_covers_only_requests_whose_cost_fits(request in request(), most in 0..1_000_u32) {
        let terms = GrantTerms { cost: Micros::of_dollars(f64::from(most)), ..request.exact_terms() };
        let expected = request.task.estimated_cost.filter(|cost| *cost <= f64::from(most)).and_then(Micros::of_dollars);
        prop_assert_eq!(terms.cover(request.asking()), expected);
    }

    #[test]
    fn a_pattern_is_read_back_as_it_was_stored(request in request(), like in "[a-z]{1,3}\\*[a-z]{0,3}") {
        let mut terms = request.exact_terms();
        terms.pattern.resource = Some(Like::new(&like).unwrap());
        terms.pattern.action.args.insert("one".to_owned(), ArgumentPattern::Like(Like::new(&like).unwrap()));
        terms.pattern.action.args.insert("two".to_owned(), ArgumentPattern::Any);
        let stored = serde_json::to_string(&terms).unwrap();
        prop_assert_eq!(serde_json::from_str::<GrantTerms>(&stored).unwrap(), terms);
    }
}
