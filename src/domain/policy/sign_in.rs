//! How people sign in to the inbox, besides with their tokens.

/// The whole of `sign-in.yaml`, resolved.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignInSettings {
    /// The channel of mail by which links are sent to people who have an address; none where nobody signs in by mail.
    pub mail: Option<String>,
}
