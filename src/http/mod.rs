//! HTTP: axum on hyper, behind an accept loop with limits, and what every way in by HTTP has in
//! common.
//!
//! The server takes connections (`server`, `limits`, `peer`) and looks at heads (`head`); the ways
//! in read `sent`, `path` and `query` with it, and answer with a `problem` where something is
//! wrong. It knows none of them: `app/router.rs` puts their routes together.

pub mod body;
mod caller;
pub mod compression;
pub mod csv;
pub mod decision;
pub mod head;
pub mod json;
mod limits;
pub mod openapi;
pub mod path;
pub mod peer;
pub mod problem;
pub mod query;
pub mod routing;
pub mod sent;
pub mod server;
pub mod signature;
pub mod submitted;
pub mod time;
mod words;

pub use limits::ConnectionLimits;
