//! For operators: liveness, readiness and metrics.

use crate::api::examples;
use crate::api::views::{Health, Readiness};
use crate::http::openapi::{self, CALLER, Document, EVERY, refused_with};
use crate::http::problem::{Code, Problem};
use crate::identity::Caller;
use crate::service::Service;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::{Extension, Json};

refused_with!(OpenProblems = EVERY);

/// Is the process alive?
///
/// Asks neither the database nor the actors. Needs no token.
#[utoipa::path(
    get,
    path = "/healthz",
    operation_id = "healthz",
    tag = openapi::OPERATIONS,
    security(()),
    responses((status = 200, description = "The process runs.", body = Health, example = json!(Health::here())), OpenProblems),
)]
pub async fn healthz() -> Json<Health> {
    Json(Health::here())
}

/// Can the server do its work?
///
/// True if the database answers, the actors are running, the server holds the lease on the
/// database, and it is not stopping. Needs no token.
#[utoipa::path(
    get,
    path = "/readyz",
    operation_id = "readyz",
    tag = openapi::OPERATIONS,
    security(()),
    responses(
        (status = 200, description = "It can.", body = Readiness, example = json!(examples::readiness(true))),
        (status = 503, description = "It cannot.", headers(
            ("Retry-After" = u32, description = "After how many seconds to ask again."),
        ), body = Readiness, example = json!(examples::readiness(false))),
        OpenProblems,
    ),
)]
pub async fn readyz(State(service): State<Service>) -> Response {
    let readiness = Readiness::from(service.readiness().await);
    if readiness.is_ready() {
        return Json(readiness).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], Json(readiness)).into_response()
}

refused_with!(MetricsProblems = CALLER, [Code::NotPermitted]);

/// Counters for Prometheus
///
/// In the OpenMetrics text format. For people, because the numbers describe everybody's workflows;
/// a scraper needs the token of a person, such as an auditor's.
#[utoipa::path(
    get,
    path = "/metrics",
    operation_id = "metrics",
    tag = openapi::OPERATIONS,
    responses(
        (status = 200, description = "The counters.", body = String, content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8",
            example = json!("parkbrake_tasks_submitted_total{risk_level=\"high\"} 3\n# EOF\n")),
        MetricsProblems,
    ),
)]
pub async fn metrics(State(service): State<Service>, by: Caller) -> Result<Response, Problem> {
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], service.metrics(&by)?).into_response())
}

/// The API, described
///
/// This document. Needs no token; `/docs` shows it to people who are signed in.
#[utoipa::path(
    get,
    path = "/openapi.json",
    operation_id = "openapi",
    tag = openapi::OPERATIONS,
    security(()),
    responses((status = 200, description = "The description, as OpenAPI 3.1.", body = serde_json::Value, content_type = "application/json"), OpenProblems),
)]
pub async fn description(Extension(document): Extension<Document>) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], document.json()).into_response()
}
