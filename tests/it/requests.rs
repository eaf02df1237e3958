//! Every request gets an answer with the right schema, and never a 500.

use crate::support::client::{high, token};
use crate::support::contract;
use crate::support::raw::{connect_from, exchange, status};
use crate::support::{Browser, TestApp, called};
use futures_util::{StreamExt, stream};
use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};
use std::time::Duration;

/// Every route of the program, with the parameters in its path.
#[track_caller]
fn routes() -> Vec<(String, Vec<String>)> {
    let source = include_str!("../../src/web/mod.rs");
    let route = Regex::new(r#"\.route\(\s*"([^"]+)",\s*([^\n]+)"#).unwrap();
    let method = Regex::new(r"\b(get|post|put|delete|patch)\(").unwrap();
    let found = route.captures_iter(source).map(|found| {
        let methods = method.captures_iter(&found[2]).map(|method| method[1].to_uppercase()).collect();
        (found[1].to_owned(), methods)
    });
    let described = contract::document()["paths"].as_object().expect("paths").iter();
    let described =
        described.map(|(path, calls)| (path.clone(), calls.as_object().expect("calls").keys().map(|one| one.to_uppercase()).collect()));
    let routes: Vec<_> = found.chain(described).collect();
    assert!(routes.len() > 25 && routes.iter().all(|(_, methods): &(_, Vec<_>)| !methods.is_empty()), "{routes:?}");
    routes
}

/// Every parameter of any route.
const PARAMETERS: &[&str] = &[
    "risk_level",
    "role",
    "mine",
    "limit",
    "cursor",
    "status",
    "requested_by",
    "since",
    "timeout",
    "channel",
    "workflow_id",
    "from",
    "until",
    "level",
    "text",
    "of",
    "fragment",
    "days",
    "done",
    "seal",
    "next",
    "q",
    "sort",
    "approver",
    "runbook",
];

const NO_TEXT: &[&str] = &["%00", "a%00b", "%ff", "%c3%28", "%ED%A0%80"];

const ODD: &[&str] = &[
    "",
    "-1",
    "0",
    "9223372036854775807",
    "18446744073709551616",
    "NaN",
    "%F0%9F%98%80%E2%80%AE",
    "%27%3B--%25",
    "-7000000000000000.00000000-0000-0000-0000-000000000000",
    "7000000000000000.00000000-0000-0000-0000-000000000000",
    "-7000000000000000",
    "-200000-01-01",
    "%2B200000-01-01",
    "-4800-01-01",
    "9999-12-31",
    "99999999999999999999999d",
    "..%2f..%2f",
];

fn filled(path: &str, id: &str) -> String {
    path.replace("{id}", id).replace("{name}", id)
}

#[tokio::test]
async fn no_parameter_of_any_route_leads_to_a_500() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let alice = Browser::of(app.addr, "alice").await;
    let paths = routes().into_iter().filter(|(_, methods)| methods.contains(&"GET".to_owned())).map(|(path, _)| filled(&path, &id));
    stream::iter(paths).for_each_concurrent(4, |path| every_parameter_is_answered(&alice, path)).await;
}

#[track_caller]
fn every_parameter_is_answered(alice: &Browser, path: String) -> impl Future<Output = ()> {
    called(async move {
        for value in NO_TEXT {
            let page = alice.get(&format!("{path}?{value}={value}")).await;
            assert_eq!(page.status, 422, "GET {path}?{value}={value}: {}", page.html);
        }
        let known = parameters(alice, &path).await;
        for name in &known {
            let page = alice.get(&format!("{path}?{name}=a%00b")).await;
            assert_eq!(page.status, 422, "GET {path}?{name}=a%00b: {}", page.html);
        }
        for value in ODD {
            // All of them; one alone could hide behind another that is refused.
            if answered(alice, &path, &known, value).await == 422 {
                for name in &known {
                    answered(alice, &path, &[name], value).await;
                }
            }
        }
    })
}

/// The parameters that a route does not refuse as unknown to it.
async fn parameters(alice: &Browser, path: &str) -> Vec<&'static str> {
    let mut known = Vec::new();
    for name in PARAMETERS {
        let request = alice.request(Method::GET, &format!("{path}?{name}={}", ODD[0]));
        // An opened stream is an answer; the test does not wait for its end.
        let page = tokio::time::timeout(Duration::from_secs(1), alice.send(request)).await;
        if !page.is_ok_and(|page| page.html.contains("unknown field")) {
            known.push(*name);
        }
    }
    known
}

