//! What a request is about, as far as parkbrake knows: what the runbook really does, then what the
//! registry knows of the resource, then what the requester claims.
//!
//! Lists, headings, notices, confirmations and the command line name the target and never the bare
//! claim. Where the two differ they say so, with the words of [`Target::called`].

use crate::domain::risk::Rules;
use crate::domain::risk::readings::Facts;
pub use crate::domain::risk::readings::Source;
use crate::domain::task::Task;
use crate::domain::task::vocabulary::{Vocabulary, normalized};
use crate::domain::text::{escaped, shown};
use serde::{Deserialize, Serialize};

/// The mark of a request whose claim is not what parkbrake knows.
pub const DIFFERS: &str = "DIFFERS";

/// What a request is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    pub operation: String,
    #[serde(default)]
    pub environment: Option<String>,
    #[serde(default)]
    pub resource: Option<String>,
    #[serde(default)]
    pub resource_type: Option<String>,
    /// Where what is known is not what was claimed.
    #[serde(default)]
    pub differs: Vec<Differs>,
}

/// One field of which parkbrake knows better.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differs {
    /// `operation`, `environment`, `resource` or `resource_type`.
    pub field: String,
    /// In the requester's words; `None` where the runbook and the registry differ on something that
    /// the requester left out.
    pub claimed: Option<String>,
    pub known: String,
    pub from: Source,
}

/// One field with everything that is said and known of it.
struct Field<'a> {
    name: &'static str,
    claimed: Option<&'a str>,
    /// What is known, the better source first.
    known: Vec<(Source, &'a str)>,
    /// What makes two spellings one word; for a resource, its spelling as it is compared.
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

    /// As the target names it: the word for it where there is one, else as it was written.
    fn named(&self) -> Option<String> {
        let written = self.known.first().map(|(_, known)| *known).or(self.claimed)?;
        let known = self.vocabulary.and_then(|vocabulary| vocabulary.resolve(written));
        Some(known.unwrap_or(written).to_owned())
    }

    fn differs(&self) -> Vec<Differs> {
        let Some(said) = self.claimed.or_else(|| self.known.first().map(|(_, known)| *known)) else { return Vec::new() };
        let mut found: Vec<Differs> = Vec::new();
        for (from, known) in self.known.iter().filter(|(_, known)| !self.same(said, known)) {
            // Two sources that agree are told of once, by the better one.
            if found.iter().all(|before| !self.same(&before.known, known)) {
                let claimed = self.claimed.map(str::to_owned);
                found.push(Differs { field: self.name.to_owned(), claimed, known: (*known).to_owned(), from: *from });
            }
        }
        found
    }
}

impl Rules {
    /// What a task is about, as far as is known.
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
    /// Whether it is what the requester claims, word for word: then it need not be stored beside
    /// the document.
    pub fn is_claim_of(&self, task: &Task) -> bool {
        self.differs.is_empty()
            && (self.operation == task.operation && self.environment == task.environment)
            && (self.resource == task.resource && self.resource_type == task.resource_type)
    }

    /// The target of a request that was submitted before targets were stored: the claim is all that
    /// is left of it.
    pub fn claimed(task: &Task) -> Self {
        let Task { operation, environment, resource, resource_type, .. } = task.clone();
        Self { operation, environment, resource, resource_type, differs: Vec::new() }
    }

    /// The target that is stored as JSON.
    pub fn read(stored: &str) -> Option<Self> {
        serde_json::from_str(stored).ok()
    }

    /// In a line, with long names cut: `deploy api-gateway in production`, and the mark where the
    /// claim differs.
    pub fn headline(&self) -> String {
        let line = self.short();
        if self.differs.is_empty() { line } else { format!("{line} [{DIFFERS}]") }
    }

    /// The same without the mark, where [`Target::called`] stands beside it.
    pub fn short(&self) -> String {
        self.line(shown)
    }

    /// In a line with nothing cut and no mark.
    pub fn whole(&self) -> String {
        self.line(escaped)
    }

    fn line(&self, written: fn(&str) -> String) -> String {
        let on = self.resource.as_deref().map(|resource| format!(" {}", written(resource))).unwrap_or_default();
        let within = self.environment.as_deref().map(|environment| format!(" in {}", written(environment))).unwrap_or_default();
        format!("{}{on}{within}", written(&self.operation))
    }

    /// What has to be typed to approve a critical request: the resource, or the environment where
    /// none is named, or the operation; as it is shown, so that it can be typed.
    pub fn confirmation(&self) -> String {
        let named = self.resource.as_deref().or(self.environment.as_deref()).unwrap_or(&self.operation);
        escaped(named.trim())
    }

    /// The sentence that stands wherever a request is named whose claim is not what parkbrake
    /// knows.
    pub fn called(&self) -> Option<String> {
        let one = |one: &Differs| {
            let claimed = one.claimed.as_deref().map(|claimed| format!(" \"{}\"", shown(claimed))).unwrap_or_default();
            format!("{}{claimed} (it is \"{}\" by the {})", one.field.replace('_', " "), shown(&one.known), one.from.as_str())
        };
        let said: Vec<String> = self.differs.iter().map(one).collect();
        (!said.is_empty()).then(|| format!("The requester called this: {}", said.join(", ")))
    }
}

/// Whether a reason of an assessment tells that the requester and parkbrake disagree, which is
/// shown as a warning whatever its level.
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
