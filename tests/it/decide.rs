//! Deciding: who may, what the answer is, and that of concurrent decisions exactly one counts.

mod at_once;

use crate::support::called;
use crate::support::client::{critical, events, high, low, time};
use crate::support::{Answer, Client, Config, TestApp};
use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;

impl Client {
    async fn approve_with(&self, id: &str, body: Value) -> Answer {
        self.post(&format!("/workflows/{id}/approve"), body).await
    }

    async fn cancel(&self, id: &str) -> Answer {
        self.post(&format!("/workflows/{id}/cancel"), json!({"reason": "changed my mind"})).await
    }
}

/// The state of a request in `approval_requests`: status, by whom, when, and with which words.
type Settled = (String, Option<String>, Option<DateTime<Utc>>, Option<String>);

#[track_caller]
fn settled(app: &TestApp, id: &str) -> impl Future<Output = Settled> {
    called(async move {
        let query = "select status, resolved_by, resolved_at, resolution_note from approval_requests where workflow_id = $1";
        sqlx::query_as(query).bind(id.parse::<Uuid>().unwrap()).fetch_one(&mut app.database.connect().await).await.unwrap()
    })
}

/// The table of requests says of this workflow what the API says of it.
#[track_caller]
fn assert_the_table_agrees(app: &TestApp, id: &str) -> impl Future<Output = ()> {
    called(async move {
        let workflow = app.client("nora").workflow(id).await;
        let (status, by, at, note) = settled(app, id).await;
        assert_eq!(workflow["approval_status"], status);
        let history = workflow["history"].as_array().unwrap();
        let deciding = history.iter().rev().find(|event| match event["event"].as_str().unwrap() {
            "approved" => event["detail"]["remaining"] == 0,
            name => ["rejected", "cancelled", "expired"].contains(&name),
        });
        let deciding = deciding.unwrap_or(&Value::Null);
        assert_eq!(deciding["actor"].as_str(), by.as_deref());
        assert_eq!(deciding["at"].as_str().map(|_| time(&deciding["at"])), at);
        let said = match deciding["event"].as_str() {
            Some("approved") => deciding["detail"]["justification"].as_str(),
            Some("rejected" | "cancelled") => deciding["detail"]["reason"].as_str(),
            Some("expired") => Some("nobody decided in time"),
            _ => None,
        };
        assert_eq!(said, note.as_deref());
    })
}

#[tokio::test]
async fn nobody_approves_their_own_request_by_any_relation_or_spelling() {
    let app = TestApp::start().await;
    for (requester, caller, relation) in [
        ("alice", "alice", "the requester"),
        ("tom", "tom", "the requester"),
        ("deploy-bot", "deploy-bot", "the agent that asked"),
        ("deploy-bot", "tom", "the person that the agent acts for"),
        ("deploy-bot", "other-bot", "another agent of that person"),
    ] {
        let accepted = app.client(requester).submit(high()).await;
        let (id, digest) = (accepted["workflow_id"].as_str().unwrap(), &accepted["digest"]);
        let caller = (caller, app.client(caller));
        for body in [json!({}), json!({"approved_by": caller.0}), json!({"digest": digest, "justification": "it is fine, I wrote it"})] {
            let problem = caller.1.approve_with(id, body).await.problem(403, "self-approval");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains(requester) && detail.contains("somebody else"), "{relation}: {detail}");
        }
        let workflow = caller.1.workflow(id).await;
        assert_eq!((&workflow["version"], &workflow["status"]), (&json!(2), &json!("pending_approval")), "{relation}");
        app.client("tess").approve(id).await.expect(200);
    }
}

#[tokio::test]
async fn an_agent_cannot_even_see_what_its_person_asks_for() {
    let app = TestApp::start().await;
    let id = app.client("tom").submit_id(high()).await;
    app.client("deploy-bot").approve(&id).await.problem(404, "workflow-not-found");
}

