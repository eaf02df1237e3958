//! Accepting connections, and serving each of them.

use crate::http::server::connections::{Connections, Slot};
use crate::http::server::wire::{Answer, Wire};
use axum::Router;
use axum::body::Body;
use futures_util::future::BoxFuture;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use rustix::io::Errno;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tower::ServiceExt as _;

/// Bytes that a connection may buffer for a head; slightly more may arrive before hyper checks.
const LARGEST_HEAD: usize = 72 * 1024;
/// The pause after `accept` failed, which it does when the process has no file descriptors left.
const PAUSE: Duration = Duration::from_millis(50);
/// The answer if no slot is free for another connection.
const NO_SLOT: &[u8] = b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 1\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";

/// The source of connections.
pub trait Listener: Send + Sync + 'static {
    /// The next connection.
    fn accept(&self) -> BoxFuture<'_, io::Result<(TcpStream, SocketAddr)>>;
}

impl Listener for TcpListener {
    fn accept(&self) -> BoxFuture<'_, io::Result<(TcpStream, SocketAddr)>> {
        Box::pin(Self::accept(self))
    }
}

/// What serving any connection needs.
pub struct Counter {
    pub listener: Arc<dyn Listener>,
    pub router: Router,
    pub connections: Arc<Connections>,
    pub graceful: GracefulShutdown,
}

impl Counter {
    /// Accepts connections until it is told to stop. It waits out temporary errors, such as a lack
    /// of file descriptors.
    ///
    /// # Errors
    /// The socket will accept nothing any more.
    pub async fn accept(&self, mut stop: oneshot::Receiver<()>) -> io::Result<()> {
        loop {
            let accepted = tokio::select! {
                _ = &mut stop => return Ok(()),
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => match self.connections.enter(address.into()) {
                    Some(slot) => self.serve(stream, slot),
                    None => {
                        let _ = stream.try_write(NO_SLOT);
                    }
                },
                Err(error) if is_lost(&error) => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, connections = self.connections.count(), "a connection could not be accepted");
                    self.connections.make_room();
                    tokio::time::sleep(PAUSE).await;
                }
            }
        }
    }

    #[expect(clippy::disallowed_methods, reason = "a connection is counted by its `Slot`, and watched until the server has ended")]
    fn serve(&self, stream: TcpStream, slot: Slot) {
        let _ = stream.set_nodelay(true);
        let (router, watcher) = (self.router.clone(), self.graceful.watcher());
        tokio::spawn(async move {
            let served = serve(stream, router, watcher, &slot);
            tokio::select! {
                served = served => if let Err(error) = served {
                    tracing::debug!(%error, "a connection ended early");
                },
                () = slot.connection.outlived() => tracing::debug!(peer = %slot.connection.peer, "a silent connection is closed"),
            }
        });
    }
}

async fn serve(stream: TcpStream, router: Router, watcher: Watcher, slot: &Slot) -> hyper::Result<()> {
    let connection = Arc::clone(&slot.connection);
    let wire = TokioIo::new(Wire::new(stream, Arc::clone(&connection)));
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(connection.peer);
        let answering = connection.answer();
        let answer = router.clone().oneshot(request.map(Body::new));
        async move { answer.await.map(|response| response.map(|body| Answer::new(body, answering))) }
    });
    // `Connection` limits the time for a head, because it also knows how long the client was silent
    // before.
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(None).max_buf_size(LARGEST_HEAD);
    watcher.watch(http.serve_connection(wire, service)).await
}

/// Whether the socket can no longer accept connections. Every other error of `accept` is temporary.
fn is_lost(error: &io::Error) -> bool {
    let lost = [Errno::BADF, Errno::INVAL, Errno::NOTSOCK, Errno::FAULT].map(Errno::raw_os_error);
    error.raw_os_error().is_some_and(|code| lost.contains(&code))
}
