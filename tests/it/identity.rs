//! Identity: names, kinds of tokens, suspension, and rows that somebody else wrote.

mod seals;
mod suspension;
mod today;

use crate::support::called;
use crate::support::client::{high, medium};
use crate::support::server::SECRET_KEY;
use crate::support::{Browser, Client, Config, Database, TestApp};
use std::process::Output;
use tokio::process::Command;

/// Runs the program to its end, like an operator on the server's machine.
pub async fn parkbrake(app: &TestApp, arguments: &[&str]) -> Output {
    run(&app.database, &app.config, arguments).await
}

#[track_caller]
fn run(database: &Database, config: &Config, arguments: &[&str]) -> impl Future<Output = Output> {
    called(async move {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        command.args(arguments).env("PARKBRAKE_CONFIG", config.path()).env("DATABASE_URL", &database.url);
        command.env("PARKBRAKE_SECRET_KEY", SECRET_KEY).env_remove("PARKBRAKE_SECRET_KEY_FILE").output().await.expect("the program")
    })
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

/// Different people and agents, as after an edit and a restart.
#[track_caller]
fn restart_with(app: &mut TestApp, people: &str) -> impl Future<Output = ()> {
    called(async move {
        std::fs::write(app.config.path().join("hitl/approval-policies.yaml"), people).unwrap();
        app.restart().await;
    })
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
async fn a_token_is_void_once_its_name_is_of_another_kind() {
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
    let before = database.count("select count(*) from token").await;
    for name in ["Alice", "ALICE", "alicE", "new-bot", "Deploy-Bot", "tom-laptop", "team_lead"] {
        let said = refused(&run(&database, &config, &["token", "create", name]).await);
        assert!(said.contains(&format!("{name} is neither a person nor an agent")), "{said}");
        assert!(said.contains("alice, cora, nora, tess, tom") && said.contains("deploy-bot, lone-bot, other-bot"), "{said}");
    }
    for name in ["Parkbrake", "PARKBRAKE", "parkbrake"] {
        assert!(refused(&run(&database, &config, &["token", "create", name]).await).contains("`parkbrake` itself is taken"));
    }
    assert_eq!(database.count("select count(*) from token").await, before);
    let broken = Config::new().write("hitl/approval-policies.yaml", "people: 5");
    assert!(refused(&run(&database, &broken, &["token", "create", "alice"]).await).contains("is not valid"));
    for (name, kind) in [("alice", "person"), ("lone-bot", "agent")] {
        done(run(&database, &config, &["token", "create", name]).await);
        let list = done(run(&database, &config, &["token", "list"]).await);
        assert!(list.lines().any(|line| line.contains(&format!(" {name} ")) && line.contains(&format!(" {kind} "))), "{list}");
    }
    assert_eq!(database.count("select count(*) from token").await, before + 2);
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

/// Attacks by somebody who can write to the database, without the secret key.

#[tokio::test]
async fn people_and_agents_have_a_name_of_their_own() {
    let (config, database) = (Config::new(), Database::create().await);
    for (people, why) in [
        ("people: { alice: { roles: [team_lead] }, Alice: { roles: [team_lead] } }", "`alice` is already the name of somebody else"),
        ("people: { alice: { roles: [team_lead] } }\nagents: { ALICE: {} }", "`alice` is already the name of somebody else"),
        ("people: { alice: { roles: [team_lead] } }\nagents: { bot: {}, Bot: {} }", "`bot` is already the name of somebody else"),
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
