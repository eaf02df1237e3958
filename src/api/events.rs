//! Event streams (Server-Sent Events): what happens, as it happens, and what was missed by whoever comes back.
//!
//! A stream of one workflow is numbered by its versions and read from its log. The stream of all workflows is `tail.rs`.

mod frame;
mod tail;

use self::tail::{Position, Tail};
use crate::actors::engine::Story;
use crate::api::examples;
use crate::http::openapi::{self, CALLER, WAIT, refused_with};
use crate::http::path::WorkflowId;
use crate::http::problem::{Code, Problem};
use crate::http::query::{Parameters, invalid};
use crate::identity::{Caller, Reauthentication};
use crate::service::Service;
use crate::service::admission::Permit;
use crate::service::visibility::may_see;
use crate::storage::FeedEntry;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;
use utoipa::IntoParams;
use uuid::Uuid;

/// Between two heartbeats; with each of them the caller is asked for proof again.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The pause before the database is asked again that did not answer.
const PAUSE: Duration = Duration::from_secs(1);

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// The `id:` of the last message that was heard.
    since: Option<String>,
}

refused_with!(FollowAllProblems = CALLER, WAIT);

/// Follow everything
///
/// What happens to all workflows that the caller may see, from now on or after `since`, as Server-Sent Events. Each message is one event: its
/// `data:` is a StreamEvent, its `event:` the event's name, and its `id:` an opaque place in the order in which events become known.
///
/// Each event comes once in a connection, those of one workflow in the order of their versions; after a reconnection some may come again (tell
/// them by `workflow_id` and `version`). A place that is more than 24 hours old, or that a restored database has lost, is answered by a message
/// `reset`, whose `data:` is a StreamReset: read the lists anew, the stream goes on from there. Every 15 s without news there is a comment.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "follow_everything",
    tag = openapi::STREAMS,
    params(
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "As `since`, and goes before it. A browser sends it by itself."),
    ),
    responses(
        (status = 200, description = "The stream. It ends with the server, or with the caller's right to hear it.", body = String,
            content_type = "text/event-stream", example = json!(examples::STREAM)),
        FollowAllProblems,
    ),
)]
pub async fn of_all(
    State(service): State<Service>,
    by: Caller,
    reauthentication: Reauthentication,
    headers: HeaderMap,
    Parameters(query): Parameters<EventsQuery>,
) -> Result<Response, Problem> {
    let since = since::<Position>(&headers, query.since.as_deref())?;
    let place = Place::take(&service, &by.name)?;
    let (opening, tail) = Tail::open(&service, by, reauthentication, place, since).await?;
    let start = (Some(opening), tail);
    Ok(frame::response(start, async |(opening, mut tail)| match opening {
        Some(opening) => Some((opening, (None, tail))),
        None => tail.next().await.map(|text| (text, (None, tail))),
    }))
}

refused_with!(FollowProblems = CALLER, [Code::WorkflowNotFound], WAIT);

/// Follow a workflow
///
/// What happened and happens to one workflow, from its first event or after `since`, as Server-Sent Events. Each message is one event: its
/// `data:` is a StreamEvent, its `event:` the event's name, and its `id:` the version. Every 15 s without news there is a comment.
#[utoipa::path(
    get,
    path = "/workflows/{id}/events",
    operation_id = "follow_workflow",
    tag = openapi::STREAMS,
    params(
        ("id" = Uuid, Path, description = "The workflow's id."),
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "As `since`, and goes before it. A browser sends it by itself."),
    ),
    responses(
        (status = 200, description = "The stream. It ends after the last event of a workflow to which nothing can happen any more.", body = String,
            content_type = "text/event-stream", example = json!(examples::STREAM)),
        (status = 204, description = "Nothing can happen to the workflow any more, and everything that did was heard. A browser stops at this."),
        FollowProblems,
    ),
)]
pub async fn of_workflow(
    State(service): State<Service>,
    by: Caller,
    reauthentication: Reauthentication,
    headers: HeaderMap,
    WorkflowId(id): WorkflowId,
    Parameters(query): Parameters<EventsQuery>,
) -> Result<Response, Problem> {
    let since = since::<u32>(&headers, query.since.as_deref())?;
    let story = service.engine.story(id).await?.filter(|story| may_see(&by, &story.workflow)).ok_or_else(Problem::not_found)?;
    if let Some(since) = since.as_ref().filter(|since| since.id > story.workflow.version) {
        return Err(since.ahead());
    }
    let since = since.map_or(0, |since| since.id);
    if story.workflow.status().is_final() && story.workflow.version == since {
        // An `EventSource` takes this for the end, and does not come back.
        return Ok(StatusCode::NO_CONTENT.into_response());
    }
    let place = Place::take(&service, &by.name)?;
    let start = OneWorkflow { id, since, begun: false, reauthentication, _place: place, service };
    Ok(frame::response(start, async |mut follower| follower.next().await.map(|text| (text, follower))))
}

