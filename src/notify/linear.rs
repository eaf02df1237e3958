//! Linear, through its GraphQL API: an issue for each request, a comment for each thing that
//! happens to it, and a state at the end.
//!
//! Linear has no idempotency keys, but it accepts ids from its clients. So the id of an issue is
//! made from the channel and the workflow, and the id of a comment from the channel and the notice:
//! if an answer was lost and a message is sent again, it is already there. The texts of Linear's
//! errors are for people and may change, so they are not parsed: a query says whether something is
//! there.

use crate::actors::ports::{Channel, Notice, Undelivered};
use crate::domain::notice::Kind;
use crate::domain::risk::level::Level;
use crate::domain::text::shown;
use crate::domain::workflow::ApprovalStatus;
use crate::notify::linear_api::{Api, Trouble};
use crate::notify::message::{Message, cut};
use crate::notify::templates::{Shipped, Template};
use crate::outbound::client;
use crate::outbound::secret::Secret;
use futures_util::future::BoxFuture;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// The most characters of a title.
const LONGEST_TITLE: usize = 200;
/// The most characters of a description or a comment.
const LONGEST_BODY: usize = 50_000;

const ISSUE: &str = "query Issue($id: String!) { issue(id: $id) { id } }";
const COMMENT: &str = "query Comment($id: String!) { comment(id: $id) { id } }";
const STATES: &str = "query States($id: String!) { team(id: $id) { states(first: 250) { nodes { id name type position } } } }";
const CREATE_ISSUE: &str = "mutation CreateIssue($input: IssueCreateInput!) { issueCreate(input: $input) { success issue { id } } }";
const CREATE_COMMENT: &str =
    "mutation CreateComment($input: CommentCreateInput!) { commentCreate(input: $input) { success comment { id } } }";
const MOVE_ISSUE: &str =
    "mutation MoveIssue($id: String!, $input: IssueUpdateInput!) { issueUpdate(id: $id, input: $input) { success issue { id } } }";

/// Where the issues of requests go.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The channel's name, so that two channels to one team have separate issues.
    pub channel: String,
    pub api_url: String,
    pub team_id: String,
    /// The team's state for issues of approved requests. If left out, the first state of the type
    /// `completed`.
    pub done_state: Option<String>,
    /// The team's state for issues of requests that will not run. If left out, the first state of
    /// the type `canceled`.
    pub cancelled_state: Option<String>,
}

/// A team in Linear.
pub struct Linear {
    api: Api,
    settings: Settings,
    /// The team's states, once they have been read.
    states: Mutex<Vec<State>>,
    issue: Template,
    comment: Template,
}

/// A state of the team's workflow.
#[derive(Debug, Clone, PartialEq)]
struct State {
    id: String,
    name: String,
    kind: String,
    position: f64,
}

/// Where an issue ends up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Cancelled,
}

impl Linear {
    /// A channel to a team, with the API key of one of its members.
    ///
    /// # Errors
    /// The key or the template is invalid, or TLS cannot be set up.
    pub fn new(api_key: &Secret, settings: Settings, template: Option<&str>) -> Result<Self, String> {
        Ok(Self {
            api: Api::new(client::client(REQUEST_TIMEOUT)?, &settings.api_url, api_key)?,
            settings,
            states: Mutex::default(),
            issue: Template::new(Shipped::LinearIssue, template)?,
            comment: Template::new(Shipped::LinearComment, None)?,
        })
    }

    async fn tell(&self, notice: &Notice) -> Result<(), Trouble> {
        let Some(message) = Message::of(std::slice::from_ref(notice)) else { return Ok(()) };
        let issue = self.id(&["issue", &notice.workflow.id.to_string()]);
        if notice.kind == Kind::Requested {
            return self.create_issue(&issue, notice, &message).await;
        }
        // The issue may be missing, because the channel is new or the notice that would have made
        // it was given up.
        if !self.api.exists(ISSUE, "issue", &issue).await? {
            self.create_issue(&issue, notice, &message).await?;
        }
        self.create_comment(&issue, notice, &message).await?;
        match end(notice) {
            Some(end) => self.move_issue(&issue, end).await,
            None => Ok(()),
        }
    }

    async fn create_issue(&self, id: &str, notice: &Notice, message: &Message) -> Result<(), Trouble> {
        let input = json!({
            "id": id,
            "teamId": self.settings.team_id,
            "title": cut(&message.notice.title, LONGEST_TITLE),
            "description": cut(&self.issue.render(message), LONGEST_BODY),
            "priority": priority(notice.workflow.asked_level()),
        });
        let created = self.api.call(CREATE_ISSUE, json!({"input": input})).await;
        self.unless_there(succeeded(created, "issueCreate"), ISSUE, "issue", id).await
    }

    async fn create_comment(&self, issue: &str, notice: &Notice, message: &Message) -> Result<(), Trouble> {
        let id = self.id(&["comment", &notice.id.to_string()]);
        let input = json!({"id": id, "issueId": issue, "body": cut(&self.comment.render(message), LONGEST_BODY)});
        let created = self.api.call(CREATE_COMMENT, json!({"input": input})).await;
        self.unless_there(succeeded(created, "commentCreate"), COMMENT, "comment", &id).await
    }

