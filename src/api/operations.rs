//! For those who run the server: is it alive, is it ready, what does it count.

use crate::api::views::{Health, Readiness};
use crate::domain::policy::PrincipalKind;
use crate::http::problem::{Code, Problem};
use crate::identity::Caller;
use crate::service::Service;
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};

/// `GET /healthz`: the process runs.
pub async fn healthz() -> Json<Health> {
    Json(Health::here())
}

/// `GET /readyz`: it can do its work.
pub async fn readyz(State(service): State<Service>) -> Response {
    let database = service.engine.storage.ping().await.is_ok();
    let actors = service.engine.is_manned();
    let lease = service.engine.fence.holds();
    let readiness = Readiness::of(service.engine.owner, database, actors, lease, service.is_closing());
    if readiness.is_ready() {
        return Json(readiness).into_response();
    }
    (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "1")], Json(readiness)).into_response()
}

/// `GET /metrics`, in the Prometheus text format. They tell of everybody's workflows, which an agent may not see.
pub async fn metrics(State(service): State<Service>, by: Caller) -> Result<Response, Problem> {
    if by.kind != PrincipalKind::Person {
        return Err(Problem::new(
            Code::NotPermitted,
            "metrics tell of everybody's workflows: read them with the token of a person, such as an auditor",
        ));
    }
    let (metrics, under_way) = (&service.engine.metrics, service.admissions.changes.under_way());
    metrics.requests_under_way.set(i64::try_from(under_way.requests).unwrap_or(i64::MAX));
    metrics.request_bytes_under_way.set(i64::try_from(under_way.bytes).unwrap_or(i64::MAX));
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, content_type)], metrics.text()).into_response())
}
