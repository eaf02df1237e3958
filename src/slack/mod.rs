//! Buttons in Slack: a press becomes the same decision as a call of the API.
//!
//! Slack reports who pressed a button, and signs the report. The configuration says which person
//! this is, and at which levels a button is enough. The core decides whether that person may
//! decide, as for every other way in. A press that is repeated or replayed finds the decision
//! already made.

use crate::domain::notice::buttons::{self, Question, Word, mrkdwn};
use crate::domain::risk::level::Level;
use crate::domain::task::plan::Document;
use crate::domain::text::shown;
use crate::domain::workflow::today::InSlack;
use crate::domain::workflow::{Decision, Verdict, Workflow};
use crate::http::body::{self, Raw};
use crate::http::openapi::{self, refused_with};
use crate::http::peer::Peer;
use crate::http::problem::{self, Code, Problem};
use crate::http::signature;
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::decide::Saying;
use crate::service::{Service, ServiceError, Shown};
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, FromRequestParts as _, State};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::{Form, Router};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;
use utoipa::ToSchema;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

/// How old a press may be, in seconds.
const OLDEST: i64 = 300;
/// How far Slack's clock may be ahead of ours, in seconds. A larger value would extend the time in
/// which a press can be replayed.
const AHEAD: i64 = 5;
/// Slack wants an answer within three seconds. A longer decision goes on, and its result is sent to
/// the address that came with the press.
const REPLY_TIMEOUT: Duration = Duration::from_millis(2_500);

/// Sends an answer to the address that came with a press.
pub type Answer = Arc<dyn Fn(&str, Value) -> BoxFuture<'static, ()> + Send + Sync>;

/// The buttons of all channels that have any.
#[derive(Clone)]
pub struct Slack {
    /// One for each channel with buttons.
    pub apps: Vec<SlackApp>,
    /// The inbox, where people decide what a button may not.
    pub inbox: Option<String>,
    pub answer: Answer,
}

/// The app of one channel.
#[derive(Clone)]
pub struct SlackApp {
    pub signing_secret: String,
    /// At which levels its buttons decide.
    pub levels: Vec<Level>,
    /// The workspace whose members may press them; if left out, any workspace with the app.
    pub team_id: Option<String>,
}

/// What the handler needs: the use cases, and the buttons, if any channel has them.
#[derive(Clone)]
pub struct Buttons {
    service: Service,
    slack: Option<Arc<Slack>>,
}

/// The route by which Slack reports presses.
pub fn routes(service: Service, slack: Option<Slack>) -> Router {
    Router::from(calls()).with_state(Buttons { service, slack: slack.map(Arc::new) })
}

/// The call, with its documentation.
pub fn calls() -> OpenApiRouter<Buttons> {
    OpenApiRouter::default().routes(routes!(interactions))
}

/// What Slack sends.
#[derive(Deserialize, ToSchema)]
#[schema(as = SlackPress)]
struct Envelope {
    /// What was pressed, as JSON.
    payload: String,
}

/// The fields of a press that are needed. Unknown fields are ignored, because Slack sends more and
/// may add others.
#[derive(Deserialize)]
struct Press {
    #[serde(rename = "type")]
    kind: String,
    user: User,
    #[serde(default)]
    team: Option<Team>,
    #[serde(default)]
    actions: Vec<Action>,
    #[serde(default)]
    response_url: String,
}

#[derive(Deserialize)]
struct User {
    id: String,
    #[serde(default)]
    team_id: Option<String>,
}

#[derive(Deserialize)]
struct Team {
    id: String,
}

impl Press {
    /// Whether a member of this workspace pressed it there, as Slack says. A shared channel has
    /// members of other workspaces too.
    fn is_of(&self, team_id: &str) -> bool {
        let mut said = self.team.iter().map(|team| &team.id).chain(&self.user.team_id).peekable();
        said.peek().is_some() && said.all(|id| id == team_id)
    }
}

#[derive(Deserialize)]
struct Action {
    action_id: String,
    #[serde(default)]
    value: String,
}

refused_with!(
    PressProblems = [Code::MalformedJson, Code::PayloadTooLarge, Code::RateLimited, Code::Busy, Code::Unavailable];
    plain 401, 404
);

