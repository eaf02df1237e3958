//! Standing grants: what was granted passes, no more often than it may, and nothing else; and it
//! stops with the grant.

use crate::support::client::{events, high, medium};
use crate::support::proxy::{Fault, Proxy};
use crate::support::server::settings;
use crate::support::{Browser, Client, Config, Database, Ledger, Process, TestApp, eventually};
use futures_util::future::join_all;
use serde_json::{Value, json};

/// What `once` does, according to its requester: medium risk because of its cost.
fn deployment() -> Value {
    json!({
        "description": "deploy", "operation": "deploy", "environment": "development", "resource_type": "code", "estimated_cost": 101,
        "action": {"type": "runbook", "name": "once"},
    })
}

fn grant_of_deployments() -> Value {
    json!({
        "requester": "deploy-bot", "operation": "deploy", "environment": "development", "resource_type": "code",
        "action": {"type": "runbook", "name": "once"}, "level": "medium", "expires_in": "2h", "justification": "The release of OPS-12",
    })
}

/// A grant for the bot's own builds.
fn grant_of_builds() -> Value {
    json!({
        "requester": "deploy-bot", "operation": "build", "environment": "development", "resource_type": "code",
        "action": {"type": "external"}, "level": "medium", "expires_in": "2h", "justification": "The release of OPS-12",
    })
}

fn with(mut value: Value, field: &str, new: Value) -> Value {
    value[field] = new;
    value
}

impl Client {
    /// Gives a grant, and returns its id.
    async fn grant(&self, grant: Value) -> String {
        self.post("/grants", grant).await.expect(201)["grant"]["grant_id"].as_str().unwrap().to_owned()
    }

    async fn granted(&self, id: &str) -> Value {
        self.get(&format!("/grants/{id}")).await.expect(200)["grant"].clone()
    }
}

async fn app(ledger: &Ledger) -> TestApp {
    TestApp::with(ledger.runbooks(Config::new())).await
}

