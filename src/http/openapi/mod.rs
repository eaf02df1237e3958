//! The OpenAPI 3.1 document, made from the handlers: each route is annotated where it is written,
//! and this module adds what all of them share.
//!
//! `refusals.rs` lists the refusals of calls, `problems.rs` describes the answers for them, and
//! `document.rs` combines everything.

mod document;
mod problems;
mod refusals;

pub use document::{AGENTS, DECIDING, Document, NOTICES, OPERATIONS, READING, STREAMS, SUBMITTING};
pub(crate) use refusals::refused_with;
pub use refusals::{BODY, CALLER, CHANGE, EVERY, WAIT, responses};
