//! The HTTP actor: an accept loop of our own, because `axum::serve` has neither a header timeout,
//! nor a limit of connections, nor an end to its graceful shutdown.
//!
//! The actor supervises the loop: if it ends unexpectedly, it is restarted on the same socket, and
//! if that happens too often the actor fails, and the server ends with it.

mod accept;
mod connections;
#[cfg(test)]
mod tests;
mod wire;

pub use accept::Listener;

use crate::actors::restart::{RestartBudget, RestartPolicy, Verdict};
use accept::Counter;
use axum::Router;
use connections::Connections;
use hyper_util::server::graceful::GracefulShutdown;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub type ServerRef = ActorRef<Msg>;

const POLICY: RestartPolicy = RestartPolicy {
    limit: 5,
    window: Duration::from_secs(60),
    first_delay: Duration::from_millis(50),
    longest_delay: Duration::from_secs(5),
};

pub enum Msg {
    /// The accept loop has ended.
    Ended,
    /// Accept again, after a pause.
    Accept,
    /// Stop accepting, finish requests in progress for at most this long, then reply and end.
    Stop { within: Duration, reply: RpcReplyPort<()> },
}

pub struct HttpServer;

pub struct Arguments {
    pub listener: Arc<dyn Listener>,
    pub router: Router,
    /// The most connections at once, and from one address.
    pub most: usize,
    pub most_each: usize,
}

pub struct State {
    counter: Arc<Counter>,
    accepting: Option<Accepting>,
    budget: RestartBudget,
}

/// A running accept loop.
struct Accepting {
    stop: oneshot::Sender<()>,
    task: JoinHandle<io::Result<()>>,
}

/// Notifies the actor when the loop has ended, however it ended.
struct Ending(ServerRef);

impl Drop for Ending {
    fn drop(&mut self) {
        let _ = self.0.cast(Msg::Ended);
    }
}

#[expect(clippy::disallowed_methods, reason = "the server keeps the task, and is notified of its end")]
fn accepting(myself: &ServerRef, counter: &Arc<Counter>) -> Accepting {
    let (stop, stopped) = oneshot::channel();
    let (ending, counter) = (Ending(myself.clone()), Arc::clone(counter));
    let task = tokio::spawn(async move {
        let _ending = ending;
        counter.accept(stopped).await
    });
    Accepting { stop, task }
}

impl Actor for HttpServer {
    type Msg = Msg;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, myself: ActorRef<Msg>, arguments: Arguments) -> Result<State, ActorProcessingErr> {
        let Arguments { listener, router, most, most_each } = arguments;
        let connections = Connections::new(most, most_each);
        let counter = Arc::new(Counter { listener, router, connections, graceful: GracefulShutdown::new() });
        Ok(State { accepting: Some(accepting(&myself, &counter)), counter, budget: RestartBudget::default() })
    }

    async fn handle(&self, myself: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        match msg {
            Msg::Ended => {
                let Some(Accepting { task, .. }) = state.accepting.take() else { return Ok(()) };
                let reason = match task.await {
                    Ok(Ok(())) => "it ended".to_owned(),
                    Ok(Err(error)) => error.to_string(),
                    Err(error) => error.to_string(),
                };
                match state.budget.record(Instant::now(), POLICY) {
                    Verdict::RestartAfter(delay) => {
                        tracing::error!(reason, "the server stopped accepting connections unexpectedly; it starts again");
                        myself.send_after(delay, || Msg::Accept);
                    }
                    Verdict::GiveUp => return Err(format!("the server can no longer accept connections: {reason}").into()),
                }
            }
            Msg::Accept => {
                state.accepting.get_or_insert_with(|| accepting(&myself, &state.counter));
            }
            Msg::Stop { within, reply } => {
                if let Some(Accepting { stop, task }) = state.accepting.take() {
                    let _ = stop.send(());
                    let _ = task.await;
                }
                finish(&mut state.counter, within).await;
                let _ = reply.send(());
                myself.stop(None);
            }
        }
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Msg>, state: &mut State) -> Result<(), ActorProcessingErr> {
        if let Some(Accepting { task, .. }) = state.accepting.take() {
            task.abort();
        }
        Ok(())
    }
}

/// Lets requests in progress be answered, for a limited time.
async fn finish(counter: &mut Arc<Counter>, within: Duration) {
    counter.connections.close_resting();
    // No loop holds the counter any more, so this reference is the only one.
    let Some(counter) = Arc::get_mut(counter) else { return };
    let graceful = std::mem::take(&mut counter.graceful);
    if tokio::time::timeout(within, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open at the end and are closed");
    }
}
