//! Stand-ins for the services that receive notices. Each accepts only what the real one accepts,
//! answers as it does, and can be told to be down, slow or odd.

pub mod github;
pub mod http;
pub mod linear;
mod linear_schema;
pub mod mail;
pub mod openid;
pub mod pagerduty;
pub mod push;
pub mod slack;
pub mod smtp;

pub use github::Github;
pub use linear::Linear;
pub use pagerduty::PagerDuty;
pub use push::PushService;
pub use slack::Slack;
pub use smtp::Smtp;