/// The status of a request in which these parameters have one value. It is never a 500.
#[track_caller]
fn answered(alice: &Browser, path: &str, names: &[&str], value: &str) -> impl Future<Output = u16> {
    let mut query: Vec<String> = names.iter().map(|name| format!("{name}={value}")).collect();
    if path.ends_with("/wait") && names != ["timeout"] {
        query.retain(|part| !part.starts_with("timeout="));
        query.push("timeout=0s".to_owned());
    }
    let query = query.join("&");
    called(async move {
        let status = alice.request(Method::GET, &format!("{path}?{query}")).send().await.expect("an answer").status().as_u16();
        assert!(status < 500, "GET {path}?{query}: {status}");
        status
    })
}

#[tokio::test]
async fn no_path_leads_to_a_500() {
    let app = TestApp::start().await;
    let alice = app.client("alice");
    let long = "x".repeat(8_000);
    for (path, methods) in routes().into_iter().filter(|(path, _)| path.contains('{')) {
        for method in methods {
            let method: Method = method.parse().unwrap();
            for part in NO_TEXT {
                let answer = alice.send(alice.request(method.clone(), &filled(&path, part))).await;
                assert_eq!(answer.status, 400, "{method} {path} with {part}: {}", answer.text);
            }
            for part in [&long, "%2F", "%F0%9F%98%80", "00000000-0000-0000-0000-000000000000", "%20"] {
                let answer = alice.send(alice.request(method.clone(), &filled(&path, part))).await;
                assert!(answer.status.as_u16() < 500, "{method} {path} with {part}: {}", answer.text);
            }
        }
    }
}

#[tokio::test]
async fn no_body_leads_to_a_500() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let cora = app.client("cora");
    let browser = Browser::of(app.addr, "cora").await;
    for (path, _) in routes().into_iter().filter(|(_, methods)| methods.contains(&"POST".to_owned())) {
        let path = filled(&path, &id);
        for body in
            [&b"{\"a\\u0000\": 1}"[..], b"{\"reason\": \"\\u0000\"}", b"\xff\xfe", b"{\"reason\": \"\xff\"}", b"[", b"\0", b"null", b"[]"]
        {
            let request = cora.request(Method::POST, &path).header("content-type", "application/json").body(body.to_vec());
            let answer = cora.send(request).await;
            assert!((400..500).contains(&answer.status.as_u16()), "POST {path} {body:?}: {} {}", answer.status, answer.text);
        }
        for form in ["a=%00", "a%00=b", "reason=%00", "reason=%ff", "%ff=%ff", "id=%00", "token=%00&next=%00", "payload=%00", "="] {
            let request = browser.request(Method::POST, &path).header("sec-fetch-site", "same-origin");
            let request = request.header("content-type", "application/x-www-form-urlencoded").body(form);
            let page = browser.send(request).await;
            assert!((400..500).contains(&page.status.as_u16()), "POST {path} {form}: {} {}", page.status, page.html);
        }
    }
}

#[tokio::test]
async fn an_unsupported_method_is_answered_with_the_allowed_ones() {
    let app = TestApp::start().await;
    let alice = app.client("alice");
    for (path, methods) in routes() {
        let at = filled(&path, "00000000-0000-0000-0000-000000000000");
        for method in [Method::GET, Method::POST, Method::PUT, Method::DELETE, Method::PATCH, Method::OPTIONS, Method::TRACE] {
            if methods.contains(&method.to_string()) {
                continue;
            }
            let request = alice.request(method.clone(), &at).header("accept", "application/json");
            let answer = alice.send(request).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            let allowed = answer.headers["allow"].to_str().unwrap();
            assert!(methods.iter().all(|method| allowed.contains(method.as_str())), "{method} {path} allows {allowed}");
            // Below the inbox every answer is a page; for a browser, all answers are.
            if path.starts_with("/inbox") || ["/", "/docs"].contains(&path.as_str()) || path.starts_with("/sign-") {
                continue;
            }
            assert_eq!(answer.headers["content-type"], "application/problem+json");
            assert_eq!(
                (&answer.body["type"], &answer.body["status"], &answer.body["instance"]),
                (&json!("about:blank"), &json!(405), &json!(at))
            );
        }
        let shown = alice.send(alice.request(Method::PUT, &at).header("accept", "text/html,*/*;q=0.8")).await;
        assert_eq!(shown.status, 405, "{path}");
        assert_eq!(shown.headers["content-type"], "text/html; charset=utf-8", "{path}");
        assert!(
            shown.headers.contains_key("allow") && shown.headers["content-security-policy"].to_str().unwrap().contains("style-src 'self'")
        );
    }
    for path in ["/nothing", "/workflows/", "/workflows/x/y/z", "//"] {
        let answer = alice.get(path).await;
        assert_eq!((answer.status.as_u16(), &answer.body["type"]), (404, &Value::from("about:blank")), "{path}");
        let shown = alice.send(alice.request(Method::GET, path).header("accept", "text/html")).await;
        assert_eq!((shown.status.as_u16(), shown.headers["content-type"].to_str().unwrap()), (404, "text/html; charset=utf-8"), "{path}");
    }
}

