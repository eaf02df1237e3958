//! Who somebody is: names, kinds of tokens, suspension, and rows that somebody else wrote.

use crate::support::client::{critical, events, high, medium, token};
use crate::support::server::{SECRET_KEY, keys};
use crate::support::{Browser, Client, Config, Database, TestApp, eventually};
use parkbrake::domain::policy::PrincipalKind;
use parkbrake::secret_key::{SecretKeys, generate};
use parkbrake::storage::{NewToken, Presented, Proof, SignIn, Storage};
use serde_json::json;
use std::process::Output;
use std::time::Duration;
use tokio::process::Command;
use uuid::Uuid;

/// Runs the program to its end, as an operator beside the server.
pub async fn parkbrake(app: &TestApp, arguments: &[&str]) -> Output {
    run(&app.database, &app.config, arguments).await
}

async fn run(database: &Database, config: &Config, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
    command.args(arguments).env("PARKBRAKE_CONFIG", config.path()).env("DATABASE_URL", &database.url);
    command.env("PARKBRAKE_SECRET_KEY", SECRET_KEY).env_remove("PARKBRAKE_SECRET_KEY_FILE").output().await.expect("the program")
}

#[track_caller]
fn done(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text").trim_end().to_owned()
}

#[track_caller]
fn refused(output: &Output) -> String {
    assert!(!output.status.success() && output.stdout.is_empty(), "{}", String::from_utf8_lossy(&output.stdout));
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Other people and agents, as after an edit and a restart.
async fn restart_with(app: &mut TestApp, people: &str) {
    std::fs::write(app.config.path().join("hitl/approval-policies.yaml"), people).unwrap();
    app.restart().await;
}

#[track_caller]
fn unauthenticated(answer: crate::support::Answer, why: &str) {
    let problem = answer.problem(401, "unauthenticated");
    assert!(problem["detail"].as_str().unwrap().contains(why), "{problem}");
}

const PEOPLE: &str = "
people:
  alice: { roles: [team_lead] }
  tom:   { roles: [tech_lead] }
  cora:  { roles: [cto, admin] }
";

#[tokio::test]
async fn a_token_is_void_once_its_name_stands_for_another_kind() {
    let mut app = TestApp::start().await;
    restart_with(&mut app, &format!("{PEOPLE}agents: {{ zoe: {{}}, deploy-bot: {{}}, max: {{}} }}")).await;
    let made = done(parkbrake(&app, &["token", "create", "zoe"]).await);
    let agent = Client::with_token(app.addr, &made);
    agent.get("/workflows").await.expect(200);
    let id = app.client("deploy-bot").submit_id(medium()).await;

    restart_with(&mut app, &format!("{PEOPLE}  zoe: {{ roles: [team_lead] }}\nagents: {{ deploy-bot: {{}}, alex: {{}} }}")).await;
    let old = Client::with_token(app.addr, &made);
    unauthenticated(old.get("/workflows").await, "made when zoe was an agent, and zoe is a person now");
    unauthenticated(old.approve(&id).await, "zoe");
    let new = Client::with_token(app.addr, &done(parkbrake(&app, &["token", "create", "zoe"]).await));
    assert_eq!(new.approve(&id).await.expect(200)["approved_by"], "zoe");

    // And the other way round: a person's token and session are not an agent's.
    let browser = Browser::of(app.addr, "alice").await;
    browser.get("/").await.expect(200);
    restart_with(&mut app, "people: { tom: { roles: [tech_lead, team_lead] }, cora: { roles: [cto] } }\nagents: { alice: {} }").await;
    unauthenticated(app.client("alice").get("/workflows").await, "made when alice was a person");
    let again = Browser::with_cookie(app.addr, browser.cookie.as_deref());
    assert!(again.get("/").await.location().starts_with("/sign-in"));
}

#[tokio::test]
async fn a_name_that_is_no_longer_listed_has_no_rights() {
    let mut app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    app.client("alice").get("/workflows").await.expect(200);
    restart_with(&mut app, "people: { tom: { roles: [tech_lead, team_lead] }, cora: { roles: [cto] } }\nagents: { other-bot: {} }").await;
    for gone in ["alice", "deploy-bot"] {
        unauthenticated(app.client(gone).get("/workflows").await, &format!("{gone} is neither a person nor an agent"));
        unauthenticated(app.client(gone).approve(&id).await, gone);
    }
    app.client("tom").get("/workflows").await.expect(200);
}

#[tokio::test]
async fn tokens_are_made_for_listed_names_in_exactly_their_spelling() {
    let (config, database) = (Config::new(), Database::migrated().await);
    for name in ["Alice", "ALICE", "alicE", "new-bot", "Deploy-Bot", "tom-laptop", "team_lead"] {
        let said = refused(&run(&database, &config, &["token", "create", name]).await);
        assert!(said.contains(&format!("{name} is neither a person nor an agent")), "{said}");
        assert!(said.contains("alice, cora, nora, tess, tom") && said.contains("deploy-bot, lone-bot, other-bot"), "{said}");
    }
    for name in ["Parkbrake", "PARKBRAKE", "parkbrake"] {
        assert!(refused(&run(&database, &config, &["token", "create", name]).await).contains("`parkbrake` itself is taken"));
    }
    assert_eq!(database.count("select count(*) from token").await, 0);
    let broken = Config::new().write("hitl/approval-policies.yaml", "people: 5");
    assert!(refused(&run(&database, &broken, &["token", "create", "alice"]).await).contains("is not sound"));
    for (name, kind) in [("alice", "person"), ("lone-bot", "agent")] {
        done(run(&database, &config, &["token", "create", name]).await);
        let list = done(run(&database, &config, &["token", "list"]).await);
        assert!(list.lines().any(|line| line.contains(&format!(" {name} ")) && line.contains(&format!(" {kind} "))), "{list}");
    }
}

#[tokio::test]
async fn a_token_needs_the_secret_key_to_be_made() {
    let (config, database) = (Config::new(), Database::migrated().await);
    let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
    command.args(["token", "create", "alice"]).env("PARKBRAKE_CONFIG", config.path()).env("DATABASE_URL", &database.url);
    let output = command.env_remove("PARKBRAKE_SECRET_KEY").env_remove("PARKBRAKE_SECRET_KEY_FILE").output().await.unwrap();
    let said = refused(&output);
    assert!(said.contains("parkbrake key generate") && said.contains("--secret-key-file"), "{said}");
    let mut serve = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
    serve.args(["serve", "--listen", "127.0.0.1:0", "--config"]).arg(config.path()).env("DATABASE_URL", &database.url);
    let output = serve.env_remove("PARKBRAKE_SECRET_KEY").env_remove("PARKBRAKE_SECRET_KEY_FILE").output().await.unwrap();
    assert!(refused(&output).contains("parkbrake key generate"));
}

#[tokio::test]
async fn suspension_takes_every_right_away_within_a_second_and_restoring_gives_them_back() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let id = bot.submit_id(high()).await;
    let (alice, browser) = (app.client("alice"), Browser::of(app.addr, "alice").await);
    alice.get("/workflows").await.expect(200);
    browser.get("/").await.expect(200);

    let said = done(parkbrake(&app, &["person", "suspend", "alice", "--reason", "laptop stolen"]).await);
    assert!(said.contains("alice is suspended"), "{said}");
    tokio::time::sleep(Duration::from_secs(1)).await;
    unauthenticated(alice.approve(&id).await, "alice is suspended");
    unauthenticated(alice.reject(&id).await, "alice is suspended");
    assert!(browser.get("/").await.location().starts_with("/sign-in"));
    let list = done(parkbrake(&app, &["person", "list"]).await);
    assert!(list.lines().any(|line| line.starts_with("alice ") && line.ends_with(": laptop stolen")), "{list}");
    assert!(list.lines().any(|line| line.starts_with("tom ") && line.ends_with("good")), "{list}");
    assert!(done(parkbrake(&app, &["person", "suspend", "alice"]).await).contains("before"));

    done(parkbrake(&app, &["person", "suspend", "deploy-bot"]).await);
    tokio::time::sleep(Duration::from_secs(1)).await;
    unauthenticated(bot.post("/orchestrate", high()).await, "deploy-bot is suspended");
    app.client("other-bot").submit_id(high()).await;

    for name in ["alice", "deploy-bot"] {
        done(parkbrake(&app, &["person", "restore", name]).await);
    }
    tokio::time::sleep(Duration::from_secs(1)).await;
    bot.get("/workflows").await.expect(200);
    assert_eq!(alice.approve(&id).await.expect(200)["approved_by"], "alice");
    assert!(refused(&parkbrake(&app, &["person", "restore", "alice"]).await).contains("alice is not suspended"));
    assert!(refused(&parkbrake(&app, &["person", "suspend", "Alice"]).await).contains("people are: alice"));
}

