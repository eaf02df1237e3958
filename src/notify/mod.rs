//! The channels by which notices leave: one file for each kind, behind the port of the actors.

pub mod email;
pub mod http;
pub mod linear;
mod linear_api;
pub mod message;
pub mod pagerduty;
pub mod secret;
pub mod slack;
pub mod slack_answers;
pub mod templates;
