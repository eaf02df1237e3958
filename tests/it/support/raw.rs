//! Raw bytes on a connection, for requests that no client library sends.

use super::called;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};

/// A connection from an address of this machine, such as `127.0.0.2`.
#[track_caller]
pub fn connect_from(from: &str, to: SocketAddr) -> impl Future<Output = TcpStream> {
    called(async move {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.bind(SocketAddr::new(from.parse().expect("an address"), 0)).expect("an address of this machine");
        socket.connect(to).await.expect("a connection")
    })
}

/// Sends bytes, and reads until the server closes the connection or is silent for a while.
pub async fn exchange(stream: &mut TcpStream, bytes: &[u8]) -> String {
    let _ = stream.write_all(bytes).await;
    let mut answer = Vec::new();
    let mut piece = [0; 4_096];
    while let Ok(Ok(length)) = tokio::time::timeout(Duration::from_secs(2), stream.read(&mut piece)).await {
        if length == 0 {
            break;
        }
        answer.extend_from_slice(&piece[..length]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

/// The status of an answer; 0 where there is none.
pub fn status(answer: &str) -> u16 {
    answer.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok()).unwrap_or_default()
}

/// Whether the server has closed a connection.
pub async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut byte = [0];
    match tokio::time::timeout(Duration::from_millis(1), stream.read(&mut byte)).await {
        Ok(Ok(read)) => read == 0,
        Ok(Err(_)) => true,
        Err(_) => false,
    }
}