    /// Checks after a refusal whether the object is already there, from an earlier attempt whose
    /// answer was lost.
    async fn unless_there(&self, created: Result<(), Trouble>, query: &str, field: &str, id: &str) -> Result<(), Trouble> {
        match created {
            Err(Trouble::Input(reason)) if !self.api.exists(query, field, id).await? => Err(Trouble::Input(reason)),
            Err(Trouble::Input(_)) => Ok(()),
            other => other,
        }
    }

    async fn move_issue(&self, issue: &str, end: End) -> Result<(), Trouble> {
        let state = self.state(end).await?;
        let moved = self.api.call(MOVE_ISSUE, json!({"id": issue, "input": {"stateId": state}})).await;
        let moved = succeeded(moved, "issueUpdate");
        if matches!(moved, Err(Trouble::Input(_))) {
            // Perhaps the state was removed from the team; the next attempt reads the states again.
            self.states.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        moved
    }

    /// The id of the team's state for an end.
    async fn state(&self, end: End) -> Result<String, Trouble> {
        let known = self.states.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(state) = self.choose(&known, end) {
            return Ok(state.id.clone());
        }
        let answer = self.api.call(STATES, json!({"id": self.settings.team_id})).await?;
        let states: Vec<State> = answer["team"]["states"]["nodes"].as_array().into_iter().flatten().filter_map(State::read).collect();
        let chosen = self.choose(&states, end).map(|state| state.id.clone());
        *self.states.lock().unwrap_or_else(PoisonError::into_inner) = states;
        let missing = match (end, &self.settings.done_state, &self.settings.cancelled_state) {
            (End::Done, Some(name), _) | (End::Cancelled, _, Some(name)) => format!("named `{}`", shown(name)),
            (End::Done, None, _) => "of the type `completed`".to_owned(),
            (End::Cancelled, _, None) => "of the type `canceled`".to_owned(),
        };
        chosen.ok_or_else(|| Trouble::Input(format!("the team has no state {missing}, so the issue stays where it is")))
    }

    fn choose<'a>(&self, states: &'a [State], end: End) -> Option<&'a State> {
        let (name, kind) = match end {
            End::Done => (&self.settings.done_state, "completed"),
            End::Cancelled => (&self.settings.cancelled_state, "canceled"),
        };
        match name {
            Some(name) => states.iter().find(|state| state.name == *name),
            None => states.iter().filter(|state| state.kind == kind).min_by(|one, other| one.position.total_cmp(&other.position)),
        }
    }

    /// An id that is always the same for the same object, in the form that Linear requires (a UUID,
    /// version 4).
    fn id(&self, parts: &[&str]) -> String {
        let mut hash = Sha256::new();
        for part in ["parkbrake", &self.settings.channel, &self.settings.team_id].iter().chain(parts) {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&hash.finalize()[..16]);
        uuid::Builder::from_random_bytes(bytes).into_uuid().to_string()
    }
}

impl Channel for Linear {
    fn deliver(&self, message: Vec<Notice>) -> BoxFuture<'_, Result<(), Undelivered>> {
        Box::pin(async move {
            for notice in &message {
                self.tell(notice).await?;
            }
            Ok(())
        })
    }
}

impl State {
    fn read(node: &Value) -> Option<Self> {
        let text = |field: &str| node[field].as_str().map(str::to_owned);
        Some(Self { id: text("id")?, name: text("name")?, kind: text("type")?, position: node["position"].as_f64().unwrap_or_default() })
    }
}

/// Whether a mutation was done, which its answer says.
fn succeeded(answer: Result<Value, Trouble>, field: &str) -> Result<(), Trouble> {
    match answer?[field]["success"] {
        Value::Bool(true) => Ok(()),
        _ => Err(Trouble::Input(format!("Linear did not do what `{field}` asks for"))),
    }
}

/// The state to which a notice moves its issue, if it does. If an action failed, or may have, the
/// issue stays where it is and gets a comment.
fn end(notice: &Notice) -> Option<End> {
    match (notice.kind, notice.workflow.approval_status()) {
        (Kind::Decided | Kind::GlassBroken, ApprovalStatus::Approved) | (Kind::Succeeded, _) => Some(End::Done),
        (Kind::Decided, ApprovalStatus::Rejected) | (Kind::Expired | Kind::Cancelled | Kind::Superseded, _) => Some(End::Cancelled),
        _ => None,
    }
}

/// Linear's priorities: 1 is urgent, 4 is low.
fn priority(level: Level) -> u8 {
    match level {
        Level::Critical => 1,
        Level::High => 2,
        Level::Medium => 3,
        Level::Low => 4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    #[test]
    fn ids_have_the_form_that_linear_wants_and_never_change() {
        let settings = |channel: &str| Settings {
            channel: channel.to_owned(),
            api_url: "http://127.0.0.1:9".to_owned(),
            team_id: "team".to_owned(),
            done_state: None,
            cancelled_state: None,
        };
        let linear = |channel: &str| Linear::new(&Secret::new("key"), settings(channel), None).unwrap();
        let id = linear("one").id(&["issue", "a"]);
        assert_eq!(Uuid::parse_str(&id).unwrap().get_version_num(), 4);
        assert_eq!(id, linear("one").id(&["issue", "a"]), "the same after a restart");
        for other in [linear("two").id(&["issue", "a"]), linear("one").id(&["issue", "b"]), linear("one").id(&["comment", "a"])] {
            assert_ne!(id, other);
        }
    }
}
