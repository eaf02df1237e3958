//! Webhooks according to Standard Webhooks 1.0: an event as JSON, with an id that stays the same,
//! signed with a shared secret.

use crate::actors::ports::{Channel, Notice, Undelivered};
use crate::clock::Clock;
use crate::domain::notice::{Kind, SecretName};
use crate::domain::task::Task;
use crate::domain::task::plan::Document;
use crate::domain::workflow::Workflow;
use crate::domain::workflow::approval;
use crate::domain::workflow::transition;
use crate::notify::http;
use crate::notify::message::target_of;
use crate::outbound::client;
use crate::outbound::secret::Secret;
use crate::outbound::standard_webhooks::{self, Key, message_id};
use chrono::{DateTime, SecondsFormat, Utc};
use futures_util::future::BoxFuture;
use reqwest::header::CONTENT_TYPE;
use reqwest::{Client, Url};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

/// The most bytes of a body: a receiver may refuse more.
const LARGEST: usize = 20_000;
/// The most characters of the requester's words and of shorter texts, and the most entries of a
/// list.
const LONGEST_CLAIM: usize = 1_000;
const LONGEST_TEXT: usize = 200;
const MOST: usize = 10;

/// One destination.
pub struct Webhook {
    client: Client,
    url: Url,
    key: Key,
    clock: Arc<Clock>,
}

/// Where notices go, and how.
#[derive(Debug, Clone)]
pub struct Settings {
    pub url: String,
    pub timeout: Duration,
    /// Whether the address may be on this machine or in a private network.
    pub allow_private: bool,
}

impl Webhook {
    /// A destination, with its secret.
    ///
    /// # Errors
    /// The address or the secret is invalid.
    pub fn new(settings: &Settings, name: &SecretName, secret: &Secret, clock: Arc<Clock>) -> Result<Self, String> {
        let url = Url::parse(&settings.url).map_err(|error| format!("its url is not an address: {error}"))?;
        if !settings.allow_private && client::is_inside(&url) {
            return Err("its url leads to this machine or into a private network; if that is meant, say allow_private: true".to_owned());
        }
        let client = client::for_address(settings.timeout, settings.allow_private)?;
        Ok(Self { client, url, key: Key::read(name, secret)?, clock })
    }

    async fn send(&self, notice: &Notice) -> Result<(), Undelivered> {
        let id = message_id(notice.id);
        // The time of this attempt, because a receiver refuses a message that is older than a few
        // minutes.
        let timestamp = self.clock.now().timestamp().to_string();
        let body = body(notice);
        let signature = self.key.sign(&id, &timestamp, &body);
        let request = self
            .client
            .post(self.url.clone())
            .header(CONTENT_TYPE, "application/json")
            .header(standard_webhooks::ID, id)
            .header(standard_webhooks::TIMESTAMP, timestamp)
            .header(standard_webhooks::SIGNATURE, signature)
            .body(body);
        let response = request.send().await.map_err(|error| http::unanswered(&error))?;
        http::outcome(&response)
    }
}

impl Channel for Webhook {
    fn deliver(&self, message: Vec<Notice>) -> BoxFuture<'_, Result<(), Undelivered>> {
        Box::pin(async move {
            for notice in &message {
                self.send(notice).await?;
            }
            Ok(())
        })
    }
}

/// The event as JSON, small enough that a receiver has to accept it.
fn body(notice: &Notice) -> String {
    let whole = event(notice, LONGEST_CLAIM, MOST).to_string();
    // The text has been escaped character by character.
    if whole.len() < LARGEST { whole } else { event(notice, LONGEST_TEXT / 2, 1).to_string() }
}

