//! What a Terraform plan adds to a task: further readings, and the variables with which conditions
//! see it.

use crate::domain::risk::Rules;
use crate::domain::task::terraform::{Act, Summary};
use crate::domain::task::vocabulary::Vocabulary;
use crate::domain::text::shown;
use serde_json::{Map, Value, json};

/// The most addresses in a reason.
const MOST_NAMED: usize = 3;

/// The name of the plan in conditions.
pub const VARIABLE: &str = "plan";

/// A plan as conditions see it. Without a plan everything in it is zero or empty.
pub fn variable(plan: Option<&Summary>) -> Map<String, Value> {
    let nothing = Summary::default();
    let Summary { workspace, terraform_version, counts, types, destroyed_types, is_partial, .. } = plan.unwrap_or(&nothing);
    let fields = json!({
        "creates": counts.creates,
        "updates": counts.updates,
        "deletes": counts.deletes,
        "replaces": counts.replaces,
        "forgets": counts.forgets,
        "reads": counts.reads,
        "imports": counts.imports,
        "moves": counts.moves,
        "actions": counts.actions,
        "outputs": counts.outputs,
        "drifted": counts.drifted,
        "deferred": counts.deferred,
        "partial": is_partial,
        "types": types,
        "destroyed_types": destroyed_types,
        "workspace": workspace.as_deref().unwrap_or_default(),
        "terraform_version": terraform_version.as_deref().unwrap_or_default(),
    });
    fields.as_object().cloned().unwrap_or_default()
}

/// The operations that a plan performs, as far as the configuration knows them, the most dangerous
/// first.
pub(super) fn operations(plan: &Summary, words: &Vocabulary) -> Vec<&'static str> {
    let meant = [("delete", plan.counts.destroys()), ("modify", plan.counts.changes_anything())];
    meant.into_iter().filter(|(word, is_meant)| *is_meant && words.contains(word)).map(|(word, _)| word).collect()
}

/// The type of resource that a plan acts on, if the configuration knows the word.
pub(super) fn resource_type(plan: &Summary, words: &Vocabulary) -> Option<&'static str> {
    const INFRASTRUCTURE: &str = "infrastructure";
    (plan.counts.changes_anything() && words.contains(INFRASTRUCTURE)).then_some(INFRASTRUCTURE)
}

impl Rules {
    /// The environment of a plan's workspace: by an entry of the configuration, or because its name
    /// is a word for an environment.
    pub(super) fn environment_of_workspace<'r>(&'r self, plan: &Summary) -> Option<&'r str> {
        let workspace = plan.workspace.as_deref()?;
        let entries = self.workspaces.iter().filter(|entry| entry.matches(workspace)).filter_map(|entry| entry.environment.as_deref());
        entries.min_by_key(|word| self.environments.rank(word)).or_else(|| self.environments.resolve(workspace))
    }
}

/// How many resources a plan deletes or replaces, and which ones, for a reason; `None` if there are
/// none.
pub(super) fn destroyed(plan: &Summary, act: Act) -> Option<String> {
    let (count, verb) = match act {
        Act::Delete => (plan.counts.deletes, "deletes"),
        _ => (plan.counts.replaces, "replaces"),
    };
    let named: Vec<String> =
        plan.changes.iter().filter(|change| change.act == act).take(MOST_NAMED).map(|change| shown(&change.name())).collect();
    let more = count.saturating_sub(named.len() as u64);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let noun = if count == 1 { "resource" } else { "resources" };
    (count > 0).then(|| format!("the Terraform plan {verb} {count} {noun}: {}{more}", named.join(", ")))
}
