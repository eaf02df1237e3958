//! The notifier: runs a delivery worker for each channel, and counts the notices that wait.
//!
//! A notice is a row that was written with its event, and it is delivered when it is due by the
//! database's clock. The workers check the outbox at least once a second; a wakeup after a commit
//! only makes that faster.

pub mod batching;
pub mod delivery_worker;
pub mod rendering;

use crate::actors::engine::Engine;
use crate::actors::metrics::ChannelLabel;
use crate::actors::notifier::delivery_worker::{DeliveryWorker, Memory};
use crate::actors::notifier::rendering::NoticeRenderer;
use crate::storage::Error;
use ractor::{Actor, ActorCell, ActorProcessingErr, ActorRef, SpawnErr};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub type NotifierRef = ActorRef<Msg>;

pub enum Msg {
    /// From the notifier to itself: it counts the notices that wait, and after a pause counts
    /// again.
    Count,
    /// A delivery worker has ended without being told to: the notifier fails, and all actors are
    /// replaced.
    WorkerLost,
}

/// How often the notices that wait are counted.
const COUNT: Duration = Duration::from_secs(2);
/// How long a delivery in progress may take when the server stops. The next start repeats one that
/// is cut off.
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

pub struct Notifier {
    pub engine: Arc<Engine>,
}

pub struct State {
    workers: JoinSet<()>,
    closing: watch::Sender<bool>,
    /// Whether the notices for channels of an earlier configuration have been given up.
    cleared: bool,
}

impl Notifier {
    pub async fn spawn(self, root: ActorCell) -> Result<NotifierRef, SpawnErr> {
        Ok(Actor::spawn_linked(None, self, (), root).await?.0)
    }
}

impl Actor for Notifier {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, myself: NotifierRef, (): ()) -> Result<State, ActorProcessingErr> {
        let (closing, closed) = watch::channel(false);
        let mut workers = JoinSet::new();
        for worker in self.engine.channels.keys().filter_map(|name| self.worker(name, closed.clone())) {
            let lost = Lost(myself.clone());
            workers.spawn(async move {
                worker.run().await;
                drop(lost);
            });
        }
        myself.cast(Msg::Count)?;
        Ok(State { workers, closing, cleared: false })
    }

    async fn handle(&self, myself: NotifierRef, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Count => {
                if let Err(error) = self.count(state).await {
                    tracing::warn!(%error, "cannot count the waiting notices; trying again");
                }
                myself.send_after(COUNT, || Msg::Count);
            }
            Msg::WorkerLost => return Err("a delivery worker has ended".into()),
        }
        Ok(())
    }

    /// Waits for the workers, each of which ends between two messages.
    async fn post_stop(&self, _: NotifierRef, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.closing.send_replace(true);
        let all = async { while state.workers.join_next().await.is_some() {} };
        if tokio::time::timeout(STOP_TIMEOUT, all).await.is_err() {
            tracing::warn!(deliveries = state.workers.len(), "deliveries were cut off; the next start repeats them");
        }
        Ok(())
    }
}

impl Notifier {
    fn worker(&self, name: &str, closing: watch::Receiver<bool>) -> Option<DeliveryWorker> {
        let engine = &self.engine;
        let settings = engine.configuration.notifications.channels.get(name)?;
        let renderer = NoticeRenderer {
            clock: Arc::clone(&engine.clock),
            channel: name.to_owned(),
            medium: settings.service.medium(),
            storage: engine.storage.clone(),
            configuration: Arc::clone(&engine.configuration),
            suspensions: Arc::clone(&engine.suspensions),
        };
        Some(DeliveryWorker {
            renderer,
            group_within: settings.group_within,
            channel: Arc::clone(engine.channels.get(name)?),
            clock: Arc::clone(&engine.clock),
            metrics: Arc::clone(&engine.metrics),
            pace: engine.pace,
            wakeup: engine.wakeup.subscribe(),
            closing,
            memory: Memory::default(),
        })
    }

    async fn count(&self, state: &mut State) -> Result<(), Error> {
        let engine = &self.engine;
        if !state.cleared {
            let names: Vec<String> = engine.channels.keys().cloned().collect();
            let given_up = engine.storage.give_up_notices_beyond(&names, "no channel of this name is configured any more").await?;
            if given_up > 0 {
                tracing::warn!(notices = given_up, "notices for channels that are no longer configured were given up");
            }
            state.cleared = true;
        }
        let waiting = engine.storage.waiting_notices().await?;
        for name in engine.channels.keys() {
            let count = waiting.iter().find(|(channel, _)| channel == name).map_or(0, |(_, count)| *count);
            engine.metrics.notices_waiting.get_or_create(&ChannelLabel { channel: name.clone() }).set(count);
        }
        Ok(())
    }
}

/// Tells the notifier when a worker's task ends, however it ends.
struct Lost(NotifierRef);

impl Drop for Lost {
    fn drop(&mut self) {
        let _ = self.0.cast(Msg::WorkerLost);
    }
}
