//! The follower: has the feed look into the log, several times a second and whenever something was committed.

use crate::actors::feed::Feed;
use crate::storage::Storage;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;

pub enum Msg {
    Look,
}

pub struct Follower {
    pub feed: Arc<Feed>,
    pub storage: Storage,
}

impl Actor for Follower {
    type Msg = Msg;
    /// Whether the last look failed.
    type State = bool;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Msg>, (): ()) -> Result<bool, ActorProcessingErr> {
        myself.cast(Msg::Look)?;
        Ok(false)
    }

    async fn handle(&self, myself: ActorRef<Msg>, Msg::Look: Msg, failed: &mut bool) -> Result<(), ActorProcessingErr> {
        let look = self.feed.look(&self.storage).await;
        if let Err(error) = &look
            && !*failed
        {
            tracing::warn!(%error, "cannot look for what was committed, trying again");
        }
        *failed = look.is_err();
        self.feed.rest().await;
        // While the server stops nobody takes this, and that is the end.
        let _ = myself.cast(Msg::Look);
        Ok(())
    }
}