/// Where a client comes back to, and by which name it said so.
struct Since<T> {
    name: &'static str,
    id: T,
}

impl<T> Since<T> {
    /// What a client cannot have heard, because it has not happened: it may have come from another stream, or another database.
    fn ahead(&self) -> Problem {
        invalid(self.name, "is ahead of what this stream has told; leave it out, read the lists anew, and go on from there")
    }
}

/// What a client heard last, or else what it asks for.
fn since<T: FromStr>(headers: &HeaderMap, asked: Option<&str>) -> Result<Option<Since<T>>, Problem> {
    let heard = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?"));
    let (name, text) = match (heard, asked) {
        (Some(heard), _) => ("Last-Event-ID", heard),
        (None, Some(asked)) => ("since", asked),
        (None, None) => return Ok(None),
    };
    text.parse().map(|id| Some(Since { name, id })).map_err(|_| invalid(name, "is not an id that such a stream has handed out"))
}

/// An open stream is counted as long as this lives.
struct Place {
    service: Service,
    _permit: Arc<Permit>,
}

impl Place {
    fn take(service: &Service, name: &str) -> Result<Self, Problem> {
        let permit = service.admissions.streams.admit(name, 0)?;
        service.engine.metrics.event_streams.inc();
        Ok(Self { service: service.clone(), _permit: permit })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.service.engine.metrics.event_streams.dec();
    }
}

/// Follows one workflow.
struct OneWorkflow {
    service: Service,
    id: Uuid,
    /// The version that was sent last.
    since: u32,
    begun: bool,
    reauthentication: Reauthentication,
    _place: Place,
}

impl OneWorkflow {
    /// What is sent next; `None` is the end: nothing can follow, or the caller is not to hear of it any more.
    async fn next(&mut self) -> Option<String> {
        if !self.begun {
            self.begun = true;
            return Some(frame::opening(self.since));
        }
        loop {
            let since = self.since;
            let news =
                self.service.engine.wait(self.id, HEARTBEAT, move |workflow| workflow.version > since || workflow.status().is_final());
            match self.service.until_closing(news).await? {
                Ok(Some(story)) if story.workflow.version > since => return Some(self.tell(&story)),
                Ok(Some(story)) if story.workflow.status().is_final() => return None,
                Ok(Some(_)) => return self.reauthentication.holds(&self.service.identity).await.then(|| frame::heartbeat(since)),
                Ok(None) => return None,
                Err(error) => {
                    tracing::debug!(%error, "an event stream waits for the database");
                    self.service.until_closing(tokio::time::sleep(PAUSE)).await?;
                    if !self.reauthentication.holds(&self.service.identity).await {
                        return None;
                    }
                }
            }
        }
    }

    fn tell(&mut self, story: &Story) -> String {
        let mut text = String::new();
        for recorded in story.log.iter().filter(|recorded| recorded.version > self.since) {
            let entry = FeedEntry::of(&story.workflow, recorded.version, &recorded.actor, recorded.at, &recorded.event);
            frame::event(&mut text, entry.version, &entry);
        }
        self.since = story.workflow.version;
        text
    }
}
