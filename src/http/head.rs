//! Checks the head of every request before any handler sees it: it can be read in one way only, and
//! all of it is text.
//!
//! hyper has already refused heads that it cannot parse or that are too large, contradictory
//! lengths, and line breaks and NUL in headers (a bare line feed too, by `server/wire.rs`).

use crate::domain::hosts::{self, Hosts};
use crate::domain::request::Fault;
use crate::http::problem::{self, Code, Problem};
use axum::http::request::Parts;
use axum::http::{HeaderName, StatusCode, Version, header};
use axum::response::{IntoResponse as _, Response};

/// The largest size of all headers together, in bytes.
const LARGEST: usize = 64 * 1024;
/// Headers that parkbrake reads; if one appeared twice, two readers could use different values.
static SINGLE: [HeaderName; 13] = [
    header::AUTHORIZATION,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::HOST,
    header::ORIGIN,
    header::TRANSFER_ENCODING,
    HeaderName::from_static("idempotency-key"),
    HeaderName::from_static("last-event-id"),
    HeaderName::from_static("sec-fetch-site"),
    HeaderName::from_static("x-github-event"),
    HeaderName::from_static("x-hub-signature-256"),
    HeaderName::from_static("x-slack-request-timestamp"),
    HeaderName::from_static("x-slack-signature"),
];

/// The paths of health checks, which are answered under any host name. They reveal nothing worth
/// hiding.
const FOR_ALL: [&str; 2] = ["/healthz", "/readyz"];

/// Checks a head.
///
/// # Errors
/// The response: 400 for a head that could be read in two ways or whose path is not text, 431 for a
/// head that is too large, 422 for an invalid query.
pub fn check(head: &Parts) -> Result<(), Box<Response>> {
    let malformed = |detail: &str| Err(Box::new(problem::plain(StatusCode::BAD_REQUEST, detail)));
    // Hardly any head has more values than names, and only then is each of these headers counted.
    if head.headers.len() > head.headers.keys_len()
        && let Some(twice) = SINGLE.iter().find(|name| head.headers.get_all(*name).iter().nth(1).is_some())
    {
        return malformed(&format!("the header `{twice}` appears more than once; send it once"));
    }
    let size: usize = head.headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum();
    if size > LARGEST {
        let detail = format!("the headers have more than {LARGEST} bytes");
        return Err(Box::new(problem::plain(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, &detail)));
    }
    match head.headers.get(header::HOST) {
        None if head.version >= Version::HTTP_11 => return malformed("the header `Host` is missing; HTTP/1.1 requires it"),
        Some(host) if !is_host(host.as_bytes()) => return malformed("the header `Host` names no host"),
        _ => {}
    }
    if head.headers.get(header::TRANSFER_ENCODING).is_some_and(|coding| !coding.as_bytes().eq_ignore_ascii_case(b"chunked")) {
        return malformed("the only transfer coding that is supported is `chunked`");
    }
    if !is_text(head.uri.path()) {
        return malformed("the path holds a NUL character, or is not UTF-8");
    }
    if !is_text(head.uri.query().unwrap_or_default()) {
        let fault = Fault::new("", "the query holds a NUL character, or is not UTF-8");
        return Err(Box::new(Problem::invalid(&[fault]).into_response()));
    }
    Ok(())
}

/// Checks the name by which a request calls the server. A program that names no host (HTTP/1.0) is
/// not a browser.
///
/// # Errors
/// The response: 421 for a name that this server does not use.
pub fn is_for_us(head: &Parts, hosts: &Hosts) -> Result<(), Box<Response>> {
    let header = head.headers.get(header::HOST).and_then(|host| host.to_str().ok());
    let line = head.uri.authority().map(|authority| authority.as_str());
    match [header, line].into_iter().flatten().find(|host| !hosts.serves(host)) {
        Some(host) if !FOR_ALL.contains(&head.uri.path()) => {
            let detail = format!(
                "this server does not answer to the name `{name}`: to allow it, start the server with --allow-host {name}, add {name} to \
                 PARKBRAKE_ALLOW_HOSTS, or set public_url in notifications.yaml",
                name = hosts::name_of(host)
            );
            Err(Box::new(Problem::new(Code::MisdirectedRequest, detail).into_response()))
        }
        _ => Ok(()),
    }
}

