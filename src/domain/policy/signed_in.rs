//! How a caller has proved who they are.

use crate::domain::duration;
use crate::domain::risk::level::Level;
use std::time::Duration;

/// How a caller has proved who they are. The default proves nothing beyond the name.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SignedIn {
    /// How long ago that was, by the database's clock; nothing where nobody can say.
    pub ago: Option<Duration>,
}

impl SignedIn {
    /// By a token that came with this very call.
    pub fn now() -> Self {
        Self { ago: Some(Duration::ZERO) }
    }

    /// Why the caller has to sign in again before saying yes at a level that asks for a sign-in
    /// within this time; nothing where they need not.
    pub fn too_long_ago(&self, level: Level, within: Duration) -> Option<String> {
        let within_the_last = duration::show(within);
        match self.ago {
            Some(ago) if ago <= within => None,
            Some(_) => Some(format!(
                "whoever approves what is of {level} risk has signed in within the last {within_the_last}, and you did before that; \
                 sign in again, and then approve"
            )),
            None => Some(format!(
                "whoever approves what is of {level} risk has signed in within the last {within_the_last}, and nobody can say when you \
                 did; sign in to the inbox again, and approve there"
            )),
        }
    }
}
