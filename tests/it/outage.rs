//! The database becomes unavailable, and available again.

use crate::support::client::high;
use crate::support::server::{hand_out_tokens, settings};
use crate::support::{Config, Database, TestApp, eventually};
use parkbrake::postgres::{Cluster, Options, Programs};

#[tokio::test]
async fn a_server_reports_a_database_outage_and_recovers_by_itself() {
    // A separate PostgreSQL, which can be stopped without affecting other tests.
    let folder = tempfile::tempdir().unwrap();
    let programs = Programs::find().unwrap_or_else(|error| panic!("{error}"));
    let home = folder.path().join("postgres");
    let start = async || Cluster::start(&programs, &home, Options::default()).await.unwrap_or_else(|error| panic!("{error}"));
    let cluster = start().await;
    cluster.create_database("outage").await.unwrap();
    let database = Database::at(cluster.url("outage"));
    parkbrake::storage::migrate(&database.url).await.unwrap();
    hand_out_tokens(&database).await;
    let config = Config::new().with_policies("escalation: { high: [ { after: 3s, to: [cto] } ] }");
    let app = TestApp::launch(config, &settings(&Config::new()), database).await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    alice.get("/readyz").await.expect(200);

    cluster.stop().await.unwrap();
    for _ in 0..3 {
        let answer = bot.post("/orchestrate", high()).await;
        assert_eq!(answer.headers["retry-after"], "1");
        answer.problem(503, "unavailable");
    }
    let answer = alice.approve(&id).await;
    answer.problem(503, "unavailable");
    assert_eq!(alice.get("/readyz").await.expect(503)["database"], "unavailable");
    alice.get("/healthz").await.expect(200);

    let cluster = start().await;
    eventually("readiness", || async { (alice.get("/readyz").await.status == 200).then_some(()) }).await;
    alice.approve(&id).await.expect(200);
    assert_eq!(alice.workflow(&id).await["status"], "executing");
    bot.submit_id(high()).await;
    drop(app);
    cluster.stop().await.unwrap();
}