#[tokio::test]
async fn without_separation_of_duties_people_approve_their_own_but_agents_never_do() {
    let app = TestApp::with(Config::new().with_policies("separation_of_duties: false")).await;
    let own = app.client("alice").submit_id(high()).await;
    assert_eq!(app.client("alice").approve(&own).await.expect(200)["approved_by"], "alice");
    let of_agent = app.client("deploy-bot").submit_id(high()).await;
    app.client("deploy-bot").approve(&of_agent).await.problem(403, "not-an-approver");
    app.client("other-bot").approve(&of_agent).await.problem(403, "not-an-approver");
    assert_eq!(app.client("tom").approve(&of_agent).await.expect(200)["approved_by"], "tom");
}

#[tokio::test]
async fn only_people_with_a_role_that_is_asked_decide() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    for (name, why) in [("cora", "you are admin and cto"), ("nora", "you are auditor")] {
        for answer in [app.client(name).approve(&id).await, app.client(name).reject(&id).await] {
            let problem = answer.problem(403, "not-an-approver");
            let detail = problem["detail"].as_str().unwrap();
            assert!(detail.contains("needs team_lead or tech_lead") && detail.contains(why), "{detail}");
        }
    }
    for bot in ["deploy-bot", "other-bot"] {
        let problem = app.client(bot).reject(&id).await.problem(403, "not-an-approver");
        assert!(problem["detail"].as_str().unwrap().contains("an agent never decides"));
    }
    assert_eq!(app.client("nora").workflow(&id).await["version"], 2);
}

#[tokio::test]
async fn an_approver_may_reject_their_own_request() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    assert_eq!(app.client("tom").reject(&id).await.expect(200)["rejected_by"], "tom");
    assert_the_table_agrees(&app, &id).await;
}

#[tokio::test]
async fn a_name_in_the_body_has_to_be_the_callers() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(high()).await;
    let alice = app.client("alice");
    for name in ["tess", "Alice", "alice ", ""] {
        alice.approve_with(&id, json!({"approved_by": name})).await.problem(403, "identity-mismatch");
        let path = format!("/workflows/{id}/reject");
        alice.post(&path, json!({"rejected_by": name, "reason": "no"})).await.problem(403, "identity-mismatch");
    }
    assert_eq!(alice.workflow(&id).await["version"], 2);
    alice.approve_with(&id, json!({"approved_by": "alice"})).await.expect(200);
}

#[tokio::test]
async fn a_decision_that_names_another_document_is_refused() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    let accepted = bot.submit(high()).await;
    let other = bot.submit(low()).await["digest"].clone();
    let (id, digest) = (accepted["workflow_id"].as_str().unwrap(), accepted["digest"].as_str().unwrap());
    let alice = app.client("alice");
    for wrong in [other.as_str().unwrap(), "", &digest.to_uppercase(), &digest[..digest.len() - 1], digest.trim_start_matches("sha256:")] {
        let problem = alice.approve_with(id, json!({"digest": wrong})).await.problem(412, "digest-mismatch");
        assert!(problem["detail"].as_str().unwrap().contains(digest), "it names the digest that holds: {problem}");
        let path = format!("/workflows/{id}/reject");
        alice.post(&path, json!({"digest": wrong, "reason": "no"})).await.problem(412, "digest-mismatch");
    }
    assert_eq!(alice.workflow(id).await["version"], 2);
    alice.approve_with(id, json!({"digest": digest})).await.expect(200);
    assert_eq!(alice.workflow(id).await["history"][2]["detail"]["digest"], digest);
}

#[tokio::test]
async fn where_the_digest_is_required_an_approval_without_it_is_refused_and_a_rejection_is_not() {
    let app = TestApp::with(Config::new().with_policies("policies: { high: { require_digest: true } }")).await;
    let bot = app.client("deploy-bot");
    let accepted = bot.submit(high()).await;
    assert_eq!(accepted["approval"]["require_digest"], true);
    let id = accepted["workflow_id"].as_str().unwrap();
    app.client("alice").approve(id).await.problem(412, "digest-mismatch");
    app.client("alice").approve_with(id, json!({"digest": null})).await.problem(412, "digest-mismatch");
    app.client("alice").approve_with(id, json!({"digest": accepted["digest"]})).await.expect(200);
    let second = bot.submit_id(high()).await;
    app.client("alice").reject(&second).await.expect(200);
}