/// What whoever can write to the database may try, without the secret key.
#[tokio::test]
async fn rows_that_somebody_else_wrote_are_no_tokens_and_no_sessions() {
    let app = TestApp::start().await;
    let (alice, cora) = (app.client("alice"), app.client("cora"));
    cora.get("/workflows").await.expect(200);
    let new = |hash: &str, seal: &str| {
        format!(
            "insert into token (token_id, token_hash, principal, kind, seal) values (gen_random_uuid(), {hash}, 'cora', 'person', {seal})"
        )
    };
    app.database.execute(&new("sha256('pbk_forged')", "null")).await;
    app.database.execute(&new("sha256('pbk_sealed')", "sha256('pbk_sealed')")).await;
    for forged in ["pbk_forged", "pbk_sealed"] {
        unauthenticated(Client::with_token(app.addr, forged).get("/workflows").await, "ask for a new one");
    }
    // A token of one's own, with another's name, kind, or seal.
    app.database.execute("update token set principal = 'cora' where principal = 'alice'").await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    unauthenticated(alice.get("/workflows").await, "ask for a new one");
    app.database.execute("update token set seal = (select seal from token where principal = 'tom') where principal = 'cora'").await;
    unauthenticated(alice.get("/workflows").await, "ask for a new one");
    app.database.execute("update token set kind = 'person', principal = 'cora' where principal = 'lone-bot'").await;
    unauthenticated(app.client("lone-bot").get("/workflows").await, "ask for a new one");

    // A session of one's own, moved to another's token, and one that was made up.
    let tess = Browser::of(app.addr, "tess").await;
    tess.get("/").await.expect(200);
    app.database.execute("update session set token_id = (select token_id from token where principal = 'tom'), principal = 'tom'").await;
    assert!(tess.get("/").await.location().starts_with("/sign-in"));
    let made = "insert into session (session_hash, token_id, principal, seal, expires_at)
                select sha256('made-up'), token_id, principal, sha256('x'), clock_timestamp() + interval '1 day' from token where principal = 'tom'";
    app.database.execute(made).await;
    let forged = Browser::with_cookie(app.addr, Some("__Host-parkbrake=made-up"));
    assert!(forged.get("/").await.location().starts_with("/sign-in"));
}