/// A button in Slack
///
/// Slack calls this when somebody presses a button of a message; it is of no use to anybody else.
/// It takes no token: `X-Slack-Signature` has to be Slack's signature over the body, not older than
/// 300 s by the server's clock and not more than 5 s ahead of it. The effect is that of approve or
/// reject with the digest of what the message showed; the result appears in Slack.
#[utoipa::path(
    post,
    path = "/slack/interactions",
    operation_id = "slack_interactions",
    tag = openapi::DECIDING,
    security(()),
    params(
        ("X-Slack-Request-Timestamp" = Option<String>, Header, description = "When Slack signed it, in seconds."),
        ("X-Slack-Signature" = Option<String>, Header, description = "`v0=` and the HMAC-SHA256 of `v0:`, the timestamp, `:` and the body."),
    ),
    request_body(content = Envelope, content_type = "application/x-www-form-urlencoded"),
    responses((status = 200, description = "The press was accepted, or there is nothing to do."), PressProblems),
)]
#[expect(clippy::disallowed_methods, reason = "it is awaited for as long as Slack waits, and then reports the result to the person itself")]
async fn interactions(
    State(Buttons { service, .. }): State<Buttons>,
    Signed { slack, apps, press, permit: _permit }: Signed,
) -> StatusCode {
    if let Some(question) = press.actions.iter().find_map(|action| buttons::question(&action.action_id, &action.value)) {
        let deciding = tokio::spawn(async move { decide_and_reply(&service, &slack, &apps, &press, question).await });
        let _ = tokio::time::timeout(REPLY_TIMEOUT, deciding).await;
    }
    // A link in a message is a button too. Slack reports its press, and there is nothing to do.
    StatusCode::OK
}

/// A press with Slack's valid signature. A handler that takes this type cannot be reached without
/// it.
struct Signed {
    slack: Arc<Slack>,
    /// Several channels may belong to one app, each with its own levels.
    apps: Vec<SlackApp>,
    press: Press,
    /// Held until the press is answered.
    permit: Arc<Permit>,
}

impl FromRequest<Buttons> for Signed {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, Buttons { service, slack }: &Buttons) -> Result<Self, Response> {
        let Some(slack) = slack else {
            return Err(problem::plain(StatusCode::NOT_FOUND, "no channel has buttons"));
        };
        let (mut head, body) = request.into_parts();
        let peer = Peer::from_request_parts(&mut head, service).await.map_err(IntoResponse::into_response)?;
        let request = Request::from_parts(head, body);
        let received = body::receive::<Raw>(&service.admissions.strangers, &peer.to_string(), request).await;
        let (Raw { head, bytes }, permit) = received.map_err(Problem::into_response)?;
        let now = service.now().timestamp();
        let apps: Vec<SlackApp> = slack.apps.iter().filter(|app| is_signed(app, &head.headers, &bytes, now)).cloned().collect();
        if apps.is_empty() {
            tracing::warn!("a call to /slack/interactions was not signed by Slack, or too long ago, and is refused");
            return Err(problem::plain(StatusCode::UNAUTHORIZED, "the signature does not match, or is too old"));
        }
        let form = Form::<Envelope>::from_request(Request::from_parts(head, Body::from(bytes)), &()).await.ok();
        let press = form.and_then(|Form(envelope)| serde_json::from_str::<Press>(&envelope.payload).ok());
        let Some(press) = press.filter(|press| press.kind == "block_actions") else {
            return Err(problem::plain(StatusCode::BAD_REQUEST, "this is not a button press"));
        };
        Ok(Self { slack: Arc::clone(slack), apps, press, permit })
    }
}

/// Whether Slack has signed these bytes recently. The signature covers version, time and body.
fn is_signed(app: &SlackApp, headers: &HeaderMap, body: &Bytes, now: i64) -> bool {
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let (Some(signature), Some(timestamp)) = (header("x-slack-signature"), header("x-slack-request-timestamp")) else { return false };
    let is_recent = timestamp.parse::<i64>().is_ok_and(|at| now.saturating_sub(at) <= OLDEST && at.saturating_sub(now) <= AHEAD);
    let digits = signature.strip_prefix("v0=").filter(|_| is_recent);
    digits.is_some_and(|digits| signature::fits(&app.signing_secret, &[b"v0:", timestamp.as_bytes(), b":", body], digits))
}