#[tokio::test]
async fn a_granted_request_is_released_and_names_its_grant() {
    let ledger = Ledger::new();
    let app = app(&ledger).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let grant = alice.grant(with(grant_of_deployments(), "uses", json!(2))).await;
    let id = bot.submit_id(deployment()).await;
    let workflow = bot.wait_for(&id, "completed").await;
    assert_eq!(events(&workflow)[..4], ["submitted", "approval_requested", "granted", "released"]);
    let decision = &workflow["decisions"][0];
    assert_eq!(
        (&decision["approver"], &decision["verdict"], &decision["by_grant"], &decision["justification"]),
        (&json!("alice"), &json!("approved"), &json!(grant), &json!("The release of OPS-12"))
    );
    assert_eq!((&workflow["approval_status"], ledger.starts(&id)), (&json!("approved"), 1));
    let row = "select count(*) from approval_requests where status = 'approved' and resolved_by = 'alice' and approvals = 1 and approved_by = '{alice}' and timeout_at is null";
    assert_eq!(app.database.count(row).await, 1);
    assert_eq!(alice.get("/workflows/pending").await.expect(200)["workflows"], json!([]));

    // The requester may begin an external action at once.
    let builds = alice.grant(grant_of_builds()).await;
    let answer = bot.submit(medium()).await;
    assert_eq!(answer["status"], "executing");
    assert_eq!(alice.granted(&builds).await["used"], 1);

    // The second use is the last.
    bot.wait_for(&bot.submit_id(deployment()).await, "completed").await;
    assert_eq!(bot.submit(deployment()).await["status"], "pending_approval");
    let used_up = alice.granted(&grant).await;
    assert_eq!((&used_up["status"], &used_up["used"]), (&json!("used_up"), &json!(2)));
    assert_eq!(alice.get("/grants").await.expect(200)["grants"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn a_grant_is_given_only_by_somebody_who_could_approve_everything_it_releases() {
    let ledger = Ledger::new();
    let rules = crate::support::config::RULES
        .replace("high:     { auto_approve: false,", "high:     { auto_approve: false, require_justification: true,");
    let config = ledger.runbooks(Config::new().with_rules(&rules).with_policies("policies: { high: { required: 2 } }\n"));
    let app = TestApp::with(config).await;
    let alice = app.client("alice");
    app.client("deploy-bot").post("/grants", grant_of_builds()).await.problem(403, "not-an-approver");
    app.client("nora").post("/grants", grant_of_builds()).await.problem(403, "not-an-approver");
    app.client("tess").post("/grants", grant_of_builds()).await.problem(403, "not-an-approver");
    let two = alice.post("/grants", with(grant_of_builds(), "level", json!("high"))).await.problem(403, "not-permitted");
    assert!(two["detail"].as_str().unwrap().contains("needs the approval of 2 people"), "{two}");
    alice.post("/grants", with(grant_of_builds(), "level", json!("low"))).await.problem(403, "not-permitted");
    alice.post("/grants", with(grant_of_builds(), "level", json!("critical"))).await.problem(422, "invalid-task");
    alice.post("/grants", with(grant_of_builds(), "justification", json!(" \u{200b}"))).await.problem(422, "justification-required");
    for (field, wrong) in [
        ("expires_in", json!("9h")),
        ("expires_in", json!("soon")),
        ("uses", json!(0)),
        ("uses", json!(101)),
        ("cost", json!(-1)),
        ("operation", json!("frobnicate")),
        ("environment", json!("moon")),
        ("requester", json!("nobody")),
        ("resource", json!("*")),
        ("action", json!({"type": "runbook", "name": "none"})),
        ("action", json!({"type": "runbook", "name": "once", "args": {"version": "1"}})),
        ("action", json!({"type": "external", "args": {"version": null}})),
        ("like", json!("6a0c4c53-9a52-4c53-9a52-93c1de3f6d0e")),
    ] {
        alice.post("/grants", with(grant_of_builds(), field, wrong.clone())).await.problem(422, "invalid-task");
    }
    let missing =
        alice.post("/grants", json!({"expires_in": "1h", "level": "medium", "justification": "x"})).await.problem(422, "invalid-task");
    assert_eq!(missing["errors"].as_array().unwrap().len(), 4, "{missing}");
    assert_eq!(app.database.count("select count(*) from standing_grant").await, 0);

    // The person that an agent acts for is on its side, even if the role matches.
    let config = Config::new().with_rules(&crate::support::config::RULES.replace(
        "medium:   { auto_approve: false, notify: true, approvers: [team_lead]",
        "medium:   { auto_approve: false, notify: true, approvers: [team_lead, tech_lead]",
    ));
    let app = TestApp::with(config).await;
    app.client("tom").post("/grants", grant_of_builds()).await.problem(403, "self-approval");
    app.client("tess").post("/grants", grant_of_builds()).await.expect(201);
    for path in ["/grants", "/grants/6a0c4c53-9a52-4c53-9a52-93c1de3f6d0e"] {
        app.client("deploy-bot").get(path).await.problem(403, "not-permitted");
    }
    app.client("tess").get("/grants/none").await.problem(404, "grant-not-found");
}

#[tokio::test]
async fn concurrent_uses_of_a_grant_respect_its_count_and_cost() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    for (bound, value) in [("uses", json!(10)), ("cost", json!(1_010))] {
        let grant = alice.grant(with(grant_of_builds(), bound, value)).await;
        let answers = join_all((0..64).map(|_| bot.submit(medium()))).await;
        let passed = answers.iter().filter(|answer| answer["status"] == "executing").count();
        let parked = answers.iter().filter(|answer| answer["status"] == "pending_approval").count();
        assert_eq!((passed, parked), (10, 54), "{bound}");
        let stands = alice.granted(&grant).await;
        assert_eq!((&stands["used"], &stands["spent"], &stands["status"]), (&json!(10), &json!(1_010.0), &json!("used_up")), "{bound}");
        app.database.execute("update grant_count set used = 100").await;
    }
    assert_eq!(app.database.count("select count(*) from workflow_event where kind = 'granted'").await, 20);
}

#[tokio::test]
async fn requests_outside_the_grant_park() {
    let ledger = Ledger::new();
    let app = app(&ledger).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let grant = alice.grant(grant_of_deployments()).await;
    let mut costs_nothing_known = high();
    costs_nothing_known["action"] = json!({"type": "runbook", "name": "once"});
    for other in [
        with(deployment(), "environment", json!("staging")),
        with(deployment(), "resource", json!("api")),
        with(deployment(), "action", json!({"type": "runbook", "name": "again"})),
        with(deployment(), "security_findings", json!([{"severity": "low"}])),
        with(deployment(), "estimated_cost", json!(1_000_000)),
        costs_nothing_known,
        json!({"description": "x", "steps": [deployment()]}),
    ] {
        assert_eq!(bot.submit(other.clone()).await["status"], "pending_approval", "{other}");
    }
    assert_eq!(app.client("other-bot").submit(deployment()).await["status"], "pending_approval");
    assert_eq!(alice.granted(&grant).await["used"], 0);
    let superseding = bot.submit_id(with(deployment(), "resource", json!("db"))).await;
    let superseded = bot.submit(with(deployment(), "supersedes", json!(superseding))).await;
    assert_eq!(superseded["status"], "pending_approval", "people had begun to look at it");

    // The program of the runbook has changed.
    let script = ledger.folder().join("run.sh");
    bot.wait_for(&bot.submit_id(deployment()).await, "completed").await;
    let config = Config::new().with_runbooks(&format!(
        "runbooks:\n  once: {{ operation: deploy, environment: development, command: ['{}'], working_dir: '{}', timeout: 1m }}\n",
        script.display(),
        ledger.folder().display()
    ));
    let mut permissions = std::fs::metadata(&script).unwrap().permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o755);
    std::fs::set_permissions(&script, permissions).unwrap();
    let app = TestApp::with(config).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let grant = alice.grant(grant_of_deployments()).await;
    bot.wait_for(&bot.submit_id(deployment()).await, "completed").await;
    let (text, swapped) = (std::fs::read_to_string(&script).unwrap(), ledger.folder().join("swapped.sh"));
    std::fs::write(&swapped, format!("{text}# swapped\n")).unwrap();
    std::fs::set_permissions(&swapped, std::fs::metadata(&script).unwrap().permissions()).unwrap();
    // A rename, because a file that is being executed cannot be written.
    std::fs::rename(&swapped, &script).unwrap();
    assert_eq!(bot.submit(deployment()).await["status"], "pending_approval", "the script was swapped after the grant");
    assert_eq!(alice.granted(&grant).await["used"], 1);
}

#[tokio::test]
async fn a_grant_like_a_request_is_of_the_same_kind_to_the_letter() {
    let ledger = Ledger::new();
    let app = app(&ledger).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let first = bot.submit_id(with(deployment(), "resource", json!("api-1"))).await;
    let grant = json!({"like": first, "expires_in": "1h", "justification": "x"});
    let given = alice.post("/grants", grant.clone()).await.expect(201)["grant"].clone();
    assert_eq!(given["headline"], "deploy-bot: deploy api-1 in development by runbook once");
    assert_eq!((&given["level"], &given["status"], &given["uses"]), (&json!("medium"), &json!("live"), &json!(100)));
    assert_eq!(bot.submit(with(deployment(), "resource", json!("api-2"))).await["status"], "pending_approval");
    bot.wait_for(&bot.submit_id(with(deployment(), "resource", json!("api-1"))).await, "completed").await;
    alice.post("/grants", with(grant, "resource", json!("api-*"))).await.expect(201);
    bot.wait_for(&bot.submit_id(with(deployment(), "resource", json!("api-2"))).await, "completed").await;
    assert_eq!(bot.workflow(&first).await["status"], "pending_approval", "what people were asked about, people decide");

    // The same id is the same grant, and no other.
    let id = json!("4b0e3a52-6a0c-4c53-9a52-93c1de3f6d0e");
    let named = with(grant_of_deployments(), "grant_id", id.clone());
    let once = alice.post("/grants", named.clone()).await.expect(201);
    assert_eq!(alice.post("/grants", named.clone()).await.expect(201)["grant"]["given_at"], once["grant"]["given_at"]);
    alice.post("/grants", with(named, "uses", json!(5))).await.problem(422, "invalid-task");
    let differs = bot.submit_id(with(deployment(), "environment", json!("staging"))).await;
    alice.post("/grants", json!({"like": differs, "expires_in": "1h", "justification": "x"})).await.problem(422, "invalid-task");
}

#[tokio::test]
async fn revoking_a_grant_stops_its_unstarted_work_and_asks_people() {
    let ledger = Ledger::new();
    let app = app(&ledger).await;
    let (bot, alice, cora) = (app.client("deploy-bot"), app.client("alice"), app.client("cora"));
    let grant = alice.grant(grant_of_deployments()).await;
    cora.post("/halt", json!({"reason": "a moment"})).await.expect(200);
    let id = bot.submit_id(deployment()).await;
    assert_eq!(bot.workflow(&id).await["status"], "queued");
    app.client("nora").post(&format!("/grants/{grant}/revoke"), json!({})).await.problem(403, "not-permitted");
    let revoked = cora.post(&format!("/grants/{grant}/revoke"), json!({"reason": "The release is over"})).await.expect(200);
    assert_eq!((&revoked["grant"]["status"], &revoked["grant"]["revoked"]["by"]), (&json!("revoked"), &json!("cora")));
    let again = alice.post(&format!("/grants/{grant}/revoke"), json!({"reason": "mine"})).await.expect(200);
    assert_eq!(again["grant"]["revoked"], revoked["grant"]["revoked"], "it was revoked once");
    cora.post("/resume", json!({})).await.expect(200);
    let workflow = bot.wait_for(&id, "pending_approval").await;
    let asked = workflow["history"].as_array().unwrap().last().unwrap();
    assert_eq!(asked["event"], "approval_requested");
    assert!(asked["detail"]["reason"].as_str().unwrap().contains("cora revoked grant"), "{asked}");
    assert_eq!((ledger.starts(&id), bot.submit(deployment()).await["status"].clone()), (0, json!("pending_approval")));
    alice.approve(&id).await.expect(200);
    let workflow = bot.wait_for(&id, "completed").await;
    assert_eq!((ledger.starts(&id), &workflow["decisions"][1]["by_grant"]), (1, &json!(null)));
    assert!(app.database.execute_refused("update standing_grant set revoked_at = null").await, "what was revoked stays revoked");
    assert!(app.database.execute_refused("delete from standing_grant").await);
}

/// The start is decided before the grant is revoked, and reaches the database after it.
#[tokio::test]
async fn a_start_that_was_on_its_way_when_its_grant_was_revoked_on_another_server_is_not_recorded() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let settings = settings(&config);
    let app = TestApp::launch(config, &settings, proxy.database()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let grant = alice.grant(grant_of_deployments()).await;
    proxy.next("advance_workflows", Fault::HoldRequest, 1);
    let id = bot.submit_id(deployment()).await;
    eventually("the start on its way", || async { (proxy.applied() == 1).then_some(()) }).await;
    // As another server would do it, not through this one.
    database.execute(&format!("select revoke_grant('{grant}', 'cora', 'rest', 'over')")).await;
    proxy.thaw();
    bot.wait_for(&id, "pending_approval").await;
    assert_eq!(ledger.starts(&id), 0);
}

#[tokio::test]
async fn a_use_whose_answer_was_lost_is_counted_once_and_one_before_a_kill_too() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let proxy = Proxy::before(&database).await;
    let settings = settings(&config);
    let app = TestApp::launch(config, &settings, proxy.database()).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let grant = alice.grant(grant_of_deployments()).await;
    for (fault, used) in [(Fault::LoseAnswer, 1), (Fault::CutBefore, 2)] {
        proxy.next("open_workflows", fault, 1);
        let keyed = bot.request(reqwest::Method::POST, "/orchestrate").header("idempotency-key", format!("key-{used}")).json(&deployment());
        let id = bot.send(keyed.try_clone().unwrap()).await.expect(202)["workflow_id"].as_str().unwrap().to_owned();
        bot.wait_for(&id, "completed").await;
        assert_eq!(bot.send(keyed).await.expect(202)["workflow_id"], json!(id));
        assert_eq!((alice.granted(&grant).await["used"].clone(), ledger.starts(&id)), (json!(used), 1));
    }
    assert_eq!(database.count("select count(*) from workflow_event where kind = 'granted'").await, 2);
}

