//! Pages and lists are compressed for clients that accept it, and their length reveals nothing.

use crate::support::called;
use crate::support::client::{high, token};
use crate::support::{Browser, TestApp};
use flate2::read::GzDecoder;
use reqwest::{Method, Response};
use std::io::Read as _;

/// The decompressed body of an answer.
#[track_caller]
fn unpacked(response: Response) -> impl Future<Output = String> {
    called(async move {
        assert_eq!(response.headers()["content-encoding"], "gzip");
        assert_eq!(response.headers()["vary"], "accept-encoding");
        let bytes = response.bytes().await.expect("a body");
        let mut text = String::new();
        GzDecoder::new(&bytes[..]).read_to_string(&mut text).expect("valid gzip");
        assert!(bytes.len() * 2 < text.len(), "{} bytes of {}", bytes.len(), text.len());
        text
    })
}

#[tokio::test]
async fn pages_and_lists_come_compressed_to_those_who_accept_it() {
    let app = TestApp::start().await;
    for _ in 0..5 {
        app.client("deploy-bot").submit_id(high()).await;
    }
    let alice = Browser::of(app.addr, "alice").await;
    let gzip = |path: &str| alice.request(Method::GET, path).header("accept-encoding", "gzip, br");
    let page = unpacked(gzip("/").send().await.expect("an answer")).await;
    assert!(page.contains("</html>"), "{page}");
    let list = alice.request(Method::GET, "/workflows").bearer_auth(token("alice")).header("accept-encoding", "gzip");
    let list: serde_json::Value = serde_json::from_str(&unpacked(list.send().await.expect("an answer")).await).expect("JSON");
    assert_eq!(list["workflows"].as_array().unwrap().len(), 5);

    let plain = alice.get("/").await.expect(200);
    assert!(!plain.headers.contains_key("content-encoding"));
    plain.has("</html>");
    let short = gzip("/healthz").send().await.expect("an answer");
    assert!(!short.headers().contains_key("content-encoding"), "what is short is not worth it");
    // Another site could observe the length of an answer that it made the browser request.
    for site in ["cross-site", "same-site"] {
        let caused = gzip("/").header("sec-fetch-site", site).send().await.expect("an answer");
        assert!(!caused.headers().contains_key("content-encoding"), "{site}");
    }
}

#[tokio::test]
async fn each_load_of_a_page_has_another_token_and_all_of_them_are_accepted() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let alice = Browser::of(app.addr, "alice").await;
    let (path, action) = (format!("/inbox/workflows/{id}"), format!("/inbox/workflows/{id}/comments"));
    let mut tokens = Vec::new();
    for _ in 0..2 {
        let page = alice.get(&path).await.expect(200);
        let token = page.hidden(&action).into_iter().find(|(name, _)| name == "form_token").expect("a token").1;
        assert_eq!(page.hidden("/sign-out")[0].1, token, "a page has one token for all of its forms");
        tokens.push(token);
    }
    assert!(tokens[0] != tokens[1] && tokens[0][..64] != tokens[1][..64] && tokens[0][64..] != tokens[1][64..], "{tokens:?}");
    for (token, text) in tokens.iter().zip(["first", "second"]) {
        let said = alice.post(&action, &[("form_token", token), ("text", text)]).await;
        assert_eq!(said.status, 303, "{}", said.html);
    }
    assert_eq!(app.client("alice").workflow(&id).await["comments"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn streamed_responses_are_not_buffered() {
    let app = TestApp::start().await;
    app.client("deploy-bot").submit_id(high()).await;
    let alice = Browser::new(app.addr);
    let ask = |path: &str| alice.request(Method::GET, path).bearer_auth(token("alice")).header("accept-encoding", "gzip");
    for path in ["/events", "/workflows/export"] {
        let mut response = ask(path).send().await.expect("an answer");
        assert!(response.status().is_success(), "{path}: {}", response.status());
        assert!(!response.headers().contains_key("content-encoding"), "{path}");
        app.client("deploy-bot").submit_id(high()).await;
        let first = response.chunk().await.expect("a piece").expect("a piece");
        assert!(!first.is_empty(), "{path}");
    }
}
