//! PagerDuty, through its Events API v2: an alert opens when a request escalates, and the decision
//! resolves it.
//!
//! An alert is identified by its `dedup_key`. For an escalation it is the workflow's id, so that
//! all steps are one alert and sending an event twice changes nothing. An unknown outcome has its
//! own alert, which the person who took it resolves.

use crate::actors::ports::{Channel, Notice, Undelivered};
use crate::domain::notice::Kind;
use crate::domain::risk::level::Level;
use crate::domain::text::shown;
use crate::domain::workflow::ApprovalStatus;
use crate::notify::http;
use crate::notify::message::{Message, cut};
use crate::notify::templates::{Shipped, Template};
use crate::outbound::client;
use crate::outbound::secret::Secret;
use chrono::SecondsFormat;
use futures_util::future::BoxFuture;
use reqwest::{Client, StatusCode};
use serde_json::{Map, Value, json};
use std::time::Duration;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The most characters of a summary.
const LONGEST_SUMMARY: usize = 1024;
/// The most bytes of an answer that are read.
const LONGEST_ANSWER: usize = 4 * 1024;

/// A service in PagerDuty.
pub struct PagerDuty {
    client: Client,
    api_url: String,
    routing_key: Secret,
    summary: Template,
}

impl PagerDuty {
    /// A channel to the service to which a key routes. The address is
    /// `https://events.pagerduty.com/v2/enqueue`, or that of a region.
    ///
    /// # Errors
    /// The template is invalid, or TLS cannot be set up.
    pub fn new(routing_key: Secret, api_url: &str, template: Option<&str>) -> Result<Self, String> {
        let summary = Template::new(Shipped::PagerDuty, template)?;
        Ok(Self { client: client::client(REQUEST_TIMEOUT)?, api_url: api_url.to_owned(), routing_key, summary })
    }

    async fn tell(&self, notice: &Notice) -> Result<(), Undelivered> {
        let Some(event) = self.event(notice) else { return Ok(()) };
        let response = self.client.post(&self.api_url).json(&event).send().await.map_err(|error| http::unanswered(&error))?;
        if response.status() != StatusCode::BAD_REQUEST {
            return http::outcome(&response);
        }
        let answer = http::body(response, LONGEST_ANSWER).await.unwrap_or_default();
        Err(Undelivered::Refused { reason: format!("PagerDuty does not accept the event: {}", complaint(&answer)) })
    }

    /// The event for a notice; `None` if it neither opens nor resolves an alert.
    fn event(&self, notice: &Notice) -> Option<Value> {
        let workflow = &notice.workflow;
        let (action, key) = match notice.kind {
            Kind::Escalated | Kind::Expiring => ("trigger", workflow.id.to_string()),
            Kind::GlassBroken => ("trigger", format!("{}/glass", workflow.id)),
            Kind::Reviewed => ("resolve", format!("{}/glass", workflow.id)),
            Kind::OutcomeUnknown => ("trigger", format!("{}/outcome", workflow.id)),
            Kind::Decided if workflow.approval_status() == ApprovalStatus::Pending => return None,
            Kind::Decided | Kind::Expired | Kind::Cancelled | Kind::Superseded => ("resolve", workflow.id.to_string()),
            Kind::Requested
            | Kind::Reminded
            | Kind::GoalNears
            | Kind::Granted
            | Kind::Asked
            | Kind::Answered
            | Kind::Executing
            | Kind::Succeeded
            | Kind::Failed
            | Kind::ReportOverdue => return None,
        };
        let mut event = json!({"routing_key": self.routing_key.expose(), "event_action": action, "dedup_key": key});
        if action == "trigger" {
            event["payload"] = self.payload(notice)?;
            event["client"] = json!("parkbrake");
            if let Some(link) = &notice.link {
                event["client_url"] = json!(link);
                event["links"] = json!([{"href": link, "text": "See exactly what would run, and decide"}]);
            }
        }
        Some(event)
    }

    fn payload(&self, notice: &Notice) -> Option<Value> {
        let message = Message::of(std::slice::from_ref(notice))?;
        let summary = cut(self.summary.render(&message).trim(), LONGEST_SUMMARY);
        let said = message.notice;
        let mut details: Map<String, Value> = said.facts.iter().map(|fact| (fact.name.to_owned(), json!(fact.value))).collect();
        details.insert("In the requester's words, unchecked".to_owned(), json!(said.description));
        details.insert("Why this level".to_owned(), json!(said.reasons));
        details.insert("Workflow".to_owned(), json!(said.workflow_id));
        Some(json!({
            // PagerDuty refuses an empty summary, and a template may render nothing.
            "summary": if summary.is_empty() { said.title } else { summary },
            "source": "parkbrake",
            "severity": severity(notice),
            "timestamp": notice.at.to_rfc3339_opts(SecondsFormat::Millis, true),
            "component": said.resource.unwrap_or(said.operation),
            "group": said.environment.unwrap_or_else(|| "no environment named".to_owned()),
            "class": said.kind,
            "custom_details": details,
        }))
    }
}

impl Channel for PagerDuty {
    fn deliver(&self, message: Vec<Notice>) -> BoxFuture<'_, Result<(), Undelivered>> {
        Box::pin(async move {
            for notice in &message {
                self.tell(notice).await?;
            }
            Ok(())
        })
    }
}

/// How urgent it is. An unknown outcome is at least an error.
fn severity(notice: &Notice) -> &'static str {
    match (notice.workflow.asked_level(), notice.kind) {
        (Level::Critical, _) => "critical",
        (Level::High, _) | (_, Kind::OutcomeUnknown) => "error",
        (Level::Medium, _) => "warning",
        (Level::Low, _) => "info",
    }
}

/// What PagerDuty says is wrong with an event.
fn complaint(answer: &str) -> String {
    let answer: Value = serde_json::from_str(answer).unwrap_or_default();
    let errors = answer["errors"].as_array().into_iter().flatten().filter_map(Value::as_str).map(shown).collect::<Vec<_>>();
    if errors.is_empty() { answer["message"].as_str().map_or_else(|| "it does not say why".to_owned(), shown) } else { errors.join("; ") }
}