#[tokio::test]
async fn kill_9_neither_loses_nor_repeats_grant_uses() {
    let ledger = Ledger::new();
    let config = ledger.runbooks(Config::new());
    let database = Database::migrated().await;
    let server = Process::serve(&config, &database).await;
    let grant = server.client("alice").grant(with(grant_of_builds(), "uses", json!(40))).await;
    let bot = server.client("deploy-bot");
    let submits = join_all((0..32).map(|_| {
        let bot = bot.clone();
        async move { bot.try_send(bot.request(reqwest::Method::POST, "/orchestrate").json(&medium())).await.is_ok() }
    }));
    let killing = async {
        eventually("a first use", || async {
            (database.count("select coalesce(sum(used), 0)::bigint from grant_count").await > 0).then_some(())
        })
        .await;
        server.kill().await;
    };
    let (_, ()) = futures_util::future::join(submits, killing).await;
    let server = Process::serve(&config, &database).await;
    let used = server.client("alice").granted(&grant).await["used"].as_i64().unwrap();
    assert_eq!(used, database.count("select count(*) from workflow_event where kind = 'granted'").await);
    let rest = join_all((0..48).map(|_| {
        let bot = server.client("deploy-bot");
        async move { bot.submit(medium()).await["status"] == "executing" }
    }));
    let passed = i64::try_from(rest.await.into_iter().filter(|passed| *passed).count()).unwrap();
    assert_eq!(used + passed, 40);
    server.kill().await;
}