#[tokio::test]
async fn a_critical_approval_needs_a_justification_of_visible_characters() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(critical()).await;
    let tess = app.client("tess");
    let refused = |body: Value| async { tess.approve_with(&id, body).await.problem(422, "justification-required") };
    refused(json!({})).await;
    refused(json!({"justification": null})).await;
    for invisible in
        ["", "   ", "\n\t\r", "\u{200b}\u{200d}", "\u{2060}\u{feff}", "\u{202e}\u{2066}", "\u{3000}\u{a0}", "\u{e0041}\u{3164}", "\u{2800}"]
    {
        refused(json!({"justification": invisible})).await;
    }
    assert_eq!(tess.workflow(&id).await["version"], 2);
    tess.approve_with(&id, json!({"justification": "x".repeat(4097)})).await.problem(422, "invalid-task");
    tess.approve_with(&id, json!({"justification": "\u{200b} agreed with the owner \u{200b}"})).await.expect(200);
    let said = tess.workflow(&id).await["decisions"][0]["justification"].clone();
    assert!(said.as_str().unwrap().contains("agreed with the owner"), "{said}");
}

#[tokio::test]
async fn a_quorum_of_two_waits_for_the_second_and_repeats_each_answer_to_the_byte() {
    let app = TestApp::with(Config::new().with_policies("policies: { high: { required: 2 } }")).await;
    let (bot, alice, tess) = (app.client("deploy-bot"), app.client("alice"), app.client("tess"));
    let id = bot.submit_id(high()).await;
    let first = alice.approve(&id).await;
    assert_eq!(
        first.body,
        json!({"success": true, "workflow_id": id, "status": "pending", "approved_by": "alice", "approvals_remaining": 1, "workflow_status": "pending_approval"})
    );
    assert_eq!(alice.approve(&id).await.text, first.text);
    assert_eq!(alice.get("/workflows/pending").await.expect(200)["workflows"][0]["approvals"], 1, "asking twice does not count twice");
    assert_eq!(settled(&app, &id).await, ("pending".to_owned(), None, None, None));
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.problem(409, "wrong-state");

    let second = tess.approve(&id).await;
    assert_eq!((&second.body["status"], &second.body["approvals_remaining"]), (&json!("approved"), &json!(0)));
    assert_eq!((alice.approve(&id).await.text, tess.approve(&id).await.text), (first.text.clone(), second.text.clone()));
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    assert_eq!((alice.approve(&id).await.text, tess.approve(&id).await.text), (first.text, second.text), "also once it is completed");

    let workflow = alice.workflow(&id).await;
    assert_eq!(events(&workflow), ["submitted", "approval_requested", "approved", "approved", "execution_started", "execution_succeeded"]);
    assert_the_table_agrees(&app, &id).await;
}

#[tokio::test]
async fn one_rejection_ends_a_half_approved_request() {
    let app = TestApp::with(Config::new().with_policies("policies: { high: { required: 2 } }")).await;
    let (alice, tess) = (app.client("alice"), app.client("tess"));
    let id = app.client("lone-bot").submit_id(high()).await;
    let first = alice.approve(&id).await;
    let rejected = tess.reject(&id).await;
    assert_eq!(rejected.body["status"], "rejected");
    assert_eq!(tess.reject(&id).await.text, rejected.text);
    assert_eq!(alice.approve(&id).await.text, first.text, "what alice was told stays so");
    let problem = app.client("tom").approve(&id).await.problem(409, "already-decided");
    assert_eq!((&problem["decision"]["approver"], &problem["decision"]["verdict"]), (&json!("tess"), &json!("rejected")));
    let workflow = alice.workflow(&id).await;
    assert_eq!(events(&workflow), ["submitted", "approval_requested", "approved", "rejected"]);
    assert_eq!(workflow["execution"], json!(null));
    assert_the_table_agrees(&app, &id).await;
}

#[tokio::test]
async fn an_approver_who_rejects_cannot_get_the_earlier_approval_answer_back() {
    let app = TestApp::with(Config::new().with_policies("policies: { high: { required: 2 } }")).await;
    let alice = app.client("alice");
    let id = app.client("lone-bot").submit_id(high()).await;
    alice.approve(&id).await.expect(200);
    let no = alice.reject(&id).await;
    assert_eq!(no.body["status"], "rejected");
    let problem = alice.approve(&id).await.problem(409, "already-decided");
    assert_eq!(problem["decision"]["verdict"], "rejected");
    assert_eq!(alice.reject(&id).await.text, no.text);
}

