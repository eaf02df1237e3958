//! Evaluates the operator's own conditions on every reading of a task, within one budget for all of
//! them.
//!
//! For what parkbrake runs, the requester's findings, costs and metadata are claims like any other:
//! a condition is evaluated with and without each of them, so that no claim lowers the level. A
//! Terraform plan never lowers it, whoever acts.

use crate::domain::risk::expression::Expression;
use crate::domain::risk::expression::cost::{self, Size};
use crate::domain::risk::expression::scope::{Base, Common};
use crate::domain::risk::readings::Reading;
use crate::domain::risk::terraform;
use crate::domain::task::metadata::Metadata;
use crate::domain::task::terraform::Summary;
use crate::domain::task::{SecurityFinding, Task};
use crate::domain::text::shown;
use chrono::{DateTime, Utc};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

/// The claims that no runbook states, by their names in conditions.
const CLAIMS: [&str; 4] = ["metadata", "security_findings", "estimated_cost", terraform::VARIABLE];
/// The index of the Terraform plan among them.
const PLAN: usize = 3;

/// Which of [`CLAIMS`] count.
type Believed = [bool; 4];

/// The conditions of one assessment.
pub struct Conditions<'a> {
    task: &'a Task,
    requested_by: &'a str,
    now: DateTime<Utc>,
    readings: &'a [Reading],
    /// Whether the claims are believed, so that a condition is evaluated with all of them only.
    believes: bool,
    /// The variables that any of the conditions reads.
    variables: Vec<&'static str>,
    sizes: Sizes,
    bases: BTreeMap<Believed, Base>,
    /// The steps left in the budget.
    budget: u64,
}

/// The sizes of the claims.
#[derive(Clone, Copy, Default)]
struct Sizes {
    metadata: Size,
    findings: Size,
    plan: Size,
}

/// The claims of a task that count.
struct Counted<'a> {
    metadata: &'a Metadata,
    findings: &'a [SecurityFinding],
    cost: f64,
    plan: Option<&'a Summary>,
}

impl<'a> Conditions<'a> {
    /// The conditions over these readings.
    pub fn new(
        conditions: impl Iterator<Item = &'a Expression>,
        task: &'a Task,
        readings: &'a [Reading],
        believes: bool,
        requested_by: &'a str,
        now: DateTime<Utc>,
    ) -> Self {
        let variables: BTreeSet<_> = conditions.flat_map(Expression::variables).copied().collect();
        let size = |name: &str, size: &dyn Fn() -> Size| if variables.contains(name) { size() } else { Size::default() };
        let sizes = Sizes {
            metadata: size("metadata", &|| Size::of_object(&task.metadata)),
            findings: size("security_findings", &|| Size::of_texts(task.security_findings.iter().map(lengths))),
            plan: size(terraform::VARIABLE, &|| Size::of_object(&terraform::variable(task.terraform()))),
        };
        Self {
            task,
            requested_by,
            now,
            readings,
            believes,
            variables: variables.into_iter().collect(),
            sizes,
            bases: BTreeMap::new(),
            budget: cost::BUDGET,
        }
    }

    /// Why a condition counts as matched, in words; `None` if it does not.
    pub fn holds(&mut self, condition: &Expression) -> Option<String> {
        let mut seen = BTreeSet::new();
        let readings = self.readings;
        let told_apart: Vec<_> = readings.iter().filter(|reading| seen.insert(reading.seen_by(condition.variables()))).collect();
        self.believed(condition).into_iter().find_map(|believed| self.holds_for(condition, believed, &told_apart))
    }

    /// The sets of claims to evaluate the condition with: those that it reads and, if they are not
    /// believed, also without each.
    fn believed(&self, condition: &Expression) -> Vec<Believed> {
        let task = self.task;
        let claimed =
            [!task.metadata.is_empty(), !task.security_findings.is_empty(), task.estimated_cost.is_some(), task.terraform().is_some()];
        let looked_at = CLAIMS.map(|name| condition.variables().contains(&name));
        let mut all = vec![looked_at];
        for index in 0..CLAIMS.len() {
            if (!self.believes || index == PLAN) && claimed[index] && looked_at[index] {
                let without: Vec<_> = all.iter().map(|believed| without(*believed, index)).collect();
                all.extend(without);
            }
        }
        all
    }

    fn holds_for(&mut self, condition: &Expression, believed: Believed, told_apart: &[&'a Reading]) -> Option<String> {
        let too_dear = || {
            let text = "needs more steps than the budget of one task, so it counts as matched";
            Some(format!("`{}` {text}", condition.source()))
        };
        if !self.bases.contains_key(&believed) {
            let Sizes { metadata, findings, plan } = self.sizes_of(believed);
            let weights = [metadata.weight, findings.weight, plan.weight];
            if !self.spend(weights.into_iter().fold(cost::SCOPE, u64::saturating_add)) {
                return too_dear();
            }
            let base = self.base(believed);
            self.bases.insert(believed, base);
        }
        let Sizes { metadata: metadata_size, findings, plan } = self.sizes_of(believed);
        let metadata = self.counted(believed).metadata;
        let steps = condition.steps(&cost::Claims { metadata, metadata_size, findings, plan }).saturating_add(cost::SCOPE);
        for reading in told_apart {
            if !self.spend(steps) {
                return too_dear();
            }
            let scope = self.bases.get(&believed)?.scope(&reading.words());
            let assumption = || Some(format!("`{}`{}", condition.source(), reading.assumption(condition.variables())));
            let matched = match condition.holds(&scope) {
                Ok(true) => assumption(),
                Ok(false) => None,
                // It depends on the resource, which could be any.
                Err(_) if reading.resource.is_none() && condition.variables().contains(&"resource") => assumption(),
                Err(error) => Some(format!("`{}` could not be evaluated, so it counts as matched: {}", condition.source(), shown(&error))),
            };
            if matched.is_some() {
                return matched;
            }
        }
        None
    }

    fn spend(&mut self, steps: u64) -> bool {
        let left = self.budget.checked_sub(steps);
        self.budget = left.unwrap_or(self.budget);
        left.is_some()
    }

    fn counted(&self, [metadata, findings, cost, plan]: Believed) -> Counted<'a> {
        static NOTHING: LazyLock<Metadata> = LazyLock::new(Metadata::default);
        let task = self.task;
        Counted {
            metadata: if metadata { &task.metadata } else { &NOTHING },
            findings: if findings { &task.security_findings } else { &[] },
            cost: task.estimated_cost.filter(|_| cost).unwrap_or_default(),
            plan: task.terraform().filter(|_| plan),
        }
    }

    fn sizes_of(&self, [metadata, findings, _, plan]: Believed) -> Sizes {
        let Sizes { metadata: of_metadata, findings: of_findings, plan: of_plan } = self.sizes;
        let counted = |is_believed: bool, size: Size| if is_believed { size } else { Size::default() };
        Sizes { metadata: counted(metadata, of_metadata), findings: counted(findings, of_findings), plan: counted(plan, of_plan) }
    }

    fn base(&self, believed: Believed) -> Base {
        let counted = self.counted(believed);
        let common = Common {
            estimated_cost: counted.cost,
            security_findings: counted.findings,
            metadata: counted.metadata,
            plan: counted.plan,
            requested_by: self.requested_by,
            now: self.now,
        };
        Base::new(&common, &self.variables)
    }
}

fn without(mut believed: Believed, index: usize) -> Believed {
    believed[index] = false;
    believed
}

/// The length of each text of a finding, in bytes.
fn lengths(finding: &SecurityFinding) -> [usize; 3] {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    [finding.severity.len(), length(&finding.id), length(&finding.title)]
}
