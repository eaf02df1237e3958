//! The HTTP actor: an accept loop of our own, because `axum::serve` has neither a header timeout, nor a limit of
//! connections, nor an end to its graceful shutdown.

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};
use tokio::task::JoinHandle;

pub type ServerRef = ActorRef<Msg>;

/// Connections at once.
const MOST_CONNECTIONS: usize = 4096;
/// How long a client may take to send its headers, and how long a connection may rest between two requests.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Bytes that a connection may buffer for its headers.
const LARGEST_HEADERS: usize = 64 * 1024;
/// The pause after `accept` failed, which it does when the process has no file descriptors left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

pub enum Msg {
    /// Stop accepting, let what is on its way be answered for at most this long, then answer and end.
    Stop { patience: Duration, reply: RpcReplyPort<()> },
}

pub struct HttpServer;

pub struct Arguments {
    pub listener: TcpListener,
    pub router: Router,
}

pub struct State {
    stop: Option<oneshot::Sender<Duration>>,
    accepting: JoinHandle<()>,
}

async fn accept(listener: TcpListener, router: Router, mut stop: oneshot::Receiver<Duration>) {
    let places = Arc::new(Semaphore::new(MOST_CONNECTIONS));
    let graceful = GracefulShutdown::new();
    let patience = loop {
        let next = async {
            let place = Arc::clone(&places).acquire_owned().await;
            (place, listener.accept().await)
        };
        tokio::select! {
            patience = &mut stop => break patience.unwrap_or_default(),
            (place, accepted) = next => match (place, accepted) {
                (Ok(place), Ok((stream, _))) => serve(stream, &router, graceful.watcher(), place),
                (_, Err(error)) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
                (Err(_), _) => break Duration::ZERO,
            },
        }
    };
    drop(listener);
    if tokio::time::timeout(patience, graceful.shutdown()).await.is_err() {
        tracing::warn!("connections were still open at the end and are closed");
    }
}

fn serve(stream: TcpStream, router: &Router, watcher: Watcher, place: OwnedSemaphorePermit) {
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router.clone());
    tokio::spawn(async move {
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT).max_buf_size(LARGEST_HEADERS);
        if let Err(error) = watcher.watch(http.serve_connection(TokioIo::new(stream), service)).await {
            tracing::debug!(%error, "a connection ended early");
        }
        drop(place);
    });
}

impl Actor for HttpServer {
    type Msg = Msg;
    type State = State;
    type Arguments = Arguments;

    async fn pre_start(&self, _: ActorRef<Msg>, Arguments { listener, router }: Arguments) -> Result<State, ActorProcessingErr> {
        let (stop, stopped) = oneshot::channel();
        Ok(State { stop: Some(stop), accepting: tokio::spawn(accept(listener, router, stopped)) })
    }

    async fn handle(&self, myself: ActorRef<Msg>, msg: Msg, state: &mut State) -> Result<(), ActorProcessingErr> {
        let Msg::Stop { patience, reply } = msg;
        if let Some(stop) = state.stop.take() {
            let _ = stop.send(patience);
            let _ = (&mut state.accepting).await;
        }
        let _ = reply.send(());
        myself.stop(None);
        Ok(())
    }

    async fn post_stop(&self, _: ActorRef<Msg>, state: &mut State) -> Result<(), ActorProcessingErr> {
        state.accepting.abort();
        Ok(())
    }
}
