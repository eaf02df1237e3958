//! Calls a configured URL once, and reports the response.
//!
//! The request is a POST of JSON, signed according to [Standard
//! Webhooks](crate::outbound::standard_webhooks). Its id, its `Idempotency-Key` and its body are
//! the same for each attempt of one workflow, so that a receiver can tell a repetition from a new
//! order; `Parkbrake-Attempt` counts them.
//!
//! A receiver may have acted although its response never arrived. So an attempt has failed only if
//! nothing was sent, or if the receiver itself refused; if a request was sent and not answered, the
//! outcome is unknown.

use crate::clock::Clock;
use crate::domain::duration;
use crate::domain::notice::SecretName;
use crate::domain::request::webhook::Webhook;
use crate::domain::task::call::Call;
use crate::domain::task::digest::Digest;
use crate::domain::workflow::{AttemptId, Outcome};
use crate::execution::output::{KEPT, Kept, Secrets, Tail};
use crate::execution::redactions::Redactions;
use crate::execution::run::Cancelling;
use crate::outbound::client;
use crate::outbound::secret::Secret;
use crate::outbound::standard_webhooks::{ID, Key, SIGNATURE, TIMESTAMP, message_id};
use chrono::{DateTime, Utc};
use reqwest::header::CONTENT_TYPE;
use reqwest::{Response, StatusCode, Url};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// The header that carries the key (draft-ietf-httpapi-idempotency-key-header).
const IDEMPOTENCY_KEY: &str = "idempotency-key";

/// The header that counts the attempts, from 1.
const ATTEMPT: &str = "parkbrake-attempt";

/// One attempt to make a call.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    pub workflow_id: Uuid,
    pub attempt: AttemptId,
    /// The digest of the document that was approved.
    pub digest: &'a Digest,
    /// The webhook's name.
    pub name: &'a str,
    pub call: &'a Call,
    pub args: &'a Map<String, Value>,
}

/// Makes the call, and waits for the whole response or the timeout. Dropping the future closes the
/// connection; what the receiver does is then unknown. `None` if the call was not made, because it
/// may not be made now.
pub async fn call(
    request: Request<'_>,
    caller: &Caller,
    redactions: &Redactions,
    may_start: &(dyn Fn() -> bool + Send + Sync),
    cancelling: &Cancelling,
) -> Option<Outcome> {
    let prepared = match prepare(&request, caller) {
        Ok(prepared) => prepared,
        Err(reason) => return Some(not_called(&reason)),
    };
    if !may_start() {
        return None;
    }
    let call = async {
        match prepared.send().await {
            Ok(response) => answered(response, request.call, redactions).await,
            // No byte of the request leaves before there is a connection.
            Err(error) if error.is_connect() || error.is_builder() => not_called(&client::cause(&error)),
            Err(error) => unknown(request.call, &error),
        }
    };
    // A request that was sent cannot be undone, but a response that arrives soon still tells the
    // outcome.
    let given_up = async {
        cancelling.signal.given().await;
        tokio::time::sleep(cancelling.grace).await;
    };
    Some(tokio::select! {
        biased;
        outcome = call => outcome,
        () = given_up => {
            let reason = "it was cancelled after the call was made, and no answer came soon after: find out what the receiver did";
            Outcome::Unknown { reason: reason.to_owned() }
        }
    })
}

/// What calls need: the signing keys, by the variables that hold them, and the time. It has no
/// `Debug`, so that no key can end up in a log.
#[derive(Clone)]
pub struct Caller {
    keys: BTreeMap<String, Key>,
    clock: Arc<Clock>,
}

impl Caller {
    /// A caller for these webhooks. `read` returns the variables of the environment.
    ///
    /// # Errors
    /// Every reason why a webhook cannot be called, one per line. No line shows a secret.
    pub fn new<'a>(
        webhooks: impl IntoIterator<Item = &'a Webhook>,
        read: &dyn Fn(&str) -> Option<String>,
        clock: Arc<Clock>,
    ) -> Result<Self, Vec<String>> {
        let (mut keys, mut problems) = (BTreeMap::new(), Vec::new());
        for webhook in webhooks {
            match address(&webhook.call).and_then(|_| key(&webhook.call, read)) {
                Ok(key) => keys.extend(key),
                Err(problem) => problems.push(format!("webhooks.{}: {problem}", webhook.name)),
            }
        }
        if problems.is_empty() { Ok(Self { keys, clock }) } else { Err(problems) }
    }

    /// The key of a call; `None` if the call is not signed.
    fn key(&self, call: &Call) -> Result<Option<&Key>, String> {
        let Some(name) = &call.secret else { return Ok(None) };
        self.keys
            .get(name)
            .map(Some)
            .ok_or_else(|| format!("the server was started without the secret in {name}; set it and restart the server"))
    }
}