fn event(notice: &Notice, longest_claim: usize, most: usize) -> Value {
    let (workflow, document, target) = (&notice.workflow, &notice.document, target_of(notice));
    let submission = &workflow.submission;
    let text = |text: &str| bounded(text, LONGEST_TEXT);
    let optional = |field: &Option<String>| field.as_deref().map(text);
    let reasons = submission.assessment.reasons.iter().take(most);
    let reasons: Vec<_> =
        reasons.map(|reason| json!({"trigger": reason.trigger, "level": reason.level, "detail": text(&reason.detail)})).collect();
    let differs: Vec<_> = target
        .differs
        .iter()
        .map(|one| json!({"field": one.field, "claimed": optional(&one.claimed), "known": text(&one.known), "from": one.from}))
        .collect();
    let mut event = json!({
        "type": notice.kind.as_str(),
        "timestamp": time(notice.at),
        "data": {
            "workflow_id": workflow.id,
            "task_id": submission.task_id.as_deref().map(text),
            "version": workflow.version,
            "status": workflow.status(),
            "approval_status": workflow.approval_status(),
            "risk_level": workflow.asked_level(),
            "reasons": reasons,
            "digest": workflow.subject(),
            "requested_by": submission.requested_by,
            "on_behalf_of": submission.on_behalf_of,
            "actor": notice.actor,
            "description": bounded(document.description(), longest_claim),
            "operation": text(&target.operation),
            "environment": optional(&target.environment),
            "resource": optional(&target.resource),
            "resource_type": optional(&target.resource_type),
            "differs": differs,
            "action": document.single().map(|task| json!({"type": task.action.kind, "name": optional(&task.action.name)})),
            "approval": approval(workflow, most),
            "decision": decision(workflow),
            "comment": notice.comment.as_deref().map(|text| bounded(text, longest_claim)),
            "supersedes": submission.supersedes,
            "reminder": (notice.kind == Kind::Reminded).then_some(notice.number),
            "goal_percent": (notice.kind == Kind::GoalNears).then_some(notice.number),
            "asked": notice.asked.iter().take(most).map(|person| person.name.as_str()).collect::<Vec<_>>(),
            "link": notice.link,
        },
    });
    if let Some(plan) = document.single().and_then(Task::terraform) {
        event["data"]["terraform_plan"] = plan.counts.to_string().into();
    }
    if submission.is_plan() {
        event["data"]["steps"] = steps(document, most).into();
        if let Some(step) = workflow.round().and_then(|round| round.step) {
            event["data"]["approval"]["step"] = step.into();
        }
    }
    event
}

/// The steps of a plan.
fn steps(document: &Document, most: usize) -> Vec<Value> {
    let text = |text: &str| bounded(text, LONGEST_TEXT);
    let step = |(name, task): (Option<&str>, &Task)| json!({"name": name, "action": {"type": task.action.kind, "name": task.action.name.as_deref().map(text)}});
    document.steps().into_iter().take(most).map(step).collect()
}

fn approval(workflow: &Workflow, most: usize) -> Option<Value> {
    let round = workflow.round()?;
    Some(json!({
        "approvers": approval::entitled_roles(round).into_iter().take(most).collect::<Vec<_>>(),
        "required": round.terms.required,
        "approvals": round.approvals.len(),
        "escalation_level": round.escalation_level,
        "requested_at": time(round.opened_at),
        "expires_at": transition::expires_at(round).map(time),
    }))
}

/// The decision that settled the request.
fn decision(workflow: &Workflow) -> Option<Value> {
    let decision = workflow.deciding()?;
    let justification = decision.justification.as_deref().map(|text| bounded(text, LONGEST_TEXT));
    Some(
        json!({"verdict": decision.verdict, "approver": decision.approver, "justification": justification, "at": time(decision.at), "via": decision.via}),
    )
}

fn time(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Micros, true)
}

fn bounded(text: &str, longest: usize) -> String {
    let mut bounded: String = text.chars().take(longest).collect();
    if text.chars().nth(longest).is_some() {
        bounded.push('…');
    }
    bounded
}

#[cfg(test)]
mod tests;
