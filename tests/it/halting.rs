//! Halting by people: on the page of the inbox and at a terminal.

use crate::support::client::{low, token};
use crate::support::{Browser, TestApp};
use reqwest::Method;
use serde_json::json;
use tokio::process::Command;

const PATH: &str = "/inbox/halts";

#[tokio::test]
async fn an_admin_halts_and_resumes_on_the_page_and_every_page_shows_the_halt() {
    let app = TestApp::start().await;
    let (cora, alice) = (Browser::of(app.addr, "cora").await, Browser::of(app.addr, "alice").await);
    let page = cora.get(PATH).await.expect(200);
    page.has("Nothing is halted.").has("There have been no halts yet.");
    let halted = cora.submit(&page, "/inbox/halts/halt", &[("environment", "production"), ("reason", "<b>INC-7</b>")]).await;
    let address = halted.location().to_owned();
    cora.get(&address).await.expect(200).has("The halt is in force: nothing that it covers starts.");
    for path in ["/", "/inbox/history", "/inbox/statistics", "/inbox/people/alice", "/docs", PATH] {
        let page = alice.get(path).await.expect(200);
        page.has("Halted: production.").has("&lt;b&gt;INC-7&lt;&#x2f;b&gt;").lacks("<b>INC-7");
    }
    alice
        .get(PATH)
        .await
        .expect(200)
        .has("Only people with the role admin can halt")
        .lacks("/inbox/halts/resume")
        .lacks("/inbox/halts/halt");
    Browser::new(app.addr).get("/sign-in").await.expect(200).lacks("INC-7");

    // People who are not admins, and forms from elsewhere, have no effect.
    let form_token = alice.get("/").await.expect(200).hidden("/sign-out")[0].1.clone();
    let refused = alice.post("/inbox/halts/resume", &[("form_token", &form_token), ("environment", "production")]).await;
    refused.expect(403).has("only a person with the role admin");
    let own = cora.get("/").await.expect(200).hidden("/sign-out")[0].1.clone();
    let foreign = cora.form("/inbox/halts/resume", &[("form_token", &own), ("environment", "production")]);
    cora.send(foreign.header("sec-fetch-site", "cross-site")).await.expect(403);
    cora.post("/inbox/halts/resume", &[("form_token", &form_token), ("environment", "production")]).await.expect(403);
    assert_eq!(app.database.count("select count(*) from halt").await, 1);
    cora.post("/inbox/halts/halt", &[("form_token", &own), ("environment", "staging")])
        .await
        .expect(422)
        .has("give the reason in a sentence");

    let page = cora.get(PATH).await.expect(200);
    let resumed = cora.submit(&page, "/inbox/halts/resume", &[("reason", "over")]).await;
    cora.get(resumed.location()).await.expect(200).has("The halt is lifted.").has("Nothing is halted.").has("by inbox");
    let page = cora.get(PATH).await.expect(200);
    let drilled = cora.submit(&page, "/inbox/halts/halt", &[("environment", "everything"), ("reason", "drill"), ("drill", "yes")]).await;
    cora.get(drilled.location()).await.expect(200).has("The drill is over").has("drill ended");
    // A receipt that this server did not make shows nothing.
    cora.get("/inbox/halts?done=halted&seal=00").await.expect(200).lacks("The halt is in force");
    alice.send(alice.request(Method::GET, "/")).await.expect(200).lacks("Halted:");
}

#[tokio::test]
async fn a_halt_is_called_and_lifted_at_a_terminal() {
    let app = TestApp::start().await;
    let run = async |name: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        command.env("PARKBRAKE_URL", format!("http://{}", app.addr)).env("PARKBRAKE_TOKEN", token(name)).env_remove("PARKBRAKE_AS");
        let ran = command.args(arguments).output().await.expect("the program");
        let told = [ran.stdout, ran.stderr].map(|text| String::from_utf8(text).unwrap()).concat();
        (ran.status.code(), told)
    };
    assert_eq!(run("alice", &["halt", "--reason", "x"]).await.0, Some(6), "not permitted");
    assert_eq!(run("cora", &["halt"]).await.0, Some(2), "a reason is needed");
    let (status, told) = run("cora", &["halt", "--reason", "INC-7"]).await;
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("everything is halted; nothing starts") && told.contains("INC-7"), "{told}");
    let id = app.client("deploy-bot").submit_id(low()).await;
    let (_, told) = run("alice", &["status", &id]).await;
    assert!(told.contains("held") && told.contains("cora has halted everything"), "{told}");
    let (_, told) = run("alice", &["halts"]).await;
    assert!(told.contains("halted everything by cora"), "{told}");
    let (_, told) = run("cora", &["resume", "--environment", "production"]).await;
    assert!(told.contains("production was not halted") && told.contains("everything by cora"), "{told}");
    let (status, told) = run("cora", &["resume", "--json"]).await;
    assert_eq!((status, serde_json::from_str::<serde_json::Value>(&told).unwrap()["halted"].clone()), (Some(0), json!(false)));
    let (status, told) = run("cora", &["halt", "--drill", "--reason", "of the week"]).await;
    assert_eq!(status, Some(0), "{told}");
    assert!(told.contains("every server was halted after") && told.contains(&app.addr.to_string()), "{told}");
}
