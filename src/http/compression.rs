//! Which answers are compressed: long pages and documents that are complete.
//!
//! The length of a compressed answer reveals whether text that an attacker supplied also occurs
//! elsewhere in it (BREACH). So the token of a page's forms differs each time (`web/csrf.rs`), and
//! a page that another site made a browser request is not compressed. Streams of events and exports
//! are not compressed either, because that would hold them back.

use axum::body::HttpBody;
use axum::http::{HeaderMap, Request, Response, header};
use axum::middleware::Next;
use tower_http::CompressionLevel;
use tower_http::compression::{CompressionLayer, Predicate};

/// The shortest body that is compressed, in bytes.
const LEAST: u64 = 1024;
/// The types that are compressed.
const TYPES: [&str; 6] = ["text/html", "text/css", "text/javascript", "application/json", "application/problem+json", "image/svg+xml"];

/// Whether a body is worth compressing.
#[derive(Debug, Clone, Copy)]
pub struct LongAndWhole;

impl Predicate for LongAndWhole {
    fn should_compress<B: HttpBody>(&self, response: &Response<B>) -> bool {
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let kind = kind.split(';').next().unwrap_or_default().trim();
        response.body().size_hint().exact().is_some_and(|size| size >= LEAST) && TYPES.contains(&kind)
    }
}

/// Compresses answers that are worth it, for clients that accept gzip.
pub fn layer() -> CompressionLayer<LongAndWhole> {
    CompressionLayer::new().quality(CompressionLevel::Fastest).compress_when(LongAndWhole)
}

/// Removes `Accept-Encoding` from a request that another site has caused, so that the answer is not
/// compressed.
pub async fn only_if_asked_here(mut request: Request<axum::body::Body>, next: Next) -> axum::response::Response {
    if is_caused_elsewhere(request.headers()) {
        request.headers_mut().remove(header::ACCEPT_ENCODING);
    }
    next.run(request).await
}

fn is_caused_elsewhere(headers: &HeaderMap) -> bool {
    headers.get("sec-fetch-site").is_some_and(|site| site == "cross-site" || site == "same-site")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, Bytes};

    #[test]
    fn only_what_is_long_and_whole_and_no_stream_of_events_is_compressed() {
        let long = || Body::from("x".repeat(1024));
        let response = |kind: &str, body: Body| Response::builder().header("content-type", kind).body(body).unwrap();
        assert!(LongAndWhole.should_compress(&response("text/html; charset=utf-8", long())));
        assert!(LongAndWhole.should_compress(&response("application/json", long())));
        assert!(!LongAndWhole.should_compress(&response("text/html", Body::from("x".repeat(1023)))), "too short");
        assert!(!LongAndWhole.should_compress(&response("text/event-stream", long())));
        let pieces = futures_util::stream::iter([Ok::<_, std::io::Error>(Bytes::from("x".repeat(9_000)))]);
        assert!(!LongAndWhole.should_compress(&response("application/json", Body::from_stream(pieces))), "in pieces");
    }
}
