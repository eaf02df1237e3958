//! The description of the API as OpenAPI 3.1, made from the handlers: every route is annotated
//! where it is written, and this adds what all of them share.
//!
//! `refusals.rs` says what calls can be refused with, `problems.rs` what such an answer looks like,
//! and `document.rs` puts all of it together.

mod document;
mod problems;
mod refusals;

pub use document::{AGENTS, DECIDING, Document, NOTICES, OPERATIONS, READING, STREAMS, SUBMITTING};
pub(crate) use refusals::refused_with;
pub use refusals::{BODY, CALLER, CHANGE, EVERY, WAIT, responses};