#[tokio::test]
async fn a_token_from_before_there_was_a_key_is_refused_with_words() {
    let app = TestApp::start().await;
    let old = "insert into token (token_id, token_hash, principal) values (gen_random_uuid(), sha256('pbk_old'), 'alice')";
    app.database.execute(old).await;
    let client = Client::with_token(app.addr, "pbk_old");
    unauthenticated(client.get("/workflows").await, "made before tokens were sealed with the secret key");
    let list = done(parkbrake(&app, &["token", "list"]).await);
    assert!(list.lines().any(|line| line.contains(" alice ") && line.ends_with("void")), "{list}");
}

#[tokio::test]
async fn replacing_the_key_leaves_no_gap_for_who_is_seen_in_between() {
    let database = Database::migrated().await;
    let with = |keys: SecretKeys| Storage::connect(&database.url, 1).unwrap().with_keys(keys);
    let new = generate().unwrap();
    let (before, both) = (with(keys()), with(SecretKeys::parse(&format!("{new} {SECRET_KEY}"), "a test").unwrap()));
    let after = with(SecretKeys::parse(&new, "a test").unwrap());
    for (name, kind) in [("alice", PrincipalKind::Person), ("deploy-bot", PrincipalKind::Agent)] {
        let token = token(name);
        before.store_token(&NewToken { token_id: Uuid::new_v4(), token: &token, principal: name, kind, expires_in: None }).await.unwrap();
    }
    let Presented::Good(alice) = both.token_holder(&token("alice")).await.unwrap() else { panic!("she is known") };
    assert_eq!((alice.name.as_str(), alice.kind), ("alice", PrincipalKind::Person));
    let sign_in = SignIn { name: "alice".to_owned(), proof: Proof::Token(alice.token_id) };
    both.begin_session("an id", &sign_in).await.unwrap();
    assert_eq!(after.token_holder(&token("alice")).await.unwrap(), Presented::Good(alice.clone()));
    assert_eq!(after.session("an id", true).await.unwrap().map(|good| good.sign_in), Some(sign_in));
    // Who was not seen while both were there needs a new token.
    assert_eq!(after.token_holder(&token("deploy-bot")).await.unwrap(), Presented::Unknown);
}

