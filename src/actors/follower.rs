//! The follower: makes the feed read the log several times a second, and after every commit.

use crate::actors::feed::Feed;
use crate::storage::Storage;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use std::sync::Arc;

pub type FollowerRef = ActorRef<Msg>;

pub enum Msg {
    /// From the follower to itself: the feed reads the log, and after a pause the next look
    /// follows.
    Look,
}

pub struct Follower {
    pub feed: Arc<Feed>,
    pub storage: Storage,
}

impl Follower {
    pub async fn spawn(self, root: ActorCell) -> Result<FollowerRef, SpawnErr> {
        Ok(Actor::spawn_linked(None, self, (), root).await?.0)
    }
}

impl Actor for Follower {
    type Msg = Msg;
    /// Whether the last look failed.
    type State = bool;
    type Arguments = ();

    async fn pre_start(&self, myself: FollowerRef, (): ()) -> Result<bool, ActorProcessingErr> {
        myself.cast(Msg::Look)?;
        Ok(false)
    }

    async fn handle(&self, myself: FollowerRef, Msg::Look: Msg, failed: &mut bool) -> Result<(), ActorProcessingErr> {
        let look = self.feed.look(&self.storage).await;
        if let Err(error) = &look
            && !*failed
        {
            tracing::warn!(%error, "cannot read the new events; trying again");
        }
        *failed = look.is_err();
        self.feed.rest().await;
        // Fails while the server stops, which is the end of this actor.
        let _ = myself.cast(Msg::Look);
        Ok(())
    }
}
