//! The `webhooks` of `runbooks.yaml`: the URLs that parkbrake itself can call.

use crate::config::address::url;
use crate::config::placeholders::{Placeholders, arguments_document};
use crate::config::retry;
use crate::config::risk_rules::RiskRules;
use crate::config::value::{At, from_env};
use crate::domain::duration;
use crate::domain::request::arguments::{Argument, Template};
use crate::domain::request::webhook::Webhook;
use crate::domain::task::call::Call;
use serde_json::{Value, json};
use std::time::Duration;

const KEYS: [&str; 11] =
    ["url", "secret", "timeout", "idempotent", "retry", "allow_private", "operation", "environment", "resource", "resource_type", "args"];

/// How long a call may take by default.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Reads one entry, and its values as a document.
pub fn read(name: &str, at: &At<'_>, rules: &RiskRules<'_>) -> Option<(Webhook, Value)> {
    let fields = at.fields(&KEYS)?;
    let mut placeholders = Placeholders::default();
    let url = fields.required("url", "write where the request goes, such as https://ci.example.com/run").and_then(|at| at.parsed(url));
    let secret = fields.get("secret").map(|at| from_env(&at));
    let timeout = fields.duration_or("timeout", TIMEOUT);
    let flag = |key: &str| fields.get(key).and_then(|at| at.boolean()).unwrap_or(false);
    let (idempotent, allow_private) = (flag("idempotent"), flag("allow_private"));
    let retry = fields.get("retry").map(|at| retry::read(&at, idempotent));
    let operation = fields.get("operation").and_then(|at| placeholders.fact(&at, Some(&rules.operations)));
    let environment = fields.get("environment").and_then(|at| placeholders.fact(&at, Some(&rules.environments)));
    let resource = fields.get("resource").and_then(|at| placeholders.fact(&at, None));
    let resource_type = fields.get("resource_type").and_then(|at| placeholders.fact(&at, Some(&rules.resource_types)));
    // A webhook sends all of them, so none has to be used in a placeholder.
    let args: Option<Vec<(&str, &str, Argument)>> = fields.get("args").map(|at| placeholders.sent_args(&at));
    placeholders.refuse_unknown();
    let fact = |fact: &Option<(&str, Template)>| fact.as_ref().map(|(text, _)| Value::from(*text)).unwrap_or_default();
    let document = json!({
        "url": url,
        "secret": secret.clone().flatten().map(|name| json!({ "from_env": name })),
        "timeout": duration::show(timeout).to_string(),
        "idempotent": idempotent,
        "retry": retry::document(retry.flatten().as_ref()),
        "allow_private": allow_private,
        "operation": fact(&operation),
        "environment": fact(&environment),
        "resource": fact(&resource),
        "resource_type": fact(&resource_type),
        "args": args.as_deref().map(arguments_document),
    });
    let template = |fact: Option<(&str, Template)>| fact.map(|(_, template)| template);
    let secret = match secret {
        // Its problems have been noted.
        Some(named) => Some(named?),
        None => None,
    };
    let webhook = Webhook {
        name: name.to_owned(),
        operation: template(operation),
        environment: template(environment),
        resource: template(resource),
        resource_type: template(resource_type),
        args: args.map(|args| args.into_iter().map(|(name, _, argument)| (name.to_owned(), argument)).collect()),
        call: Call { url: url?, secret, timeout, idempotent, allow_private, retry: retry.map_or(Some(None), |read| read.map(Some))? },
    };
    Some((webhook, document))
}
