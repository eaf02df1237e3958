//! The API: axum on hyper, behind an accept loop with limits. It sees the actors only through the engine.
//!
//! `router.rs` has every route on one screen; beside it one file per resource, and what they share: `api` (what handlers share), `auth` (who is calling),
//! `body` (strict JSON), `problem` (every error), `views` (the shapes that are sent).
//! The pages for people are in `inbox`.

mod admission;
mod api;
mod auth;
mod body;
mod decisions;
mod events;
mod head;
mod inbox;
mod limits;
mod notices;
mod operations;
mod peer;
mod problem;
mod query;
mod quotas;
mod router;
pub mod server;
mod slack;
mod tasks;
mod views;
mod workflows;

pub use admission::Share;
pub use api::Api;
pub use limits::Limits;
pub use router::router;
pub use slack::{Slack, SlackApp};
