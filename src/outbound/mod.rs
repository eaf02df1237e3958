//! What notices and webhook actions share when they call somebody outside: HTTP clients,
//! signatures, secrets.

pub mod client;
pub mod rs256;
pub mod secret;
pub mod standard_webhooks;
