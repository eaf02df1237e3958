//! The notifier: has a courier for each channel, and counts what waits.
//!
//! It hears of commits by a bell, which is only the speed. The couriers' look at the outbox, at least once a second, is the
//! guarantee: a notice is a row that was written with its event, and it is delivered when the database says so.

use crate::actors::courier::{Courier, Memory};
use crate::actors::engine::Engine;
use crate::actors::letters::Letters;
use crate::actors::metrics::ChannelLabel;
use crate::storage::Error;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

pub type NotifierRef = ActorRef<Msg>;

/// Between two counts of what waits.
const COUNT: Duration = Duration::from_secs(2);
/// How long a delivery that is on its way may take when the server stops. One that is cut off is made again by the next.
const PATIENCE: Duration = Duration::from_secs(5);

pub enum Msg {
    /// Count what waits.
    Count,
    /// A courier has ended, which it does only when told to.
    CourierLost,
}

pub struct Notifier {
    pub engine: Arc<Engine>,
}

pub struct State {
    couriers: JoinSet<()>,
    closing: watch::Sender<bool>,
    /// Whether what waits for channels of an earlier configuration has been given up.
    cleared: bool,
}

impl Notifier {
    fn courier(&self, name: &str, closing: watch::Receiver<bool>) -> Option<Courier> {
        let engine = &self.engine;
        let settings = engine.configuration.notifications.channels.get(name)?;
        let letters = Letters {
            clock: Arc::clone(&engine.clock),
            channel: name.to_owned(),
            medium: settings.service.medium(),
            storage: engine.storage.clone(),
            configuration: Arc::clone(&engine.configuration),
            suspensions: Arc::clone(&engine.suspensions),
        };
        Some(Courier {
            letters,
            group_within: settings.group_within,
            channel: Arc::clone(engine.channels.get(name)?),
            clock: Arc::clone(&engine.clock),
            metrics: Arc::clone(&engine.metrics),
            pace: engine.pace,
            bell: engine.bell.listen(),
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
                tracing::warn!(notices = given_up, "notices of channels that are not configured any more are given up");
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

/// Tells the notifier when a courier's task ends, however it ends.
struct Lost(NotifierRef);

impl Drop for Lost {
    fn drop(&mut self) {
        let _ = self.0.cast(Msg::CourierLost);
    }
}

impl Actor for Notifier {
    type Msg = Msg;
    type State = State;
    type Arguments = ();

    async fn pre_start(&self, myself: ActorRef<Msg>, (): ()) -> Result<State, ActorProcessingErr> {
        let (closing, closed) = watch::channel(false);
        let mut couriers = JoinSet::new();
        for courier in self.engine.channels.keys().filter_map(|name| self.courier(name, closed.clone())) {
            let lost = Lost(myself.clone());
            couriers.spawn(async move {
                courier.run().await;
                drop(lost);
            });
        }
        myself.cast(Msg::Count)?;
        Ok(State { couriers, closing, cleared: false })
    }

    async fn handle(&self, myself: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Count => {
                if let Err(error) = self.count(state).await {
                    tracing::warn!(%error, "cannot count the notices that wait, trying again");
                }
                myself.send_after(COUNT, || Msg::Count);
            }
            Msg::CourierLost => return Err("a courier has ended".into()),
        }
        Ok(())
    }

    /// The couriers end between two messages.
    async fn post_stop(&self, _: ActorRef<Msg>, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.closing.send_replace(true);
        let all = async { while state.couriers.join_next().await.is_some() {} };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::warn!(deliveries = state.couriers.len(), "deliveries are cut off; the next start makes them again");
        }
        Ok(())
    }
}
