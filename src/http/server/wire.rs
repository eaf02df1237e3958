//! The bytes of a connection in both directions, watched for what the client owes us.
//!
//! It also reads heads more strictly than hyper does, which accepts a bare line feed as the end of
//! a line. A proxy in front of the server may not, and if two programs split one stream into
//! different requests, an attacker can make them believe different things. A bare line feed in a
//! head becomes a NUL, which hyper refuses with 400. Heads that a client sends before it has the
//! previous answer are not checked.

use crate::http::server::connections::{Answering, Connection};
use axum::body::{Body, Bytes, HttpBody};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Both directions of a connection.
pub struct Wire {
    stream: TcpStream,
    connection: Arc<Connection>,
    head: HeadScan,
}

impl Wire {
    pub fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        Self { stream, connection, head: HeadScan::default() }
    }

    fn sent<T>(&self, sent: Poll<T>) -> Poll<T> {
        self.connection.sending(sent.is_ready());
        sent
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        let new = &mut buffer.filled_mut()[before..];
        if !new.is_empty() {
            if self.connection.received() {
                self.head.scan(new);
            } else {
                self.head = HeadScan::default();
            }
        }
        read
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.sent(sent)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, slices: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.sent(sent)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// Where in a head the current byte is.
#[derive(Debug, Default, Clone, Copy)]
struct HeadScan {
    last: u8,
    /// Bytes of this line so far, without its end.
    line: usize,
    lines: usize,
    is_over: bool,
}

impl HeadScan {
    /// Turns each bare line feed into a NUL, up to the end of the head.
    fn scan(&mut self, bytes: &mut [u8]) {
        if self.is_over {
            *self = Self::default();
        }
        for byte in bytes {
            match (self.last, *byte) {
                (b'\r', b'\n') if self.line == 0 && self.lines > 0 => {
                    self.is_over = true;
                    return;
                }
                (b'\r', b'\n') => {
                    self.lines += usize::from(self.line > 0);
                    self.line = 0;
                }
                (_, b'\n') => *byte = 0,
                (_, b'\r') => {}
                _ => self.line += 1,
            }
            self.last = *byte;
        }
    }
}

/// The body of an answer; the connection is busy until the body has been sent or dropped.
pub struct Answer {
    body: Body,
    _answering: Answering,
}

impl Answer {
    pub fn new(body: Body, answering: Answering) -> Self {
        Self { body, _answering: answering }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<hyper::body::Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What hyper sees of bytes that arrive in pieces of this size.
    fn seen(text: &str, piece: usize) -> String {
        let mut scan = HeadScan::default();
        let mut bytes = text.as_bytes().to_vec();
        for piece in bytes.chunks_mut(piece) {
            if scan.is_over {
                break;
            }
            scan.scan(piece);
        }
        String::from_utf8(bytes).unwrap().replace('\0', "!")
    }

    #[test]
    fn a_bare_line_feed_in_a_head_is_refused_and_in_a_body_it_is_nobodys_business() {
        for piece in [1, 2, 3, 7, 1_000] {
            for valid in
                ["GET / HTTP/1.1\r\nHost: x\r\n\r\n", "\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\n\r\na\nb\n"]
            {
                assert_eq!(seen(valid, piece), valid, "in pieces of {piece}");
            }
            for (bare, told) in [
                ("GET / HTTP/1.1\nHost: x\r\n\r\n", "GET / HTTP/1.1!Host: x\r\n\r\n"),
                ("GET / HTTP/1.1\r\nHost: x\n\r\n", "GET / HTTP/1.1\r\nHost: x!\r\n"),
                ("GET / HTTP/1.1\r\nHost: x\r\n\n", "GET / HTTP/1.1\r\nHost: x\r\n!"),
                ("\nGET / HTTP/1.1\r\n", "!GET / HTTP/1.1\r\n"),
            ] {
                assert_eq!(seen(bare, piece), told, "in pieces of {piece}");
            }
        }
    }
}
