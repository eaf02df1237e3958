//! Notices: what was sent, what could not be sent, and sending it again.

use crate::api::examples;
use crate::api::sent::Sent;
use crate::api::views::{NoticeAnswer, NoticePage, NoticeStatus};
use crate::http::openapi::{self, BODY, CALLER, refused_with};
use crate::http::problem::{Code, Problem};
use crate::http::query::{Listing, PageQuery, invalid};
use crate::identity::Caller;
use crate::service::{NoticeQuery, Service, ServiceError};
use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

const STATUSES: [&str; 4] = ["pending", "delivered", "cancelled", "dead"];

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// Only those with this status.
    #[param(value_type = Option<NoticeStatus>)]
    status: Option<String>,
    /// Only those to this channel.
    channel: Option<String>,
    /// Only those about this workflow.
    #[param(value_type = Option<Uuid>)]
    workflow_id: Option<String>,
}

refused_with!(ListProblems = CALLER, [Code::NotPermitted]);

/// List notices
///
/// The newest first. For people: a notice names people and their addresses.
#[utoipa::path(
    get,
    path = "/notices",
    operation_id = "list_notices",
    tag = openapi::NOTICES,
    params(ListQuery, PageQuery),
    responses((status = 200, description = "A page of notices.", body = NoticePage, example = json!(examples::notices())), ListProblems),
)]
pub async fn list(
    State(service): State<Service>,
    by: Caller,
    Listing { filter, after, limit }: Listing<ListQuery, Uuid>,
) -> Result<Response, Problem> {
    if filter.status.as_deref().is_some_and(|status| !STATUSES.contains(&status)) {
        return Err(invalid("status", format!("has to be one of {}", STATUSES.join(", "))));
    }
    let id = |text: &str| Uuid::try_parse(text).map_err(|_| invalid("workflow_id", "is not the id of a workflow"));
    let workflow_id = filter.workflow_id.as_deref().map(id).transpose()?;
    let page = service.notices(&by, NoticeQuery { status: filter.status, channel: filter.channel, workflow_id, after, limit }).await?;
    Ok(Json(NoticePage::from(&page)).into_response())
}

/// Nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ResendBody {}

refused_with!(ResendProblems = CALLER, BODY, [Code::NotPermitted, Code::NoticeNotFound, Code::WrongState]);

/// Send a notice again
///
/// Makes the notice due again, whatever its status, with the same id and another day of attempts.
/// For admins.
#[utoipa::path(
    post,
    path = "/notices/{id}/resend",
    operation_id = "resend_notice",
    tag = openapi::NOTICES,
    params(("id" = Uuid, Path, description = "The notice's id.")),
    request_body(content = Option<ResendBody>, example = json!({})),
    responses((status = 200, description = "It is due again.", body = NoticeAnswer, example = json!(examples::notice())), ResendProblems),
)]
pub async fn resend(
    State(service): State<Service>,
    by: Caller,
    NoticeId(id): NoticeId,
    Sent { body: ResendBody {}, permit }: Sent<ResendBody>,
) -> Result<Response, Problem> {
    let notice = service.resend_notice(&by, id, permit).await?;
    Ok(Json(NoticeAnswer::of(&notice)).into_response())
}

fn unknown() -> Problem {
    ServiceError::NoticeNotFound.into()
}

/// The id in a path. A text that is not an id names no notice.
pub struct NoticeId(pub Uuid);

impl FromRequestParts<Service> for NoticeId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, service).await.map_err(|_| unknown())?;
        Uuid::try_parse(&text).map(Self).map_err(|_| unknown())
    }
}
