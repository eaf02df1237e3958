//! A link that signs the caller in to the inbox.

use crate::api::examples;
use crate::api::views::SignInLink;
use crate::http::openapi::{self, BODY, CALLER, refused_with};
use crate::http::problem::{Code, Problem};
use crate::http::sent::Sent;
use crate::identity;
use crate::service::{Service, ServiceError};
use axum::Json;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use utoipa::ToSchema;

/// Nothing.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct SignInLinkBody {}

refused_with!(LinkProblems = CALLER, BODY, [Code::NotPermitted]);

/// Make a sign-in link
///
/// Whoever opens the link in a browser and presses its button is signed in as the caller, once,
/// within 10 minutes: send it to nobody. The session ends when the token ends that made this call.
/// For people.
#[utoipa::path(
    post,
    path = "/sign-in/links",
    operation_id = "make_sign_in_link",
    tag = openapi::DECIDING,
    request_body(content = Option<SignInLinkBody>, example = json!({})),
    responses((status = 200, description = "The link.", body = SignInLink, example = json!(examples::sign_in_link())), LinkProblems),
)]
pub async fn link(
    State(service): State<Service>,
    headers: HeaderMap,
    Sent { body: SignInLinkBody {}, permit }: Sent<SignInLinkBody>,
) -> Result<Response, Problem> {
    let made = service.link_by(identity::bearer(&headers).map_err(ServiceError::from)?).await?;
    drop(permit);
    let url = service.public_address(&made.path);
    Ok(Json(SignInLink::of(&made, url.as_deref())).into_response())
}
