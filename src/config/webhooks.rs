//! The `webhooks` of `runbooks.yaml`: destinations that a later version will call. This one only sees to it that they are sound.

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

/// An address of the web, without a name and a password in it.
fn url(text: &str) -> Result<String, &'static str> {
    let rest = ["https://", "http://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
    let rest = rest.ok_or("is no address that can be called: it has to begin with https:// or http://")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        return Err("holds a name or a password; secrets come from the environment: secret: { from_env: NAME }");
    }
    let sound = !host.is_empty() && !host.starts_with(':') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if sound { Ok(text.to_owned()) } else { Err("is no address that can be called: write https://, a host and a path") }
}
