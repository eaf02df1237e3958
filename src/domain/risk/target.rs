//! The target of a request, as far as parkbrake knows: what the runbook really does, then what the
//! registry knows about the resource, then what the requester claims.
//!
//! Lists, headings, notices, confirmations and the command line show the target and never the bare
//! claim. If the two differ, they say so, in the words of [`Target::called`].

use crate::domain::risk::Rules;
use crate::domain::risk::readings::Facts;
pub use crate::domain::risk::readings::Source;
use crate::domain::task::Task;
use crate::domain::task::vocabulary::{Vocabulary, normalized};
use crate::domain::text::{escaped, shown};
use serde::{Deserialize, Serialize};

/// The mark of a request whose claim differs from what parkbrake knows.
pub const DIFFERS: &str = "DIFFERS";

/// The target of a request.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub operation: String,
    #[serde(default)]
    pub environment: Option<String>,
    #[serde(default)]
    pub resource: Option<String>,
    #[serde(default)]
    pub resource_type: Option<String>,
    /// The fields whose known value is not the claimed one.
    #[serde(default)]
    pub differs: Vec<Differs>,
}

/// A field that parkbrake knows better than the requester.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differs {
    /// `operation`, `environment`, `resource` or `resource_type`.
    pub field: String,
    /// In the requester's words; `None` if the runbook and the registry differ on a field that the
    /// requester omitted.
    pub claimed: Option<String>,
    pub known: String,
    pub from: Source,
}

/// One field with everything that is claimed and known about it.
struct Field<'a> {
    name: &'static str,
    claimed: Option<&'a str>,
    /// The known values, the better source first.
    known: Vec<(Source, &'a str)>,
    /// The vocabulary that maps spellings to words; `None` for a resource, whose spelling is
    /// compared.
    vocabulary: Option<&'a Vocabulary>,
}

impl Field<'_> {
    fn same(&self, one: &str, other: &str) -> bool {
        self.word(one) == self.word(other)
    }

    /// The one word for all spellings that mean it.
    fn word(&self, written: &str) -> String {
        let known = self.vocabulary.and_then(|vocabulary| vocabulary.resolve(written));
        known.map_or_else(|| normalized(written), str::to_owned)
    }

    /// The target's name for it: the canonical word if there is one, otherwise as it was written.
    fn named(&self) -> Option<String> {
        let written = self.known.first().map(|(_, known)| *known).or(self.claimed)?;
        let known = self.vocabulary.and_then(|vocabulary| vocabulary.resolve(written));
        Some(known.unwrap_or(written).to_owned())
    }

    fn differs(&self) -> Vec<Differs> {
        let Some(said) = self.claimed.or_else(|| self.known.first().map(|(_, known)| *known)) else { return Vec::new() };
        let mut found: Vec<Differs> = Vec::new();
        for (from, known) in self.known.iter().filter(|(_, known)| !self.same(said, known)) {
            // Two sources that agree appear once, as the better one.
            if found.iter().all(|before| !self.same(&before.known, known)) {
                let claimed = self.claimed.map(str::to_owned);
                found.push(Differs { field: self.name.to_owned(), claimed, known: (*known).to_owned(), from: *from });
            }
        }
        found
    }
}

impl Rules {
    /// The target of a task, as far as it is known.
    pub fn target(&self, task: &Task, facts: Option<&Facts>) -> Target {
        let (environment, resource_types) = self.known(task, facts);
        let stated = |part: fn(&Facts) -> Option<&str>| facts.and_then(|facts| Some((facts.from, part(facts)?))).into_iter();
        let registry = |known| (Source::Registry, known);
        let fields = [
            Field {
                name: "operation",
                claimed: Some(&task.operation),
                known: stated(|facts| facts.operation.as_deref()).collect(),
                vocabulary: Some(&self.operations),
            },
            Field {
                name: "environment",
                claimed: task.environment.as_deref(),
                known: stated(|facts| facts.environment.as_deref()).chain(environment.map(registry)).collect(),
                vocabulary: Some(&self.environments),
            },
            Field {
                name: "resource",
                claimed: task.resource.as_deref(),
                known: stated(|facts| facts.resource.as_deref()).collect(),
                vocabulary: None,
            },
            Field {
                name: "resource_type",
                claimed: task.resource_type.as_deref(),
                known: stated(|facts| facts.resource_type.as_deref()).chain(resource_types.into_iter().map(registry)).collect(),
                vocabulary: Some(&self.resource_types),
            },
        ];
        let differs = fields.iter().flat_map(Field::differs).collect();
        let [operation, environment, resource, resource_type] = fields.map(|field| field.named());
        Target { operation: operation.unwrap_or_default(), environment, resource, resource_type, differs }
    }
}

