//! Giving and revoking grants: completed whether or not the caller stays.

use crate::actors::completion::{complete, repeat_until_answered};
use crate::actors::engine::Engine;
use crate::domain::grant::Grant;
use crate::domain::task::invocation::Invocation;
use crate::storage::{Error, NewGrant, Revocation};
use std::sync::Arc;

impl Engine {
    /// Gives a grant; `None` if its giver is suspended. `held` is held until that is done.
    ///
    /// # Errors
    /// The database is unavailable. The grant may still have been stored; giving it again with the
    /// same id is safe.
    pub async fn give_grant_for(self: &Arc<Self>, new: NewGrant, held: impl Send + 'static) -> Result<Option<Grant>, Error> {
        let engine = Arc::clone(self);
        complete(async move {
            let given = repeat_until_answered(|| engine.storage.give_grant(&new)).await?;
            engine.grants.look_again().await;
            drop(held);
            Ok(given)
        })
        .await
    }

    /// Revokes a grant. People are asked about requests that it released and that have not started,
    /// when these are next. `held` is held until that is done.
    ///
    /// # Errors
    /// As [`Self::give_grant_for`].
    pub async fn revoke_grant_for(self: &Arc<Self>, revocation: Revocation, held: impl Send + 'static) -> Result<Option<Grant>, Error> {
        let engine = Arc::clone(self);
        complete(async move {
            let revoked = repeat_until_answered(|| engine.storage.revoke_grant(&revocation)).await?;
            engine.grants.look_again().await;
            drop(held);
            Ok(revoked)
        })
        .await
    }

    /// Resolves the files of a command on this machine.
    ///
    /// # Errors
    /// The reason: a file is missing or not safe.
    pub async fn find_command(&self, command: Invocation) -> Result<Invocation, String> {
        self.executor.identify(command).await
    }
}