#[tokio::test]
async fn two_people_of_one_role_are_not_two_roles() {
    let app = TestApp::with(Config::new().with_policies("policies: { high: { required: 2, distinct_roles: true } }")).await;
    let id = app.client("lone-bot").submit_id(high()).await;
    assert_eq!(app.client("tom").approve(&id).await.expect(200)["approvals_remaining"], 1);
    let problem = app.client("tess").approve(&id).await.problem(403, "not-an-approver");
    let detail = problem["detail"].as_str().unwrap();
    assert_eq!(detail, "somebody has approved as tech_lead already; still needed is one of: team_lead");
    assert_eq!(app.client("alice").approve(&id).await.expect(200)["status"], "approved");
    let workflow = app.client("alice").workflow(&id).await;
    let roles: Vec<_> = workflow["decisions"].as_array().unwrap().iter().map(|one| (&one["approver"], &one["role"])).collect();
    assert_eq!(roles, [(&json!("tom"), &json!("tech_lead")), (&json!("alice"), &json!("team_lead"))]);
}

#[tokio::test]
async fn a_person_with_two_roles_counts_once_and_leaves_the_scarce_role_to_others() {
    let config = Config::new().write(
        "hitl/approval-policies.yaml",
        "
people:
  alice: { roles: [team_lead] }
  tom:   { roles: [team_lead, tech_lead] }
  tess:  { roles: [tech_lead] }
  cora:  { roles: [cto, admin] }
agents: { lone-bot: {} }
policies: { high: { required: 2, distinct_roles: true } }",
    );
    let app = TestApp::with(config).await;
    for (second, roles) in [("alice", ["tech_lead", "team_lead"]), ("tess", ["team_lead", "tech_lead"])] {
        let id = app.client("lone-bot").submit_id(high()).await;
        let (tom, second) = (app.client("tom"), app.client(second));
        let first = tom.approve(&id).await;
        assert_eq!(first.body["approvals_remaining"], 1, "two roles are still one person");
        assert_eq!(tom.approve(&id).await.text, first.text);
        assert_eq!(second.approve(&id).await.expect(200)["status"], "approved");
        let decisions = tom.workflow(&id).await["decisions"].clone();
        assert_eq!([&decisions[0]["role"], &decisions[1]["role"]], [&json!(roles[0]), &json!(roles[1])]);
    }
}

#[tokio::test]
async fn a_late_decision_is_answered_with_the_winning_one() {
    let app = TestApp::start().await;
    let (bot, alice, tess) = (app.client("deploy-bot"), app.client("alice"), app.client("tess"));
    let approved = bot.submit_id(high()).await;
    let yes = alice.approve(&approved).await;
    for answer in [tess.reject(&approved).await, tess.approve(&approved).await, alice.reject(&approved).await] {
        let problem = answer.problem(409, "already-decided");
        let decision = &problem["decision"];
        assert_eq!(
            (&decision["approver"], &decision["verdict"], &decision["role"]),
            (&json!("alice"), &json!("approved"), &json!("team_lead"))
        );
        assert_eq!(decision["justification"], "looked at it");
    }
    bot.post(&format!("/workflows/{approved}/result"), json!({"outcome": "failed", "error": "no"})).await.expect(200);
    assert_eq!(alice.approve(&approved).await.text, yes.text);
    tess.reject(&approved).await.problem(409, "already-decided");
    assert_the_table_agrees(&app, &approved).await;

    let rejected = bot.submit_id(high()).await;
    let no = tess.reject(&rejected).await;
    let problem = alice.approve(&rejected).await.problem(409, "already-decided");
    assert_eq!((&problem["decision"]["approver"], &problem["decision"]["verdict"]), (&json!("tess"), &json!("rejected")));
    assert_eq!(tess.reject(&rejected).await.text, no.text);
    assert_the_table_agrees(&app, &rejected).await;
}

