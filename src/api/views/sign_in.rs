//! A link that signs a person in.

use super::Success;
use crate::http::time::Time;
use crate::identity::NewLink;
use serde::Serialize;
use utoipa::ToSchema;

/// A link that signs the caller in to the inbox, once.
#[derive(Serialize, ToSchema)]
pub struct SignInLink<'a> {
    success: Success,
    /// The person whom it signs in.
    name: &'a str,
    /// The path of the link, below the address of the server. It contains a secret.
    path: &'a str,
    /// The whole link; null if the server's `public_url` is not set.
    #[schema(required)]
    url: Option<&'a str>,
    /// When the link expires.
    expires_at: Time,
}

impl<'a> SignInLink<'a> {
    pub fn of(link: &'a NewLink, url: Option<&'a str>) -> Self {
        Self { success: Success, name: &link.name, path: &link.path, url, expires_at: Time(link.expires_at) }
    }
}
