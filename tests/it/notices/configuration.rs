//! Channels whose configuration cannot work, or no longer works.

use super::{becomes, notices, told_to};
use crate::support::client::high;
use crate::support::hook::Hook;
use crate::support::server::{keys, launcher, settings};
use crate::support::{Database, TestApp, eventually};
use parkbrake::app::{App, Pace, Resources};

#[tokio::test]
async fn a_private_address_is_not_connected_to_without_allow_private() {
    let hook = Hook::start().await;
    let channel = hook.channel("audit").replace(", allow_private: true", "").replace("127.0.0.1", "localhost");
    let app = TestApp::with(told_to(&[channel])).await;
    app.client("deploy-bot").submit_id(high()).await;
    let failing = eventually("a failure", || async {
        notices(&app, "?status=pending").await.into_iter().find(|notice| notice["attempts"].as_u64() > Some(0))
    })
    .await;
    assert!(failing["error"].as_str().unwrap().contains("allow_private"), "{failing}");
    assert_eq!(hook.attempts().len(), 0);
}

#[tokio::test]
async fn a_channel_that_is_no_longer_configured_is_given_up() {
    let hook = Hook::down().await;
    let mut app = TestApp::with(told_to(&[hook.channel("audit")])).await;
    app.client("deploy-bot").submit_id(high()).await;
    app.config = told_to(&[hook.channel("other")]);
    app.restart().await;
    let dead = becomes(&app, "approval.requested", "dead").await;
    assert_eq!(dead["error"], "no channel of this name is configured any more");
}

#[tokio::test]
async fn a_server_does_not_start_without_a_secret_and_names_it() {
    let hook = Hook::start().await;
    let config =
        told_to(&[hook.channel("audit").replace("HOOK_SECRET", "MISSING"), hook.channel("other").replace("HOOK_SECRET", "UNSOUND")]);
    let resources = Resources {
        keys: keys(),
        database_url: Database::migrated().await.url,
        migrate: true,
        base: Some("/".into()),
        environment: Box::new(|name| (name == "UNSOUND").then(|| "secret-that-is-none".to_owned())),
        launcher: launcher(),
        pace: Pace::default(),
        slack: None,
    };
    let Err(error) = App::start(&settings(&config), resources).await else { panic!("it started") };
    let told = error.to_string();
    for expected in ["the channel audit cannot be used: MISSING is not set", "the channel other cannot be used: UNSOUND has to be whsec_"] {
        assert!(told.contains(expected), "{told}");
    }
    assert!(!told.contains("secret-that-is-none"), "{told}");
}

#[test]
fn a_check_only_notes_what_is_not_set_here() {
    let config = told_to(&["  audit: { type: webhook, url: 'https://example.com/hook', secret: { from_env: HOOK_SECRET } }\n".to_owned()]);
    let check = |set: bool| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        command.args(["check", "--config"]).arg(config.path()).env_remove("HOOK_SECRET");
        let output = if set { command.env("HOOK_SECRET", "x").output() } else { command.output() }.expect("the program");
        assert!(output.status.success());
        String::from_utf8(output.stdout).expect("text")
    };
    assert!(
        check(false).contains("note: HOOK_SECRET is not set here; a server does not start without it, because the channel audit needs it")
    );
    assert!(!check(true).contains("HOOK_SECRET"));
}
