//! Approvers withdraw their own approval while the quorum is open.

use crate::support::called;
use crate::support::client::{events, high};
use crate::support::{Answer, Browser, Client, Config, TestApp};
use futures_util::future::join_all;
use serde_json::json;

impl Client {
    async fn withdraw(&self, id: &str) -> Answer {
        self.post(&format!("/workflows/{id}/withdraw"), json!({"reason": "I had read the wrong plan"})).await
    }
}

async fn of_two() -> TestApp {
    TestApp::with(Config::new().with_policies("policies: { high: { required: 2 } }")).await
}

/// The two representations of the same decisions: in `status` and in the table of requests.
#[track_caller]
fn approved_by(app: &TestApp, id: &str) -> impl Future<Output = (i32, Vec<String>)> {
    called(async move {
        let query = "select approvals, approved_by from approval_requests where workflow_id = $1";
        let id: uuid::Uuid = id.parse().unwrap();
        sqlx::query_as(query).bind(id).fetch_one(&mut app.database.connect().await).await.unwrap()
    })
}

#[tokio::test]
async fn a_withdrawn_approval_does_not_count_and_can_be_given_again() {
    let app = of_two().await;
    let (bot, alice, tess) = (app.client("lone-bot"), app.client("alice"), app.client("tess"));
    let id = bot.submit_id(high()).await;
    alice.approve(&id).await.expect(200);
    assert_eq!(approved_by(&app, &id).await, (1, vec!["alice".to_owned()]));

    let withdrawn = alice.withdraw(&id).await;
    assert_eq!(
        withdrawn.body,
        json!({"success": true, "workflow_id": id, "status": "withdrawn", "withdrawn_by": "alice", "approvals_remaining": 2,
            "workflow_status": "pending_approval"})
    );
    assert_eq!(alice.withdraw(&id).await.text, withdrawn.text, "the same again");
    assert_eq!(approved_by(&app, &id).await, (0, Vec::new()));
    assert_eq!(tess.get("/workflows/pending").await.expect(200)["workflows"][0]["approvals"], 0);

    // The other's approval alone is not enough, but with alice's second one it is.
    assert_eq!(tess.approve(&id).await.expect(200)["approvals_remaining"], 1);
    assert_eq!(alice.approve(&id).await.expect(200)["status"], "approved");
    let problem = alice.withdraw(&id).await.problem(409, "already-decided");
    assert_eq!((&problem["decision"]["approver"], &problem["decision"]["verdict"]), (&json!("alice"), &json!("approved")));

    let workflow = bot.workflow(&id).await;
    assert_eq!(
        events(&workflow),
        ["submitted", "approval_requested", "approved", "withdrawn", "approved", "approved", "execution_started"]
    );
    let said: Vec<_> = workflow["decisions"].as_array().unwrap().iter().map(|one| (&one["approver"], &one["verdict"])).collect();
    let expected = [("alice", "approved"), ("alice", "withdrawn"), ("tess", "approved"), ("alice", "approved")];
    assert_eq!(
        said,
        expected.each_ref().map(|(who, what)| (json!(who), json!(what))).iter().map(|(who, what)| (who, what)).collect::<Vec<_>>()
    );
    assert_eq!(workflow["decisions"][1]["justification"], "I had read the wrong plan");
}

#[tokio::test]
async fn approvers_withdraw_only_their_own_approval_and_only_before_the_quorum() {
    let app = of_two().await;
    let (bot, alice, tess) = (app.client("deploy-bot"), app.client("alice"), app.client("tess"));
    let id = bot.submit_id(high()).await;
    alice.approve(&id).await.expect(200);
    let problem = tess.withdraw(&id).await.problem(409, "wrong-state");
    assert!(problem["detail"].as_str().unwrap().contains("nothing to withdraw"), "{problem}");
    bot.withdraw(&id).await.problem(403, "not-an-approver");
    app.client("lone-bot").withdraw(&id).await.problem(404, "workflow-not-found");
    alice.post(&format!("/workflows/{id}/withdraw"), json!({"withdrawn_by": "alice"})).await.problem(422, "invalid-task");
    let long = json!({"reason": "x".repeat(4 * 1024 + 1)});
    alice.post(&format!("/workflows/{id}/withdraw"), long).await.problem(422, "invalid-task");
    assert_eq!(alice.workflow(&id).await["version"], 3, "nothing was written");
    tess.reject(&id).await.expect(200);
    assert_eq!(alice.withdraw(&id).await.problem(409, "already-decided")["decision"]["verdict"], "rejected");
}