#[tokio::test]
async fn a_grant_is_worth_nothing_without_its_giver() {
    let ledger = Ledger::new();
    let app = app(&ledger).await;
    let (bot, alice, cora) = (app.client("deploy-bot"), app.client("alice"), app.client("cora"));
    alice.grant(grant_of_deployments()).await;
    cora.post("/halt", json!({"reason": "a moment"})).await.expect(200);
    let id = bot.submit_id(deployment()).await;
    assert_eq!(bot.workflow(&id).await["status"], "queued");
    app.database.execute("insert into suspension (name) values ('alice')").await;
    cora.post("/resume", json!({})).await.expect(200);
    let workflow = bot.wait_for(&id, "pending_approval").await;
    let reason = workflow["history"].as_array().unwrap().last().unwrap()["detail"]["reason"].clone();
    assert!(reason.as_str().unwrap().contains("alice is suspended"), "{reason}");
    assert_eq!((ledger.starts(&id), bot.submit(deployment()).await["status"].clone()), (0, json!("pending_approval")));
}

#[tokio::test]
async fn a_grant_widened_or_made_in_the_database_releases_nothing() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let grant = alice.grant(with(grant_of_builds(), "uses", json!(1))).await;
    assert_eq!(bot.submit(medium()).await["status"], "executing");
    app.database.execute("alter table standing_grant disable trigger user; update standing_grant set uses = 100").await;
    alice.get(&format!("/grants/{grant}")).await.problem(404, "grant-not-found");
    let parks = || async { (bot.submit(medium()).await["status"] == "pending_approval").then_some(()) };
    eventually("the server to look again", parks).await;
    app.database
        .execute("insert into standing_grant select gen_random_uuid(), requester, terms, given_by, roles, via, justification, given_at, expires_at, 1, cost, seal from standing_grant; insert into grant_count select grant_id from standing_grant on conflict do nothing")
        .await;
    assert_eq!(bot.submit(medium()).await["status"], "pending_approval");
    assert_eq!(alice.get("/grants").await.expect(200)["grants"], json!([]));
}