/// Decides, and tells the person in Slack the result.
async fn decide_and_reply(service: &Service, slack: &Slack, apps: &[SlackApp], press: &Press, question: Question) {
    let word = question.word;
    let answer = match decide(service, apps, press, question).await {
        Ok((workflow, decision)) => told(&workflow, &decision),
        Err(why) => {
            tracing::warn!(slack.user = shown(&press.user.id), button = ?word, reason = why, "a button in Slack was refused");
            let stop = if why.ends_with('.') { "" } else { "." };
            let inbox = slack.inbox.as_deref().map(|inbox| format!("{stop} The inbox is at {inbox}.")).unwrap_or_default();
            json!({"response_type": "ephemeral", "replace_original": false, "text": format!("{}{inbox}", mrkdwn(&why))})
        }
    };
    (slack.answer)(&press.response_url, answer).await;
}

/// Makes the same decision as the API would, for the person who pressed.
async fn decide(service: &Service, apps: &[SlackApp], press: &Press, question: Question) -> Result<(Workflow, Decision), String> {
    let levels = levels(apps, press)?;
    let by = person(service, &press.user.id).await?;
    let id = question.workflow_id;
    let Shown { workflow, document, .. } = service.show(&by, id).await.map_err(said)?;
    let level = workflow.asked_level();
    if !levels.contains(&level) {
        return Err(format!("A button cannot decide a request of {level} risk: read it and decide in the inbox."));
    }
    if workflow.round().is_some_and(|round| round.terms.require_justification) {
        return Err("This request needs a justification: read it and decide in the inbox.".to_owned());
    }
    if question.word == Word::Approve && !is_shown_whole(&document) {
        return Err("A message cannot show all of this request: read it and decide in the inbox.".to_owned());
    }
    let permit = service.admissions.changes.admit(&by.name, 0).map_err(said)?;
    let saying = Saying { digest: Some(question.digest), ..Saying::default() };
    let given = match question.word {
        Word::Approve => service.approve(&by, id, saying, permit).await.map(|(_, decision)| decision),
        Word::Reject => service.reject(&by, id, saying, permit).await,
    };
    let decision = given.map_err(said)?;
    tracing::info!(workflow.id = %id, by = by.name, verdict = decision.verdict.as_str(), "decided by a button in Slack");
    Ok((workflow, decision))
}

/// The levels at which a press decides: those of all channels whose app signed it and whose
/// workspace it came from.
fn levels(apps: &[SlackApp], press: &Press) -> Result<Vec<Level>, String> {
    let of_team: Vec<&SlackApp> = apps.iter().filter(|app| app.team_id.as_deref().is_none_or(|team_id| press.is_of(team_id))).collect();
    if of_team.is_empty() {
        return Err("You belong to a different Slack workspace than the one whose members may decide here.".to_owned());
    }
    Ok(of_team.into_iter().flat_map(|app| app.levels.iter().copied()).collect())
}

/// Whether a message can have shown everything that the decision covers.
fn is_shown_whole(document: &[u8]) -> bool {
    Document::read(document).is_ok_and(|document| buttons::covered(&document).is_some())
}

/// The person behind a Slack member, if that person has rights now.
async fn person(service: &Service, slack_id: &str) -> Result<Caller, String> {
    let found = service.identity.in_slack(slack_id).await.map_err(|error| said(error.into()))?;
    found.map_err(|why| match why {
        InSlack::Nobody => format!(
            "Parkbrake does not know you: ask an operator to add `slack: {}` to your name in hitl/approval-policies.yaml.",
            shown(slack_id)
        ),
        InSlack::Several => "Two names in hitl/approval-policies.yaml have your Slack id, so parkbrake cannot tell who you are.".to_owned(),
        InSlack::Barred(barred) => format!("You have no rights in parkbrake now: your name is {}.", barred.as_str()),
    })
}

/// What the channel reads about a decision. While more approvals are needed, the message keeps its
/// buttons.
fn told(workflow: &Workflow, decision: &Decision) -> Value {
    let (verdict, by) = (decision.verdict.as_str(), mrkdwn(&shown(&decision.approver)));
    let what = format!("Workflow `{}`, {} risk", workflow.id, workflow.asked_level());
    if decision.verdict == Verdict::Approved && decision.remaining > 0 {
        let text = format!("{what}: {verdict} by {by}, {} more needed.", decision.remaining);
        return json!({"response_type": "in_channel", "replace_original": false, "text": text});
    }
    json!({"replace_original": true, "text": format!("{what}: {verdict} by {by}.")})
}

/// A refusal in words.
fn said(error: ServiceError) -> String {
    error.to_string()
}