#[tokio::test]
async fn people_and_agents_have_a_name_of_their_own() {
    let (config, database) = (Config::new(), Database::create().await);
    for (people, why) in [
        ("people: { alice: { roles: [team_lead] }, Alice: { roles: [team_lead] } }", "`alice` stands for somebody else"),
        ("people: { alice: { roles: [team_lead] } }\nagents: { ALICE: {} }", "`alice` stands for somebody else"),
        ("people: { alice: { roles: [team_lead] } }\nagents: { bot: {}, Bot: {} }", "`bot` stands for somebody else"),
        ("people: { Parkbrake: { roles: [team_lead] } }", "parkbrake itself acts"),
        ("people: { alice: { roles: [team_lead] } }\nagents: { Team_Lead: {} }", "is the name of a role"),
        ("people: { alice: { roles: [team_lead] }, Admin: { roles: [team_lead] } }", "is the name of a role"),
        ("people: { аlice: { roles: [team_lead] } }", "cannot be used"),
    ] {
        std::fs::write(config.path().join("hitl/approval-policies.yaml"), people).unwrap();
        let said = refused(&run(&database, &config, &["check", "--config", &config.path().display().to_string()]).await);
        assert!(said.contains(why), "{people}: {said}");
    }
}

/// Today's rules, where a server was restarted with others while something was parked.
#[tokio::test]
async fn who_was_dismissed_no_longer_counts_and_stricter_terms_hold_for_what_is_parked() {
    let policies = "agents: { deploy-bot: {} }\npolicies: { critical: { required: 2 }, high: { required: 1 } }";
    let everybody = "people:\n  tess: { roles: [tech_lead] }\n  tom: { roles: [tech_lead] }\n  cora: { roles: [cto, admin] }\n  alice: { roles: [team_lead] }\n";
    let mut app = TestApp::with(Config::new().write("hitl/approval-policies.yaml", &format!("{everybody}{policies}"))).await;
    let bot = app.client("deploy-bot");
    let (dismissed, stricter) = (bot.submit_id(critical()).await, bot.submit_id(high()).await);
    assert_eq!(app.client("tess").approve(&dismissed).await.expect(200)["approvals_remaining"], 1);

    let without = everybody.replace("  tess: { roles: [tech_lead] }\n", "");
    let policies = policies.replace("high: { required: 1 }", "high: { required: 2 }");
    restart_with(&mut app, &format!("{without}{policies}")).await;
    let (alice, tom, cora) = (app.client("alice"), app.client("tom"), app.client("cora"));
    let answer = cora.approve(&dismissed).await.expect(200);
    assert_eq!((&answer["status"], &answer["approvals_remaining"]), (&json!("pending"), &json!(1)), "{answer}");
    assert_eq!(tom.approve(&dismissed).await.expect(200)["approvals_remaining"], 0);
    assert_eq!(events(&cora.workflow(&dismissed).await)[1..5], ["approval_requested", "approved", "approval_requested", "approved"]);

    let answer = alice.approve(&stricter).await.expect(200);
    assert_eq!((&answer["status"], &answer["approvals_remaining"]), (&json!("pending"), &json!(1)), "{answer}");
    let again = alice.approve(&stricter).await.expect(200);
    assert_eq!(again["approvals_remaining"], 1, "the same yes again is the same answer");
    let pending = alice.get("/workflows/pending").await.expect(200);
    assert_eq!((&pending["workflows"][0]["required"], &pending["workflows"][0]["approvals"]), (&json!(2), &json!(1)), "{pending}");
    assert_eq!(tom.approve(&stricter).await.expect(200)["approvals_remaining"], 0);
}