#[tokio::test]
async fn a_head_that_two_programs_could_read_differently_is_refused() {
    let app = TestApp::start().await;
    let authorization = format!("Authorization: Bearer {}", token("alice"));
    let with = |lines: &str| format!("GET /workflows HTTP/1.1\r\n{lines}\r\nConnection: close\r\n\r\n");
    let valid = with(&format!("Host: localhost\r\n{authorization}"));
    let post = |lines: &str, body: &str| {
        format!(
            "POST /risk/assess HTTP/1.1\r\nHost: localhost\r\n{authorization}\r\nContent-Type: application/json\r\n{lines}\r\n\r\n{body}"
        )
    };
    for (head, expected) in [
        (valid.clone(), 200),
        (valid.replace("\r\n", "\n"), 400),
        (valid.replacen("\r\n", "\n", 1), 400),
        (with(&format!("Host: localhost\n{authorization}")), 400),
        (with(&format!("Host: localhost\r\n{authorization}\nX: y")), 400),
        (with(&format!("Host: localhost\r\nHost: localhost\r\n{authorization}")), 400),
        (with(&format!("Host: localhost, y\r\n{authorization}")), 400),
        (with(&authorization), 400),
        (with(&format!("Host: localhost\r\n{authorization}\r\n{authorization}")), 400),
        (with(&format!("Host: localhost\r\n{authorization}\r\nAuthorization: Bearer pbk_other")), 400),
        (with(&format!("Host: localhost\r\nX: a\0b\r\n{authorization}")), 400),
        (with(&format!("Host: localhost\r\nX: a\rb\r\n{authorization}")), 400),
        (with(&format!("Host: localhost\r\nX: a\r\n folded\r\n{authorization}")), 400),
        (with(&format!("Host: localhost\r\n{authorization}\r\nX: {}", "y".repeat(80_000))), 431),
        (post("Transfer-Encoding: gzip, chunked", "0\r\n\r\n"), 400),
        (post("Content-Length: 2\r\nContent-Length: 3", "{}"), 400),
        // The same length twice is one length (RFC 9110, 8.6); the body is read once, and the empty
        // task is refused.
        (post("Connection: close\r\nContent-Length: 2\r\nContent-Length: 2", "{}"), 422),
        (post("Content-Length: 2\r\nContent-Type: application/json", "{}"), 400),
        (post("Content-Length: +2", "{}"), 400),
    ] {
        let mut stream = connect_from("127.0.0.1", app.addr).await;
        let answer = exchange(&mut stream, head.as_bytes()).await;
        assert_eq!(status(&answer), expected, "{head:.300}\n{answer}");
        assert_eq!(answer.matches("HTTP/1.1 4").count() + answer.matches("HTTP/1.1 2").count(), 1, "{head:.300}\n{answer}");
    }
}

#[tokio::test]
async fn an_event_id_ahead_of_a_workflows_stream_is_refused_and_the_last_one_is_not() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let alice = app.client("alice");
    let version = alice.workflow(&id).await["version"].as_u64().unwrap();
    let path = format!("/workflows/{id}/events");
    let heard = |version: u64| {
        let request = alice.request(Method::GET, &path).header("last-event-id", version.to_string());
        async { request.send().await.expect("an answer").status().as_u16() }
    };
    assert_eq!([heard(0).await, heard(version).await], [200, 200]);
    for ahead in [version + 1, 999, u64::from(u32::MAX)] {
        assert_eq!(heard(ahead).await, 422, "{ahead}");
    }
    app.client("alice").reject(&id).await.expect(200);
    // It has ended: a client that has received everything gets 204, and an impossible position is
    // refused.
    assert_eq!([heard(version).await, heard(version + 1).await, heard(version + 2).await], [200, 204, 422]);
}