#[tokio::test]
async fn people_give_and_revoke_grants_in_the_inbox() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let like = bot.submit_id(medium()).await;
    let browser = Browser::of(app.addr, "alice").await;
    let page = browser.get("/inbox/grants").await.expect(200);
    let hidden = page.hidden("/inbox/grants");
    let value = |name: &str| hidden.iter().find(|(field, _)| field == name).unwrap().1.clone();
    let (form_token, grant_id) = (value("form_token"), value("grant_id"));
    let fields = |expires_in| {
        [
            ("form_token", form_token.as_str()),
            ("grant_id", grant_id.as_str()),
            ("like", like.as_str()),
            ("uses", "1"),
            ("expires_in", expires_in),
            ("justification", "OPS-12"),
        ]
    };
    assert!(browser.post("/inbox/grants", &fields("for ever")).await.html.contains("Nothing was done"));
    for _ in 0..2 {
        let given = browser.post("/inbox/grants", &fields("1h")).await;
        assert!(given.headers["location"].to_str().unwrap().contains("done=given"), "{}", given.html);
    }
    let grants = alice.get("/grants").await.expect(200)["grants"].clone();
    assert_eq!((grants.as_array().unwrap().len(), &grants[0]["via"]), (1, &json!("inbox")), "a form that is sent twice gives one grant");
    assert_eq!(bot.submit(medium()).await["status"], "executing");
    assert!(browser.get("/inbox/grants").await.expect(200).html.contains("1 of 1"));
    let revoked = browser.post(&format!("/inbox/grants/{grant_id}/revoke"), &[("form_token", &form_token), ("reason", "over")]).await;
    assert!(revoked.headers["location"].to_str().unwrap().contains("done=revoked"), "{}", revoked.html);
    assert_eq!(alice.granted(&grant_id).await["revoked"]["reason"], "over");
    let forged = browser.post(&format!("/inbox/grants/{grant_id}/revoke"), &[("form_token", "x")]).await;
    assert_eq!(forged.status, 403);
}