#[tokio::test]
async fn an_owner_who_is_declared_later_does_not_approve() {
    let mut app = TestApp::start().await;
    restart_with(&mut app, &format!("{PEOPLE}agents: {{ deploy-bot: {{}} }}")).await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    restart_with(&mut app, &format!("{PEOPLE}agents: {{ deploy-bot: {{ on_behalf_of: tom }} }}")).await;
    app.client("tom").approve(&id).await.problem(403, "self-approval");
    app.client("alice").approve(&id).await.expect(200);
}

/// What a server knows of suspensions may be a moment old; what it commits does not rest on that.
#[tokio::test]
async fn a_decision_that_overtakes_a_suspension_by_a_moment_is_not_written() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    for command in ["approve", "reject"] {
        let id = bot.submit_id(high()).await;
        alice.get("/workflows").await.expect(200);
        app.database.execute("insert into suspension (name) values ('alice')").await;
        let answer = alice.post(&format!("/workflows/{id}/{command}"), json!({})).await;
        assert!([401, 403].contains(&answer.status.as_u16()), "{command}: {answer:?}");
        app.database.execute("update suspension set restored_at = clock_timestamp() where restored_at is null").await;
        tokio::time::sleep(Duration::from_millis(1_100)).await;
        assert_eq!(events(&alice.workflow(&id).await), ["submitted", "approval_requested"], "{command}");
    }
}

#[tokio::test]
async fn what_waits_for_a_turn_is_asked_for_again_once_its_approver_is_suspended() {
    let folder = tempfile::tempdir().unwrap();
    let (go, ran) = (folder.path().join("go"), folder.path().join("ran"));
    let script = format!("echo \"$PARKBRAKE_WORKFLOW_ID\" >> {}; while [ ! -e {} ]; do sleep 0.05; done", ran.display(), go.display());
    let runbook = format!(
        "runbooks:\n  slow: {{ operation: deploy, environment: production, resource_type: code, command: [/bin/sh, -c, '{script}'] }}"
    );
    let config = Config::new().with_runbooks(&runbook);
    let settings = parkbrake::settings::Settings { turns: 1, turns_per_requester: 1, ..crate::support::server::settings(&config) };
    let app = TestApp::launch(config, &settings, Database::migrated().await).await;
    let bot = app.client("deploy-bot");
    let task =
        json!({"description": "deploy", "operation": "deploy", "environment": "production", "action": {"type": "runbook", "name": "slow"}});
    let (first, second) = (bot.submit_id(task.clone()).await, bot.submit_id(task).await);
    app.client("tess").approve(&first).await.expect(200);
    bot.wait_for(&first, "executing").await;
    app.client("alice").approve(&second).await.expect(200);
    assert_eq!(bot.workflow(&second).await["status"], "queued");
    done(parkbrake(&app, &["person", "suspend", "alice"]).await);
    std::fs::write(&go, "").unwrap();
    let asked = bot.wait_for(&second, "pending_approval").await;
    let said = asked["history"].as_array().unwrap().last().unwrap().to_string();
    assert!(said.contains("alice is suspended"), "{said}");
    app.client("tess").approve(&second).await.expect(200);
    bot.wait_for(&second, "completed").await;
    let ran = std::fs::read_to_string(ran).unwrap();
    assert_eq!(ran.lines().collect::<Vec<_>>(), [first.as_str(), second.as_str()]);
}

