//! HTTP: axum on hyper, behind an accept loop with limits, and what all ways in over HTTP share.
//!
//! The server accepts connections (`server`, `limits`, `peer`) and checks heads (`head`); the ways
//! in use `sent`, `path` and `query` to read requests, and `problem` to report errors. This module
//! knows none of them: `app/router.rs` combines their routes.

pub mod body;
mod caller;
pub mod compression;
pub mod cover;
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