#[tokio::test]
async fn withdrawing_an_approval_reopens_its_role() {
    let app = TestApp::with(Config::new().with_policies("policies: { high: { required: 2, distinct_roles: true } }")).await;
    let (tom, tess, alice) = (app.client("tom"), app.client("tess"), app.client("alice"));
    let id = app.client("lone-bot").submit_id(high()).await;
    tom.approve(&id).await.expect(200);
    tess.approve(&id).await.problem(403, "not-an-approver");
    tom.withdraw(&id).await.expect(200);
    assert_eq!(tess.approve(&id).await.expect(200)["approvals_remaining"], 1);
    assert_eq!(alice.approve(&id).await.expect(200)["status"], "approved");
    let workflow = alice.workflow(&id).await;
    let roles: Vec<_> = workflow["decisions"].as_array().unwrap().iter().map(|one| &one["role"]).collect();
    assert_eq!(roles, ["tech_lead", "tech_lead", "tech_lead", "team_lead"], "each yes has the role that it counts for");
}

/// Whichever comes first, the other gets a true answer: the approval was withdrawn and one is
/// missing, or the quorum was met.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn of_a_withdrawal_and_the_last_approval_at_the_same_moment_one_wins() {
    let app = of_two().await;
    let (bot, alice, tess) = (app.client("lone-bot"), app.client("alice"), app.client("tess"));
    let ids = join_all((0..32).map(|_| bot.submit_id(high()))).await;
    join_all(ids.iter().map(|id| alice.approve(id))).await;
    join_all(ids.iter().enumerate().map(|(turn, id)| {
        let (bot, alice, tess) = (&bot, &alice, &tess);
        async move {
            // The order alternates.
            let (back, last) = if turn % 2 == 0 {
                tokio::join!(alice.withdraw(id), tess.approve(id))
            } else {
                let (last, back) = tokio::join!(tess.approve(id), alice.withdraw(id));
                (back, last)
            };
            let workflow = bot.workflow(id).await;
            let status = &workflow["status"];
            let last = last.expect(200);
            if back.status == 200 {
                assert_eq!(
                    (status, &last["status"], &last["approvals_remaining"]),
                    (&json!("pending_approval"), &json!("pending"), &json!(1))
                );
                assert_eq!(workflow["approval"]["approvals"], 1);
            } else {
                assert_eq!(back.problem(409, "already-decided")["decision"]["approver"], "tess");
                assert_eq!((status, &last["status"]), (&json!("executing"), &json!("approved")));
                assert!(!events(&workflow).contains(&"withdrawn"), "{workflow:#}");
            }
        }
    }))
    .await;
}

#[tokio::test]
async fn people_withdraw_their_approval_in_the_inbox() {
    let app = of_two().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let (alice, path) = (Browser::of(app.addr, "alice").await, format!("/inbox/workflows/{id}"));
    alice.get(&path).await.expect(200).lacks("Withdraw it");
    app.client("alice").approve(&id).await.expect(200);
    let page = alice.get(&path).await.expect(200);
    page.has("Withdraw it");
    let done = alice.submit(&page, &format!("{path}/withdraw"), &[("reason", "the wrong plan")]).await;
    alice.get(done.location()).await.expect(200).has("You have withdrawn your approval").has("Approve exactly this").has("the wrong plan");
    Browser::of(app.addr, "tess").await.get(&path).await.expect(200).lacks("Withdraw it").has("0 of 2 approvals");
    assert_eq!(app.client("alice").workflow(&id).await["history"][3]["via"], "inbox");
}
