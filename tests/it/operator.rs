//! What operators do at a terminal, end to end: `resolve` against a server, `rekey` against its
//! database.

use crate::support::called;
use crate::support::client::{events, high, token};
use crate::support::server::settings;
use crate::support::{Config, Database, SECRET_KEY, TestApp};
use parkbrake::secret_key::generate;
use std::process::Output;
use tokio::process::Command;

/// Runs the program with these variables, and returns its exit status, its output and its errors.
#[track_caller]
fn parkbrake(arguments: &[&str], variables: &[(&str, &str)]) -> impl Future<Output = (Option<i32>, String, String)> {
    called(async move {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        for name in ["PARKBRAKE_SECRET_KEY", "PARKBRAKE_SECRET_KEY_FILE", "PARKBRAKE_TOKEN", "PARKBRAKE_AS", "DATABASE_URL"] {
            command.env_remove(name);
        }
        let Output { status, stdout, stderr } =
            command.args(arguments).envs(variables.iter().copied()).output().await.expect("the program");
        (status.code(), String::from_utf8(stdout).expect("text"), String::from_utf8(stderr).expect("text"))
    })
}

/// An external action that nobody reported in time, so that its outcome is unknown.
#[track_caller]
fn unknown(app: &TestApp) -> impl Future<Output = String> {
    called(async move {
        let id = app.client("deploy-bot").submit_id(high()).await;
        app.client("alice").approve(&id).await.expect(200);
        app.client("alice").wait_for(&id, "outcome_unknown").await;
        id
    })
}

#[tokio::test]
async fn resolve_records_the_outcome_of_an_action_and_shows_refusals() {
    let config = Config::new().with_policies("policies: { high: { report_within: 1s } }\n");
    let app = TestApp::with(config).await;
    let (id, other) = (unknown(&app).await, unknown(&app).await);
    let url = format!("http://{}", app.addr);
    let resolve = async |name: &str, arguments: &[&str]| {
        let arguments = [&["resolve"], arguments].concat();
        parkbrake(&arguments, &[("PARKBRAKE_URL", &url), ("PARKBRAKE_TOKEN", &token(name))]).await
    };
    let why = "its pods run the new version";
    let (code, _, said) = resolve("deploy-bot", &[&id, "--outcome", "succeeded", "--justification", why]).await;
    assert!(code == Some(6) && said.contains("Somebody else has to decide this"), "{code:?} {said}");
    let (code, _, said) = resolve("nora", &[&id, "--outcome", "succeeded", "--justification", why]).await;
    assert!(code == Some(6) && said.contains("You may not decide this request"), "{code:?} {said}");
    let (code, _, said) = resolve("alice", &[&id, "--outcome", "succeeded", "--justification", " "]).await;
    assert!(code == Some(1) && said.contains("A justification is needed"), "{code:?} {said}");
    for wrong in [&["--outcome", "perhaps", "--justification", why] as &[&str], &["--outcome", "failed"], &["--justification", why]] {
        let (code, _, said) = resolve("alice", &[&[id.as_str()], wrong].concat()).await;
        assert_eq!(code, Some(2), "{wrong:?}: {said}");
    }
    assert_eq!(app.client("alice").workflow(&id).await["status"], "outcome_unknown", "nothing of that has done anything");

    let (code, said, complained) = resolve("alice", &[&id, "--outcome", "succeeded", "--justification", why]).await;
    assert_eq!((code, said.trim_end(), complained.as_str()), (Some(0), "resolved; it is completed", ""));
    let (code, said, _) = resolve("alice", &[&other, "--outcome", "failed", "--justification", why, "--json"]).await;
    let answer: serde_json::Value = serde_json::from_str(&said).expect("one document");
    assert!(code == Some(0) && answer["status"] == "failed", "{said}");
    let workflow = app.client("alice").workflow(&id).await;
    let last = workflow["history"].as_array().unwrap().last().unwrap();
    assert_eq!((&last["event"], &last["actor"]), (&"resolved".into(), &"alice".into()));
    assert!(last.to_string().contains(why), "{last}");
    let (code, _, said) = resolve("alice", &[&id, "--outcome", "failed", "--justification", why]).await;
    assert!(code == Some(1) && said.contains("completed"), "{code:?} {said}");
    assert_eq!(events(&app.client("alice").workflow(&id).await).iter().filter(|event| **event == "resolved").count(), 1);
}

#[tokio::test]
async fn rekey_previews_then_seals_and_the_old_key_alone_opens_nothing() {
    let database = Database::migrated().await;
    let config = Config::new();
    let mut app = TestApp::launch(Config::new(), &settings(&config), database).await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let touched = app.client("deploy-bot").submit_id(high()).await;
    app.stop().await;
    let url = app.database.url.clone();
    let new = generate().unwrap();
    let rekey = async |key: &str, arguments: &[&str]| {
        let arguments = [&["rekey"], arguments].concat();
        parkbrake(&arguments, &[("DATABASE_URL", &url), ("PARKBRAKE_SECRET_KEY", key)]).await
    };
    let both = format!("{new} {SECRET_KEY}");
    let (code, said, complained) = rekey(&both, &[]).await;
    assert_eq!((code, complained.as_str()), (Some(0), ""), "{said}");
    assert!(
        said.contains("nothing was changed; `parkbrake rekey --yes` seals it") && said.contains("2 workflows had an earlier key's"),
        "{said}"
    );
    let (_, said, _) = rekey(SECRET_KEY, &[]).await;
    assert!(said.contains("2 workflows already had the current key's seal"), "it has changed nothing: {said}");

    let (code, said, _) = rekey(&both, &["--yes"]).await;
    assert!(code == Some(0) && said.contains("sealed with the current key:"), "{code:?} {said}");
    let (code, said, _) = rekey(&new, &["--yes"]).await;
    assert!(code == Some(0) && said.contains("2 workflows already had the current key's seal"), "{code:?} {said}");
    let refused = app.try_restart().await.expect_err("the old key alone opens nothing").to_string();
    assert!(refused.contains("sealed with another secret key"), "{refused}");

    // Workflows that somebody else wrote are listed, and left unchanged.
    let statement = format!(
        "set session_replication_role = replica; update workflow_event set actor = 'tina' where version = 2 and workflow_id = '{touched}'"
    );
    app.database.execute(&statement).await;
    let (code, said, _) = rekey(&format!("{SECRET_KEY} {new}"), &["--yes"]).await;
    assert!(
        code == Some(1) && said.contains("1 workflows were not written by a server with these keys") && said.contains(&touched),
        "{said}"
    );
    let (code, said, complained) = rekey("too short", &[]).await;
    assert!(code != Some(0) && said.is_empty() && !complained.contains("too short"), "{complained}");
    app.restart().await;
    app.client("alice").approve(&id).await.expect(200);
    app.client("alice").approve(&touched).await.problem(503, "unavailable");
}
