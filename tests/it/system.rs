//! The state of the system, for operators: the call, the page, and the note at the top of every
//! other page.

use crate::support::client::{high, low, medium};
use crate::support::hook::Hook;
use crate::support::{Browser, Config, TestApp, eventually};
use serde_json::{Value, json};

fn config(channels: &str) -> Config {
    let channels =
        format!("public_url: https://parkbrake.example.com/\nchannels:\n{channels}routes: [ {{ levels: [high], channels: [audit] }} ]\n");
    let policies = "policies: { high: { report_within: 1s }, medium: { break_glass: [tech_lead] } }";
    Config::new().with_policies(policies).write("notifications.yaml", &channels)
}

fn troubles(system: &Value) -> String {
    system["troubles"].as_array().expect("a list").iter().filter_map(Value::as_str).collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_healthy_system_reports_no_troubles_and_names_its_server() {
    let hook = Hook::start().await;
    let app = TestApp::with(config(&hook.channel("audit"))).await;
    app.client("deploy-bot").submit_id(high()).await;
    let nora = app.client("nora");
    let system = eventually("a delivered notice", || async {
        let system = nora.get("/system").await.expect(200);
        (system["channels"][0]["delivered"] == 1).then_some(system)
    })
    .await;
    assert_eq!((&system["troubles"], &system["channels"][0]["channel"]), (&json!([]), &json!("audit")));
    assert_eq!((&system["channels"][0]["waiting"], &system["channels"][0]["last_error"]), (&json!(0), &json!(null)));
    let [server] = &system["servers"].as_array().unwrap()[..] else { panic!("one server") };
    assert_eq!((&server["acts"], &server["server_id"], &server["ended_at"]), (&json!(true), &system["server_id"], &json!(null)));
    for list in ["dead_notices", "quarantined", "halts", "reviews"] {
        assert_eq!(system[list], json!([]), "{list}");
    }
    app.client("deploy-bot").get("/system").await.problem(403, "not-permitted");
    let page = Browser::of(app.addr, "nora").await.get("/inbox/system").await.expect(200);
    page.has("Parkbrake knows of no problem").has("audit").has("this one").lacks("Send again").lacks("<button class=\"danger\">Halt");
}

#[tokio::test]
async fn troubles_are_listed_and_shown_to_admins_on_every_page() {
    let hook = Hook::start().await;
    let app = TestApp::with(config(&hook.channel("audit"))).await;
    let (bot, lone, alice, tess, cora) =
        (app.client("deploy-bot"), app.client("lone-bot"), app.client("alice"), app.client("tess"), app.client("cora"));
    let admin = Browser::of(app.addr, "cora").await;
    admin.get("/").await.expect(200).lacks("See the system");

    let unknown = bot.submit_id(high()).await;
    alice.approve(&unknown).await.expect(200);
    alice.wait_for(&unknown, "outcome_unknown").await;
    let parked = lone.submit(medium()).await;
    let broken = parked["workflow_id"].as_str().unwrap();
    let words = json!({"break_glass": true, "digest": parked["digest"], "justification": "INC-7"});
    tess.post(&format!("/workflows/{broken}/approve"), words).await.expect(200);
    let left = bot.submit_id(high()).await;
    app.database.execute(&format!("insert into quarantine (workflow_id, reason, failures) values ('{left}', 'it <fails>', 6)")).await;
    let stuck = bot.submit_id(high()).await;
    eventually("its notice", || async {
        let delivered = cora.get(&format!("/notices?workflow_id={stuck}&status=delivered")).await.expect(200);
        delivered["notices"].as_array().is_some_and(|notices| !notices.is_empty()).then_some(())
    })
    .await;
    app.database.execute(&format!("update notice set status = 'dead', error = 'it was <refused>' where workflow_id = '{unknown}'")).await;
    app.database.execute(&format!("update notice set status = 'pending', first_due_at = now() - interval '10 minutes', due_at = now() + interval '1 hour', error = '503' where workflow_id = '{stuck}'")).await;
    lone.submit(low()).await;
    cora.post("/halt", json!({"environment": "production", "reason": "INC-8"})).await.expect(200);

    let system = cora.get("/system").await.expect(200);
    let said = troubles(&system);
    for part in [
        "The channel audit does not deliver",
        "given up in the last 7 days",
        "1 workflow is in quarantine",
        "1 action has an outcome that nobody knows",
        "1 review of broken glass is open",
    ] {
        assert!(said.contains(part), "{part} in {said}");
    }
    assert_eq!(
        (&system["outcome_unknown"]["count"], &system["outcome_unknown"]["workflows"][0]["workflow_id"]),
        (&json!(1), &json!(unknown))
    );
    assert_eq!(
        (&system["quarantined"][0]["workflow_id"], &system["quarantined"][0]["headline"]),
        (&json!(left), &json!("deploy in production"))
    );
    assert_eq!((&system["reviews"][0]["broken_by"], &system["halts"][0]["reason"]), (&json!("tess"), &json!("INC-8")));
    assert!(system["executing"]["count"].as_i64().unwrap() >= 1 && system["channels"][0]["waiting"].as_i64().unwrap() >= 1);
    assert_eq!(system["channels"][0]["last_error"], "503");

    let page = admin.get("/inbox/system").await.expect(200);
    page.has("Needs attention")
        .has("it &lt;fails&gt;")
        .has("it was &lt;refused&gt;")
        .has(&unknown)
        .has("Resume production")
        .has("Send again");
    admin.get("/").await.expect(200).has("The channel audit does not deliver").has("See the system");
    admin.get("/inbox/history").await.expect(200).has("See the system");
    let auditor = Browser::of(app.addr, "nora").await;
    auditor.get("/").await.expect(200).lacks("See the system");
    auditor.get("/inbox/system").await.expect(200).has("Needs attention").lacks("Send again");

    let dead = system["dead_notices"][0]["notice_id"].as_str().unwrap();
    let form = format!("/inbox/system/notices/{dead}/resend");
    let sent = admin.submit(&page, &form, &[]).await;
    admin.get(sent.location()).await.expect(200).has("The notice is due again");
    let token = auditor.get("/inbox/system").await.expect(200).hidden("/sign-out");
    let token: Vec<(&str, &str)> = token.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    auditor.post(&form, &token).await.expect(403).has("only an admin may send a notice again");
    let metrics = cora.get("/metrics").await.text;
    assert!(metrics.contains("parkbrake_glass_reviews_open 1"), "{metrics}");
}