#[tokio::test]
async fn what_needed_nobody_when_it_was_submitted_is_asked_for_where_its_level_needs_somebody_at_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let (go, ran) = (folder.path().join("go"), folder.path().join("ran"));
    let script = format!("echo \"$PARKBRAKE_WORKFLOW_ID\" >> {}; while [ ! -e {} ]; do sleep 0.05; done", ran.display(), go.display());
    let runbook = format!(
        "runbooks:\n  slow: {{ operation: read, environment: development, resource_type: code, command: [/bin/sh, -c, '{script}'] }}"
    );
    let config = Config::new().with_runbooks(&runbook);
    let settings = parkbrake::settings::Settings {
        turns: 1,
        turns_per_requester: 1,
        drain: Duration::from_millis(1),
        ..crate::support::server::settings(&config)
    };
    let mut app = TestApp::launch(config, &settings, Database::migrated().await).await;
    let bot = app.client("deploy-bot");
    let task =
        json!({"description": "look", "operation": "read", "environment": "development", "action": {"type": "runbook", "name": "slow"}});
    let (first, second) = (bot.submit_id(task.clone()).await, bot.submit_id(task).await);
    eventually("the first start", || async { ran.exists().then_some(()) }).await;
    assert_eq!(bot.workflow(&second).await["status"], "queued");
    // From now on somebody has to say yes to what is low, too.
    let rules = app.config.path().join("hitl/risk-assessment-rules.yaml");
    let stricter = std::fs::read_to_string(&rules).unwrap();
    let stricter =
        stricter.replace("{ auto_approve: true,  notify: false }", "{ auto_approve: false, notify: true, approvers: [team_lead] }");
    std::fs::write(&rules, stricter).unwrap();
    app.restart().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let asked = bot.wait_for(&second, "pending_approval").await;
    assert_eq!((&asked["risk_level"], &asked["approval"]["approvers"]), (&json!("low"), &json!(["team_lead"])), "{asked:#}");
    std::fs::write(&go, "").unwrap();
    alice.approve(&second).await.expect(200);
    bot.wait_for(&second, "completed").await;
    let ran = std::fs::read_to_string(ran).unwrap();
    assert_eq!(ran.lines().collect::<Vec<_>>(), [first.as_str(), second.as_str()]);
}

#[tokio::test]
async fn what_nobody_can_decide_any_more_is_counted() {
    let mut app = TestApp::start().await;
    let undecidable = async |app: &TestApp, count: u32| {
        let line = format!("parkbrake_requests_undecidable {count}");
        let alice = app.client("alice");
        eventually("the count", || async { alice.get("/metrics").await.text.contains(&line).then_some(()) }).await;
    };
    app.client("deploy-bot").submit_id(high()).await;
    app.client("deploy-bot").submit_id(critical()).await;
    app.restart().await;
    undecidable(&app, 0).await;
    // Both roles of high are called otherwise now; those of critical are still there.
    let rules = std::fs::read_to_string(app.config.path().join("hitl/risk-assessment-rules.yaml")).unwrap();
    let rules = rules
        .replace("approvers: [team_lead, tech_lead]", "approvers: [lead]")
        .replace("[team_lead]", "[lead]")
        .replace("[tech_lead, cto]", "[cto]");
    std::fs::write(app.config.path().join("hitl/risk-assessment-rules.yaml"), rules).unwrap();
    let people = "people: { alice: { roles: [lead] }, tom: { roles: [lead] }, cora: { roles: [cto] } }\nagents: { deploy-bot: {} }";
    restart_with(&mut app, people).await;
    undecidable(&app, 1).await;

    // Each request says it of itself, wherever it is listed.
    let url = format!("http://{}", app.addr);
    let pending = app.client("alice").get("/workflows/pending").await.expect(200);
    let said = pending["workflows"].as_array().unwrap().iter().map(|one| (one["risk_level"].as_str().unwrap(), one["undecidable"] == true));
    assert_eq!(said.collect::<Vec<_>>(), [("critical", false), ("high", true)]);
    let page = Browser::of(app.addr, "alice").await.get("/?of=all").await.expect(200);
    assert_eq!(page.html.matches("nobody can decide").count(), 1, "{}", page.html);
    let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
    command.arg("pending").env("PARKBRAKE_URL", url).env("PARKBRAKE_TOKEN", token("alice"));
    let printed = done(command.output().await.unwrap());
    assert_eq!(printed.matches("nobody can decide").count(), 1, "{printed}");
    // Who is suspended does not count.
    done(parkbrake(&app, &["person", "suspend", "cora"]).await);
    eventually("no chief any more", || async {
        let pending = app.client("alice").get("/workflows/pending").await.expect(200);
        pending["workflows"].as_array().unwrap().iter().all(|one| one["undecidable"] == true).then_some(())
    })
    .await;
}
