//! `parkbrake pending`.

use super::ran;
use super::stub::{HOSTILE, Stub, pending};
use super::terminal::start;
use serde_json::{Value, json};
use std::io::Read;

fn id(n: u8) -> String {
    format!("0198c0de-0000-7000-8000-00000000000{n}")
}

fn page(n: u8, level: &str, next: Value) -> String {
    let mut item = pending(&id(n), HOSTILE);
    item["risk_level"] = level.into();
    json!({"success": true, "next_cursor": next, "workflows": [item]}).to_string()
}

#[test]
fn every_page_is_read_and_the_most_dangerous_request_comes_first() {
    let stub = Stub::start();
    stub.on_raw("GET /workflows/pending", &[(200, &page(1, "high", "a/b+c&d".into())), (200, &page(2, "critical", Value::Null))]);
    let shown = ran(&stub, &["pending", "--mine", "--risk-level", "high", "--role", "team lead"]);
    shown.said(&["LEVEL", "AGE", "DUE", "BY", "WHAT", "NEEDS", "ID\n", "deploy api-gateway in production", "2 requests wait"]);
    let rows: Vec<&str> = shown.out.lines().collect();
    assert!(rows[1].starts_with("CRITICAL  ") && rows[1].ends_with("  00000002"), "{rows:?}");
    assert!(rows[2].starts_with("HIGH      ") && rows[2].ends_with("  00000001"), "{rows:?}");
    assert_eq!(rows.len(), 5, "one line a request: {rows:?}");
    let queries: Vec<String> = stub.calls().into_iter().map(|call| call.query).collect();
    assert_eq!(queries[0], "limit=500&mine=true&risk_level=high&role=team+lead");
    assert_eq!(queries[1], format!("{}&cursor=a%2Fb%2Bc%26d", queries[0]));
    assert_eq!(stub.last("GET").token(), "pbk_alice");

    stub.on_raw("GET /workflows/pending", &[(200, &page(1, "high", "more".into()))]);
    ran(&stub, &["pending", "--limit", "1"]).said(&["1 request waits"]);
    assert_eq!(stub.last("GET").query, "limit=1");
    ran(&stub, &["pending"]).failed(1, &["the same page again and again"]);
}

#[test]
fn wide_shows_whole_ids_and_the_words_of_the_requester_in_one_line() {
    let stub = Stub::start();
    stub.on_raw("GET /workflows/pending", &[(200, &page(1, "high", Value::Null))]);
    let shown = ran(&stub, &["pending", "--wide"]);
    shown.said(&["CLAIMS\n", &id(1), "$(touch pwned)", "<U+202E><U+001B>[2J<U+000A>second line"]);
    assert_eq!(shown.out.lines().count(), 4, "{}", shown.out);
}

#[test]
fn on_a_terminal_no_line_is_longer_than_the_terminal_and_watch_shows_it_again() {
    let stub = Stub::start();
    let long = json!({"success": true, "next_cursor": null, "workflows": [pending(&id(1), "x")]});
    let mut other = long.clone();
    other["workflows"][0]["target"]["resource"] = "r".repeat(300).into();
    stub.on_raw("GET /workflows/pending", &[(200, &long.to_string()), (200, &other.to_string())]);
    let (mut child, mut terminal) = start(&stub, &["pending", "--watch"], "dumb");
    let (mut shown, mut part) = (String::new(), [0; 4096]);
    while shown.matches("1 request waits").count() < 2 {
        let read = terminal.read(&mut part).unwrap();
        shown.push_str(&String::from_utf8_lossy(&part[..read]));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let row = shown.lines().find(|line| line.contains("rrr")).unwrap();
    assert!(row.trim_end().chars().count() <= 100 && row.contains('…') && row.trim_end().ends_with("00000001"), "{row}");
    assert!(shown.contains("\u{1b}[H\u{1b}[2J"), "{shown}");
}
