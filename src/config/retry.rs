//! `retry` of runbooks and webhooks.

use crate::config::value::At;
use crate::domain::duration;
use crate::domain::task::retry::{LONGEST_PAUSE, Retry};
use serde_json::{Value, json};

/// More attempts than this are a typing error.
const MOST_ATTEMPTS: u32 = 20;

/// Reads `{ attempts: 3, backoff: 30s }` for an action that is or is not idempotent.
pub fn read(at: &At<'_>, is_idempotent: bool) -> Option<Retry> {
    let fields = at.fields(&["attempts", "backoff"])?;
    if !is_idempotent {
        at.problem("repeats an action that is not idempotent: say `idempotent: true` if a second attempt with the same key does no harm, or take `retry` out");
    }
    let attempts = fields.required("attempts", "say how many attempts there may be in all, such as 3").and_then(|at| {
        let attempts = at.count()?;
        if !(2..=MOST_ATTEMPTS).contains(&attempts) {
            at.problem(format!("has to be from 2 to {MOST_ATTEMPTS}: it counts the first attempt too"));
            return None;
        }
        Some(attempts)
    });
    let backoff = fields.required("backoff", "say how long to rest after the first failure, such as 30s").and_then(|at| {
        let backoff = at.duration()?;
        if backoff > LONGEST_PAUSE {
            at.problem(format!("is longer than {}, the longest pause between two attempts", duration::show(LONGEST_PAUSE)));
            return None;
        }
        Some(backoff)
    });
    let (attempts, backoff) = attempts.zip(backoff)?;
    is_idempotent.then_some(Retry { attempts, backoff })
}

/// The values as a document.
pub fn document(retry: Option<&Retry>) -> Option<Value> {
    retry.map(|retry| json!({ "attempts": retry.attempts, "backoff": duration::show(retry.backoff).to_string() }))
}
