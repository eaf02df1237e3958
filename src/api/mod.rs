//! The REST API: what is sent is parsed, a use case is called, and what it gives is rendered as JSON.

mod body;
mod caller;
mod decisions;
mod events;
mod notices;
mod operations;
mod tasks;
pub mod views;
mod workflows;

use crate::service::Service;
use axum::Router;
use axum::routing::{get, post};

/// Every route of the API.
pub fn routes(service: Service) -> Router {
    Router::new()
        .route("/orchestrate", post(tasks::orchestrate))
        .route("/risk/assess", post(tasks::assess))
        .route("/workflows", get(workflows::list))
        .route("/workflows/pending", get(workflows::pending))
        .route("/workflows/{id}", get(workflows::status_of))
        .route("/workflows/{id}/status", get(workflows::status_of))
        .route("/workflows/{id}/wait", get(workflows::wait))
        .route("/workflows/{id}/events", get(events::of_workflow))
        .route("/events", get(events::of_all))
        .route("/workflows/{id}/approve", post(decisions::approve))
        .route("/workflows/{id}/reject", post(decisions::reject))
        .route("/workflows/{id}/cancel", post(decisions::cancel))
        .route("/workflows/{id}/result", post(decisions::result))
        .route("/workflows/{id}/resolve", post(decisions::resolve))
        .route("/notices", get(notices::list))
        .route("/notices/{id}/resend", post(notices::resend))
        .route("/metrics", get(operations::metrics))
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .with_state(service)
}
