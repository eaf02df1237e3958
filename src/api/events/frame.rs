//! Messages as they stand in an event stream, as browsers read it (`EventSource`).

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

/// The response to a request for a stream: how long a client waits before it comes back, and then
/// whatever is sent.
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
    // For nginx, which would otherwise keep events until it has a whole buffer of them.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The messages that go out together.
#[derive(Debug, Default)]
pub struct Frames(String);

// Writing to a string cannot fail.
impl Sink for Frames {
    /// Where a client comes back to that is cut off before anything happens, and when.
    fn opening(&mut self, id: &dyn Display) {
        let _ = write!(self.0, "retry: 2000\nid: {id}\n\n");
    }

    /// It keeps the connection open, and finds out whether there is still one.
    fn heartbeat(&mut self, id: &dyn Display) {
        let _ = write!(self.0, ": still here\nid: {id}\n\n");
    }

    fn reset(&mut self, id: &dyn Display, reason: &str) {
        let _ = write!(self.0, "id: {id}\nevent: reset\ndata: {}\n\n", json(&Reset { reason }));
    }

    fn event(&mut self, id: &dyn Display, entry: &FeedEntry) {
        let data = json(&Happened::from(entry));
        // JSON has no line ends but those in text, and there they are escaped.
        let _ = write!(self.0, "id: {id}\nevent: {}\ndata: {data}\n\n", entry.event);
    }

    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

fn json(view: &impl Serialize) -> String {
    serde_json::to_string(view).expect("a document of texts and numbers")
}