fn address(call: &Call) -> Result<Url, String> {
    let url = Url::parse(&call.url).map_err(|error| format!("its url is not valid: {error}"))?;
    if !call.allow_private && client::is_inside(&url) {
        return Err("its url leads to this machine or into a private network; if that is meant, say allow_private: true".to_owned());
    }
    Ok(url)
}

/// The key of a call, with the variable that holds it.
fn key(call: &Call, read: &dyn Fn(&str) -> Option<String>) -> Result<Option<(String, Key)>, String> {
    let Some(name) = &call.secret else { return Ok(None) };
    let found = read(name).filter(|value| !value.trim().is_empty());
    let secret = found.ok_or_else(|| format!("{name} is not set in the server's environment, and its secret is read from it"))?;
    Ok(Some((name.clone(), Key::read(&SecretName(name.clone()), &Secret::new(secret))?)))
}

fn prepare(request: &Request<'_>, caller: &Caller) -> Result<reqwest::RequestBuilder, String> {
    let Request { workflow_id, attempt, digest, name, call, args } = *request;
    let (url, key) = (address(call)?, caller.key(call)?);
    let (id, timestamp) = (message_of(workflow_id, attempt), caller.clock.now().timestamp().to_string());
    // The same for each attempt: a receiver may compare a repetition with what it received first.
    let body = json!({
        "type": "parkbrake.action",
        "timestamp": submitted_at(workflow_id),
        "data": { "workflow_id": workflow_id, "step": attempt.step, "digest": digest, "webhook": name, "args": args },
    })
    .to_string();
    let client = client::for_address(call.timeout, call.allow_private)?;
    let post = client
        .post(url)
        .header(CONTENT_TYPE, "application/json")
        .header(IDEMPOTENCY_KEY, format!("\"{}\"", attempt.idempotency_key(workflow_id)));
    let post = post.header(ATTEMPT, attempt.number);
    let post = post.header(ID, &id).header(TIMESTAMP, &timestamp);
    Ok(match key {
        Some(key) => post.header(SIGNATURE, key.sign(&id, &timestamp, &body)),
        None => post,
    }
    .body(body))
}

/// The id of the message: the same for every attempt at one step, and a different one for each step
/// of a plan.
fn message_of(workflow_id: Uuid, attempt: AttemptId) -> String {
    let id = message_id(workflow_id);
    if attempt.step == 1 { id } else { format!("{id}_{}", attempt.step) }
}

/// When the task was submitted, according to its id.
fn submitted_at(workflow_id: Uuid) -> Option<DateTime<Utc>> {
    let (seconds, nanoseconds) = workflow_id.get_timestamp()?.to_unix();
    DateTime::from_timestamp(i64::try_from(seconds).ok()?, nanoseconds)
}

/// The outcome according to the response. A truncated response is an unknown outcome.
async fn answered(mut response: Response, call: &Call, redactions: &Redactions) -> Outcome {
    let status = response.status();
    let mut body = Tail::new(Arc::new(Secrets::new(redactions.clone(), Vec::new())));
    let (mut length, mut is_cut) = (0, false);
    loop {
        match response.chunk().await {
            Ok(None) => break,
            Ok(Some(chunk)) => {
                let fits = chunk.len().min(KEPT - length);
                body.push(&chunk[..fits]);
                length += fits;
                is_cut = fits < chunk.len();
            }
            Err(error) => return unknown(call, &error),
        }
        if is_cut {
            break;
        }
    }
    let Kept { text, .. } = body.finish(is_cut);
    let output = Some(json!({ "status": status.as_u16(), "body": text, "body_truncated": is_cut }));
    let worded = status.canonical_reason().map_or_else(|| status.as_u16().to_string(), |words| format!("{} {words}", status.as_u16()));
    match status {
        status if status.is_success() => Outcome::Succeeded { output },
        status if status.is_redirection() => {
            Outcome::Failed { error: format!("the answer was {worded}, and redirects are not followed"), output }
        }
        // A proxy, or the receiver's own timeout, gave up; the service behind it may have acted.
        StatusCode::REQUEST_TIMEOUT | StatusCode::BAD_GATEWAY | StatusCode::GATEWAY_TIMEOUT => {
            Outcome::Unknown { reason: format!("the answer was {worded}, which does not show whether the receiver acted on the call") }
        }
        _ => Outcome::Failed { error: format!("the answer was {worded}"), output },
    }
}

fn not_called(reason: &str) -> Outcome {
    Outcome::Failed { error: format!("not called: {reason}"), output: None }
}

fn unknown(call: &Call, error: &reqwest::Error) -> Outcome {
    let reason = if error.is_timeout() {
        format!("the call was made, and no complete answer arrived within {}", duration::show(call.timeout))
    } else {
        format!("the call was made, and its answer was lost: {}", client::cause(error))
    };
    Outcome::Unknown { reason }
}

#[cfg(test)]
mod tests;