#[tokio::test]
async fn a_rejection_without_a_reason_is_recorded_as_such() {
    let app = TestApp::start().await;
    for body in [json!({}), json!({"reason": null}), json!({"reason": " \u{200b} "})] {
        let id = app.client("deploy-bot").submit_id(high()).await;
        app.client("alice").post(&format!("/workflows/{id}/reject"), body).await.expect(200);
        assert_eq!(app.client("alice").workflow(&id).await["decisions"][0]["justification"], "No reason provided");
        assert_the_table_agrees(&app, &id).await;
    }
}

#[tokio::test]
async fn a_task_is_cancelled_by_those_whose_it_is_and_by_an_admin() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    for name in ["deploy-bot", "tom", "cora"] {
        let id = bot.submit_id(high()).await;
        for stranger in ["alice", "tess", "nora", "other-bot"] {
            app.client(stranger).cancel(&id).await.problem(403, "not-permitted");
        }
        app.client("lone-bot").cancel(&id).await.problem(404, "workflow-not-found");
        assert_eq!(bot.workflow(&id).await["version"], 2);
        let cancelled = app.client(name).cancel(&id).await;
        assert_eq!(cancelled.body, json!({"success": true, "workflow_id": id, "status": "cancelled"}), "{name}");
        assert_eq!(app.client(name).cancel(&id).await.text, cancelled.text);
        let problem = app.client("alice").approve(&id).await.problem(409, "wrong-state");
        assert_eq!(problem["current_status"], "cancelled");
        let workflow = bot.workflow(&id).await;
        assert_eq!((events(&workflow).len(), &workflow["execution"]), (3, &json!(null)));
        assert_eq!((&workflow["history"][2]["actor"], &workflow["approval_status"]), (&json!(name), &json!("cancelled")));
        assert_the_table_agrees(&app, &id).await;
    }
}

#[tokio::test]
async fn released_or_settled_external_actions_cannot_be_cancelled() {
    let app = TestApp::start().await;
    let (bot, alice) = (app.client("deploy-bot"), app.client("alice"));
    let id = bot.submit_id(high()).await;
    alice.approve(&id).await.expect(200);
    assert_eq!(bot.cancel(&id).await.problem(409, "wrong-state")["current_status"], "executing");
    bot.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await.expect(200);
    assert_eq!(bot.cancel(&id).await.problem(409, "wrong-state")["current_status"], "completed");
    let rejected = bot.submit_id(high()).await;
    alice.reject(&rejected).await.expect(200);
    assert_eq!(bot.cancel(&rejected).await.problem(409, "wrong-state")["current_status"], "rejected");
    let low = bot.submit_id(low()).await;
    assert_eq!(bot.cancel(&low).await.problem(409, "wrong-state")["current_status"], "executing");
}

#[tokio::test]
async fn there_is_nothing_to_decide_about_a_task_that_needed_no_approval() {
    let app = TestApp::start().await;
    let id = app.client("deploy-bot").submit_id(low()).await;
    for answer in [app.client("alice").approve(&id).await, app.client("alice").reject(&id).await] {
        assert_eq!(answer.problem(409, "wrong-state")["current_status"], "executing");
    }
}

#[tokio::test]
async fn a_hidden_workflow_looks_like_a_missing_one() {
    let app = TestApp::start().await;
    let foreign = app.client("deploy-bot").submit_id(high()).await;
    let stranger = app.client("lone-bot");
    let unknown = "0198f0a0-0000-7000-8000-000000000000";
    for (client, id) in [(&stranger, foreign.as_str()), (&app.client("alice"), unknown), (&stranger, unknown), (&stranger, "not-an-id")] {
        let mut details = Vec::new();
        for answer in [
            client.approve(id).await,
            client.reject(id).await,
            client.cancel(id).await,
            client.post(&format!("/workflows/{id}/result"), json!({"outcome": "succeeded"})).await,
            client.get(&format!("/workflows/{id}")).await,
            client.get(&format!("/workflows/{id}/status")).await,
            client.get(&format!("/workflows/{id}/wait?timeout=20s")).await,
        ] {
            details.push(answer.problem(404, "workflow-not-found")["detail"].clone());
        }
        assert!(details.iter().all(|detail| *detail == "there is no workflow with this id that you may see"), "{details:?}");
    }
    assert_eq!(app.client("alice").workflow(&foreign).await["version"], 2);
}
