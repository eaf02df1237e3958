//! What notices and webhook actions share when they call other systems: HTTP clients, signatures,
//! secrets.

pub mod client;
pub mod es256;
pub mod jwt;
pub mod push_encryption;
pub mod rs256;
pub mod secret;
pub mod standard_webhooks;
