//! Messages in the format of an event stream, as browsers read it (`EventSource`).

use crate::api::views::{Happened, Reset};
use crate::domain::workflow::FeedEntry;
use crate::service::follow::Sink;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream;
use serde::Serialize;
use std::convert::Infallible;
use std::fmt::Display;
use std::fmt::Write as _;
use std::future::Future;

/// The response to a request for a stream: how long a client waits before it reconnects, and then
/// everything that is sent.
pub fn response<S, F>(source: S, next: impl Fn(S) -> F + Send + 'static) -> Response
where
    S: Send + 'static,
    F: Future<Output = Option<(Frames, S)>> + Send + 'static,
{
    let messages = stream::unfold(source, move |source| {
        let next = next(source);
        async { next.await.map(|(Frames(text), source)| (Ok::<_, Infallible>(Bytes::from(text)), source)) }
    });
    let mut response = Response::new(Body::from_stream(messages));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Without this header, nginx would hold events back until its buffer is full.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// Messages that are sent together.
#[derive(Debug, Default)]
pub struct Frames(String);

// Writing to a string cannot fail.
impl Sink for Frames {
    /// When a client reconnects that is cut off before anything happens, and from which position.
    fn opening(&mut self, id: &dyn Display) {
        let _ = write!(self.0, "retry: 2000\nid: {id}\n\n");
    }

    /// Keeps the connection open, and detects that it is closed.
    fn heartbeat(&mut self, id: &dyn Display) {
        let _ = write!(self.0, ": still here\nid: {id}\n\n");
    }

    fn reset(&mut self, id: &dyn Display, reason: &str) {
        let _ = write!(self.0, "id: {id}\nevent: reset\ndata: {}\n\n", json(&Reset { reason }));
    }

    fn event(&mut self, id: &dyn Display, entry: &FeedEntry) {
        let data = json(&Happened::from(entry));
        // JSON has line breaks only inside strings, and there they are escaped.
        let _ = write!(self.0, "id: {id}\nevent: {}\ndata: {data}\n\n", entry.event);
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn json(view: &impl Serialize) -> String {
    serde_json::to_string(view).expect("a document of texts and numbers")
}
