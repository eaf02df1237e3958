//! Webhooks: the destinations that parkbrake itself can call, and what a call really does.

use crate::domain::request::arguments::{Argument, Misfit, Template, awaited_too_early, checked};
use crate::domain::risk::readings::{Facts, Source};
use crate::domain::task::call::Call;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// A configured destination.
#[derive(Debug, Clone)]
pub struct Webhook {
    pub name: String,
    /// What a call really does. This is assessed in addition to the requester's claim. An unstated
    /// field counts as everything that it could be.
    pub operation: Option<Template>,
    pub environment: Option<Template>,
    pub resource: Option<Template>,
    pub resource_type: Option<Template>,
    /// The arguments, all of them required. `None` accepts whatever a requester sends, which is
    /// shown and passed on unchanged.
    pub args: Option<BTreeMap<String, Argument>>,
    pub call: Call,
}

impl Webhook {
    /// The call with these arguments, and what parkbrake then knows about the task.
    ///
    /// # Errors
    /// Every argument that is missing or unknown, or that does not match its pattern.
    pub fn resolve(&self, given: &Map<String, Value>) -> Result<(Call, Facts), Vec<Misfit>> {
        self.resolve_awaiting(given, &[])
    }

    /// The same when some arguments name outputs of earlier steps and have no value yet.
    ///
    /// # Errors
    /// As [`Self::resolve`]; and an argument that has to be known now.
    pub fn resolve_awaiting(&self, given: &Map<String, Value>, awaits: &[String]) -> Result<(Call, Facts), Vec<Misfit>> {
        let source = format!("webhook `{}`", self.name);
        let args = match &self.args {
            Some(declared) => checked(declared, given, awaits, &source)?,
            None => BTreeMap::new(),
        };
        let known = [&self.operation, &self.environment, &self.resource, &self.resource_type].into_iter().flatten();
        let misfits = awaited_too_early(known, awaits);
        if !misfits.is_empty() {
            return Err(misfits);
        }
        let fill = |template: &Option<Template>| template.as_ref().map(|template| template.fill(&args));
        let facts = Facts {
            source,
            from: Source::Webhook,
            operation: fill(&self.operation),
            environment: fill(&self.environment),
            resource: fill(&self.resource),
            resource_type: fill(&self.resource_type),
        };
        Ok((self.call.clone(), facts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::arguments::Pattern;
    use serde_json::json;
    use std::time::Duration;

    fn webhook(args: Option<&[(&str, &str)]>) -> Webhook {
        let argument = |pattern: &str| Argument { pattern: Pattern::new(pattern).unwrap(), dash: false, output_without_approval: false };
        Webhook {
            name: "ci".to_owned(),
            operation: Some(Template::parse("deploy").unwrap()),
            environment: None,
            resource: Some(Template::parse("{{ service }}").unwrap()),
            resource_type: None,
            args: args.map(|args| args.iter().map(|(name, pattern)| ((*name).to_owned(), argument(pattern))).collect()),
            call: Call {
                url: "https://ci.example.com/run".to_owned(),
                secret: None,
                timeout: Duration::from_secs(30),
                idempotent: false,
                allow_private: false,
                retry: None,
            },
        }
    }

    #[test]
    fn declared_arguments_are_checked_and_name_the_resource() {
        let webhook = webhook(Some(&[("service", "[a-z]+")]));
        let (call, facts) = webhook.resolve(json!({"service": "api"}).as_object().unwrap()).unwrap();
        assert_eq!((call, facts.resource.as_deref(), facts.operation.as_deref()), (webhook.call.clone(), Some("api"), Some("deploy")));
        for args in [json!({}), json!({"service": "API"}), json!({"service": ["a"]}), json!({"service": "api", "more": 1})] {
            assert!(webhook.resolve(args.as_object().unwrap()).is_err(), "{args}");
        }
    }

    #[test]
    fn without_declared_arguments_anything_is_passed_on() {
        let mut webhook = webhook(None);
        webhook.resource = None;
        assert!(webhook.resolve(json!({"ref": "main", "inputs": {"deep": [1, null]}}).as_object().unwrap()).is_ok());
    }
}