impl Target {
    /// Whether it equals the requester's claim, word for word. Then it need not be stored beside
    /// the document.
    pub fn is_claim_of(&self, task: &Task) -> bool {
        self.differs.is_empty()
            && (self.operation == task.operation && self.environment == task.environment)
            && (self.resource == task.resource && self.resource_type == task.resource_type)
    }

    /// The target of a request that was submitted before targets were stored, which is its claim.
    pub fn claimed(task: &Task) -> Self {
        let Task { operation, environment, resource, resource_type, .. } = task.clone();
        Self { operation, environment, resource, resource_type, differs: Vec::new() }
    }

    /// Reads a target stored as JSON.
    pub fn read(stored: &str) -> Option<Self> {
        serde_json::from_str(stored).ok()
    }

    /// The target in a line, with long names cut: `deploy api-gateway in production`, and the mark
    /// if the claim differs.
    pub fn headline(&self) -> String {
        let line = self.short();
        if self.differs.is_empty() { line } else { format!("{line} [{DIFFERS}]") }
    }

    /// The same without the mark, for places that also show [`Target::called`].
    pub fn short(&self) -> String {
        self.line(shown)
    }

    /// The target in a line, with nothing cut and no mark.
    pub fn whole(&self) -> String {
        self.line(escaped)
    }

    fn line(&self, written: fn(&str) -> String) -> String {
        let on = self.resource.as_deref().map(|resource| format!(" {}", written(resource))).unwrap_or_default();
        let within = self.environment.as_deref().map(|environment| format!(" in {}", written(environment))).unwrap_or_default();
        format!("{}{on}{within}", written(&self.operation))
    }

    /// The text to type to approve a critical request: the resource, or the environment if no
    /// resource is named, or the operation. It is escaped like the shown text, so that it can be
    /// typed.
    pub fn confirmation(&self) -> String {
        let named = self.resource.as_deref().or(self.environment.as_deref()).unwrap_or(&self.operation);
        escaped(named.trim())
    }

    /// The sentence that is shown wherever a request is named whose claim differs from what
    /// parkbrake knows.
    pub fn called(&self) -> Option<String> {
        let one = |one: &Differs| {
            let claimed = one.claimed.as_deref().map(|claimed| format!(" \"{}\"", shown(claimed))).unwrap_or_default();
            format!("{}{claimed} (it is \"{}\" by the {})", one.field.replace('_', " "), shown(&one.known), one.from.as_str())
        };
        let said: Vec<String> = self.differs.iter().map(one).collect();
        (!said.is_empty()).then(|| format!("The requester called this: {}", said.join(", ")))
    }
}

/// Whether a reason reports that the requester and parkbrake disagree. It is shown as a warning,
/// whatever its level.
pub fn is_warning(trigger: &str) -> bool {
    trigger.ends_with("_disagreement")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_named_in_one_way_and_shows_what_cannot_be_seen() {
        let resource = Some("api\u{202e}".to_owned());
        let target = Target { operation: "deploy".to_owned(), environment: Some("x".repeat(100)), resource, ..Target::default() };
        assert_eq!(target.headline(), format!("deploy api<U+202E> in {}…", "x".repeat(80)));
        assert_eq!(target.whole(), format!("deploy api<U+202E> in {}", "x".repeat(100)));
        assert_eq!(target.confirmation(), "api<U+202E>");
        assert_eq!(Target { resource: None, ..target.clone() }.confirmation(), "x".repeat(100));
        assert_eq!(Target::read(&serde_json::to_string(&target).unwrap()), Some(target));
        assert_eq!(Target::read("no target"), None);
    }

    #[test]
    fn a_disagreement_is_a_warning() {
        assert!(is_warning("resource_disagreement") && !is_warning("deploy_production"));
    }
}
