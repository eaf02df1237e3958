//! Event streams (Server-Sent Events): what happens, as it happens, and what a client missed before
//! it reconnected.

mod frame;

use self::frame::Frames;
use crate::api::examples;
use crate::http::openapi::{self, CALLER, WAIT, refused_with};
use crate::http::path::WorkflowId;
use crate::http::problem::{Code, Problem};
use crate::http::query::{Parameters, invalid};
use crate::identity::{Caller, Reauthentication};
use crate::service::Service;
use crate::service::follow::{Opened, Position, Since};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use std::str::FromStr;
use utoipa::IntoParams;

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// The `id:` of the last message that the client received.
    since: Option<String>,
}

refused_with!(FollowAllProblems = CALLER, WAIT);

/// Follow everything
///
/// What happens to all workflows that the caller may see, from now on or after `since`, as
/// Server-Sent Events. Each message is one event: its `data:` is a StreamEvent, its `event:` the
/// event's name, and its `id:` an opaque position in the order in which events become known.
///
/// A connection delivers each event once, and the events of one workflow in the order of their
/// versions. After a reconnection some events may come again; recognize them by `workflow_id` and
/// `version`. If a position is more than 24 hours old, or a restored database has lost it, a
/// message `reset` comes, whose `data:` is a StreamReset: read the lists again; the stream
/// continues from there. Every 15 s without news there is a comment.
#[utoipa::path(
    get,
    path = "/events",
    operation_id = "follow_everything",
    tag = openapi::STREAMS,
    params(
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The same as `since`, and takes precedence over it. Browsers send it automatically."),
    ),
    responses(
        (status = 200, description = "The stream. It ends when the server stops, or when the caller may no longer read it.", body = String,
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
    let (opening, everything) = service.follow_all::<Frames>(by, reauthentication, since).await?;
    let start = (Some(opening), everything);
    Ok(frame::response(start, async |(opening, mut everything)| match opening {
        Some(opening) => Some((opening, (None, everything))),
        None => everything.next::<Frames>().await.map(|frames| (frames, (None, everything))),
    }))
}

refused_with!(FollowProblems = CALLER, [Code::WorkflowNotFound], WAIT);

/// Follow a workflow
///
/// The events of one workflow, past and future, from the first one or after `since`, as Server-Sent
/// Events. Each message is one event: its `data:` is a StreamEvent, its `event:` the event's name,
/// and its `id:` the version. Every 15 s without news there is a comment.
#[utoipa::path(
    get,
    path = "/workflows/{id}/events",
    operation_id = "follow_workflow",
    tag = openapi::STREAMS,
    params(
        ("id" = Uuid, Path, description = "The workflow's id."),
        EventsQuery,
        ("Last-Event-ID" = Option<String>, Header, description = "The same as `since`, and takes precedence over it. Browsers send it automatically."),
    ),
    responses(
        (status = 200, description = "The stream. It ends after the last event of a final workflow.", body = String,
            content_type = "text/event-stream", example = json!(examples::STREAM)),
        (status = 204, description = "Nothing more can happen to the workflow, and the client has received every event. A browser does not reconnect after this."),
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
    match service.follow(&by, reauthentication, id, since).await? {
        // An `EventSource` takes this as the end, and does not reconnect.
        Opened::Ended => Ok(StatusCode::NO_CONTENT.into_response()),
        Opened::Following(workflow) => {
            Ok(frame::response(workflow, async |mut workflow| workflow.next::<Frames>().await.map(|frames| (frames, workflow))))
        }
    }
}

/// The last event that the client received, by header or parameter.
fn since<T: FromStr>(headers: &HeaderMap, asked: Option<&str>) -> Result<Option<Since<T>>, Problem> {
    let heard = headers.get("last-event-id").map(|id| id.to_str().unwrap_or("?"));
    let (name, text) = match (heard, asked) {
        (Some(heard), _) => ("Last-Event-ID", heard),
        (None, Some(asked)) => ("since", asked),
        (None, None) => return Ok(None),
    };
    text.parse().map(|id| Some(Since { name, id })).map_err(|_| invalid(name, "is not an id that this stream has sent"))
}
