use super::*;
use axum::routing::get;
use futures_util::future::BoxFuture;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A socket whose first calls fail.
struct Broken {
    listener: TcpListener,
    calls: AtomicUsize,
    wrong: usize,
    how: fn() -> io::Error,
}

impl Listener for Broken {
    fn accept(&self) -> BoxFuture<'_, io::Result<(TcpStream, SocketAddr)>> {
        Box::pin(async {
            if self.calls.fetch_add(1, Ordering::SeqCst) < self.wrong {
                return Err((self.how)());
            }
            self.listener.accept().await
        })
    }
}

async fn start(wrong: usize, how: fn() -> io::Error) -> (SocketAddr, ServerRef, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let listener = Arc::new(Broken { listener, calls: AtomicUsize::new(0), wrong, how });
    let arguments = Arguments { listener, router: Router::new().route("/", get(|| async { "here" })), most: 8, most_each: 8 };
    let (server, task) = Actor::spawn(None, HttpServer, arguments).await.unwrap();
    (address, server, task)
}

async fn ask(address: SocketAddr) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(Duration::from_secs(10), stream.read_to_string(&mut answer)).await.expect("an answer").unwrap();
    answer
}

#[tokio::test]
async fn a_lack_of_file_descriptors_is_waited_out() {
    let (address, server, task) = start(20, || io::Error::from_raw_os_error(rustix::io::Errno::MFILE.raw_os_error())).await;
    assert!(ask(address).await.ends_with("here"));
    server.call(|reply| Msg::Stop { within: Duration::from_secs(1), reply }, None).await.unwrap();
    task.await.unwrap();
}

#[tokio::test]
async fn an_accept_loop_that_panics_or_loses_its_socket_is_started_again() {
    for how in [|| panic!("of the test"), || io::Error::from_raw_os_error(rustix::io::Errno::BADF.raw_os_error())] {
        let (address, server, _task) = start(2, how).await;
        assert!(ask(address).await.ends_with("here"));
        server.stop(None);
    }
}

#[tokio::test]
async fn a_server_that_can_accept_nothing_any_more_ends() {
    let (_, server, task) = start(usize::MAX, || io::Error::from_raw_os_error(rustix::io::Errno::BADF.raw_os_error())).await;
    tokio::time::timeout(Duration::from_secs(20), task).await.expect("its end").unwrap();
    assert_eq!(server.get_status(), ractor::ActorStatus::Stopped);
}
