//! The server's own role in the database has the rights that OPERATIONS.md names, and needs no
//! others.

use crate::support::client::{high, low, token};
use crate::support::{Browser, Config, Database, Process};
use serde_json::json;

/// The statements of OPERATIONS.md for the owner, for a role of another name.
#[track_caller]
fn documented_rights(role: &str) -> String {
    let page = include_str!("../../support/docs/OPERATIONS.md");
    let grants: Vec<String> = page
        .lines()
        .filter(|line| line.starts_with("grant ") && line.ends_with(" to parkbrake;"))
        .map(|line| line.replace(" to parkbrake;", &format!(" to {role};")))
        .collect();
    assert!(grants.len() >= 5, "{grants:?}");
    grants.join("\n")
}

#[tokio::test]
async fn a_role_with_the_documented_rights_does_all_that_a_server_does() {
    let owned = Database::migrated().await;
    let role = format!("server_{}", std::process::id());
    owned.execute(&format!("create role {role}; {}", documented_rights(&role))).await;
    let database = Database::at(format!("{}&options=-c%20role%3D{role}", owned.url));
    let hook = "public_url: https://park.example\nchannels: { audit: { type: webhook, url: \"http://127.0.0.1:9/\", allow_private: true, secret: { from_env: HOOK_SECRET } } }\n\
                routes: [ { levels: [high], channels: [audit] } ]";
    let server = Process::serve_with(&Config::new().write("notifications.yaml", hook), &database, &["--no-migrate"]).await;
    let (bot, alice, cora) = (server.client("deploy-bot"), server.client("alice"), server.client("cora"));
    let mut stream = alice.follow("/events").await;
    bot.submit_id(low()).await;
    let id = bot.submit_id(high()).await;
    let rejected = bot.submit_id(high()).await;
    stream.until(&rejected, "approval_requested").await;
    alice.follow_from("/events", Some(&stream.last_id)).await;
    let keyed = bot.request(reqwest::Method::POST, "/orchestrate").header("idempotency-key", "k").json(&high());
    bot.send(keyed).await.expect(202);
    alice.approve(&id).await.expect(200);
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    cora.post(&format!("/workflows/{rejected}/cancel"), json!({"reason": "no"})).await.expect(200);
    for path in [
        "/workflows",
        "/workflows?status=completed",
        "/workflows/pending?mine=true",
        "/notices",
        "/metrics",
        "/readyz",
        "/workflows/export",
        "/statistics",
        "/system",
    ] {
        assert_eq!(alice.get(path).await.status, 200, "{path}");
    }
    bot.get("/workflows/pending").await.expect(200);
    let mut browser = Browser::new(server.addr);
    browser.sign_in(&token("alice"), "/").await;
    for path in [
        "/",
        "/inbox/history",
        "/inbox/statistics",
        "/inbox/system",
        "/inbox/policy",
        "/inbox/decisions",
        &format!("/inbox/workflows/{id}"),
    ] {
        let page = browser.get(path).await;
        assert!(page.status == 200 || page.status == 404, "{path}: {}", page.html);
    }
    let log = server.log().await;
    let denied: Vec<&String> = log.iter().filter(|line| line.contains("permission denied")).collect();
    assert!(denied.is_empty(), "{denied:#?}");
    owned.execute(&format!("drop owned by {role}; drop role {role}")).await;
}
