//! Tokens and sessions are sealed with the secret key: rows that somebody else wrote are invalid.

use super::{done, parkbrake, unauthenticated};
use crate::support::client::token;
use crate::support::server::{SECRET_KEY, keys};
use crate::support::{Browser, Client, Database, TestApp};
use parkbrake::domain::policy::PrincipalKind;
use parkbrake::secret_key::{SecretKeys, generate};
use parkbrake::storage::{NewToken, Presented, Proof, SignIn, Storage};
use std::time::Duration;
use uuid::Uuid;

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
    // The attacker's own token, with another's name, kind, or seal.
    app.database.execute("update token set principal = 'cora' where principal = 'alice'").await;
    tokio::time::sleep(Duration::from_millis(2_100)).await;
    unauthenticated(alice.get("/workflows").await, "ask for a new one");
    app.database.execute("update token set seal = (select seal from token where principal = 'tom') where principal = 'cora'").await;
    unauthenticated(alice.get("/workflows").await, "ask for a new one");
    app.database.execute("update token set kind = 'person', principal = 'cora' where principal = 'lone-bot'").await;
    unauthenticated(app.client("lone-bot").get("/workflows").await, "ask for a new one");

    // The attacker's own session, moved to another's token, and an invented one.
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
async fn tokens_used_while_the_key_is_replaced_stay_valid() {
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
    // A token that was not used while both keys were there has to be renewed.
    assert_eq!(after.token_holder(&token("deploy-bot")).await.unwrap(), Presented::Unknown);
}
