//! The `webhooks` of `runbooks.yaml`: destinations that a later version will call. This one only sees to it that they are sound.

use crate::config::address::url;
use crate::config::runbooks::{duration_or, from_env};
use crate::config::value::At;
use crate::domain::duration;
use serde_json::{Value, json};
use std::time::Duration;

const KEYS: [&str; 4] = ["url", "secret", "timeout", "idempotent"];

/// How long a destination may take where nothing is said.
const TIMEOUT: Duration = Duration::from_secs(30);

/// Reads one entry; its values as a document.
pub fn read(at: &At<'_>) -> Option<Value> {
    let fields = at.fields(&KEYS)?;
    let url = fields.required("url", "write where the request goes, such as https://ci.example.com/run").and_then(|at| at.parsed(url));
    let secret = fields.get("secret").and_then(|at| from_env(&at));
    let timeout = duration_or(&fields, "timeout", TIMEOUT);
    let idempotent = fields.get("idempotent").and_then(|at| at.boolean()).unwrap_or(false);
    let timeout = duration::show(timeout).to_string();
    Some(json!({ "url": url?, "secret": { "from_env": secret }, "timeout": timeout, "idempotent": idempotent }))
}