/// Whether this can be a host with or without a port: a name, or an address.
fn is_host(written: &[u8]) -> bool {
    !written.is_empty() && written.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._:[]".contains(byte))
}

/// Whether a part of an address is text once its `%XX` are decoded: UTF-8 without NUL, which
/// PostgreSQL cannot store.
fn is_text(written: &str) -> bool {
    if !written.contains('%') {
        return true;
    }
    let mut bytes = Vec::with_capacity(written.len());
    let mut rest = written.as_bytes();
    while let Some((first, others)) = rest.split_first() {
        let digits = others.get(..2).filter(|digits| *first == b'%' && digits.iter().all(u8::is_ascii_hexdigit));
        let encoded = digits.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok());
        bytes.push(encoded.unwrap_or(*first));
        rest = if encoded.is_some() { &others[2..] } else { others };
    }
    !bytes.contains(&0) && std::str::from_utf8(&bytes).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::Request;

    fn status(version: Version, path: &str, headers: &[(&str, &str)]) -> u16 {
        let request = headers.iter().fold(Request::get(path).version(version), |request, (name, value)| request.header(*name, *value));
        let (head, ()) = request.body(()).unwrap().into_parts();
        check(&head).map_or_else(|refused| refused.status().as_u16(), |()| 200)
    }

    #[test]
    fn a_head_that_can_be_read_in_two_ways_is_refused() {
        let ours = |more: &[(&'static str, &'static str)]| status(Version::HTTP_11, "/", &[&[("host", "a:1")], more].concat());
        assert_eq!(ours(&[]), 200);
        assert_eq!(ours(&[("cookie", "a=b"), ("cookie", "c=d"), ("accept", "x"), ("accept", "y")]), 200);
        for name in SINGLE.iter().filter(|name| **name != header::HOST) {
            assert_eq!(ours(&[(name.as_str(), "chunked")]), 200, "{name}");
            assert_eq!(ours(&[(name.as_str(), "chunked"), (name.as_str(), "chunked")]), 400, "{name}");
        }
        assert_eq!(ours(&[("host", "a:1")]), 400);
        assert_eq!(ours(&[("transfer-encoding", "Chunked")]), 200);
        assert_eq!(ours(&[("transfer-encoding", "gzip, chunked")]), 400);
        assert_eq!(status(Version::HTTP_11, "/", &[]), 400);
        assert_eq!(status(Version::HTTP_10, "/", &[]), 200);
        for host in ["", "a b", "a/b", "a,b", "a@b"] {
            assert_eq!(status(Version::HTTP_11, "/", &[("host", host)]), 400, "{host:?}");
        }
    }

    #[test]
    fn both_ways_of_naming_the_server_count_and_health_is_for_all() {
        let hosts = Hosts::default();
        let status = |uri: &str, host: Option<&str>| {
            let request = host.into_iter().fold(Request::get(uri), |request, host| request.header("host", host));
            let refused = is_for_us(&request.body(()).unwrap().into_parts().0, &hosts);
            refused.map_or_else(|refused| refused.status().as_u16(), |()| 200)
        };
        for (uri, host) in [("/", Some("localhost")), ("/", None), ("/healthz", Some("evil.example")), ("/readyz", Some("evil.example"))] {
            assert_eq!(status(uri, host), 200, "{uri} {host:?}");
        }
        for (uri, host) in [
            ("/", "evil.example"),
            ("http://evil.example/", "localhost"),
            ("http://localhost/", "evil.example"),
            ("/healthz/", "evil.example"),
            ("/metrics", "evil.example"),
        ] {
            assert_eq!(status(uri, Some(host)), 421, "{uri} {host}");
        }
    }

    #[test]
    fn a_request_path_is_valid_text() {
        let at = |path: &str| status(Version::HTTP_11, path, &[("host", "a")]);
        for valid in ["/", "/a%20b?c=%C3%A9+%2B", "/a?b=%", "/a?b=%zz", "/%F0%9F%98%80"] {
            assert_eq!(at(valid), 200, "{valid}");
        }
        for (none, told) in [("/%00", 400), ("/a%ffb", 400), ("/%C3", 400), ("/?a=%00", 422), ("/?a%00=b", 422), ("/?%c3%28", 422)] {
            assert_eq!(at(none), told, "{none}");
        }
    }
}
