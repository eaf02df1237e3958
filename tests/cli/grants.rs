//! `parkbrake grant`.

use super::ran;
use super::stub::{ID, Stub};
use serde_json::{Value, json};

fn proposal(may_give: bool) -> Value {
    json!({
        "headline": "deploy-bot: deploy docs\u{202e} in staging by external", "level": "medium", "like": ID, "may_give": may_give,
        "approved": {"count": 6, "workflow_ids": [ID]}, "others": {"count": 1, "workflow_ids": ["0198c0de-0000-7000-8000-000000000009"]},
    })
}

fn page(proposals: &Value) -> Value {
    json!({"success": true, "proposals": proposals, "after": 5, "days": 30, "looked_through": 2_000, "is_cut": true})
}

#[test]
fn proposals_are_listed_with_the_command_that_gives_each_and_nothing_is_given() {
    let stub = Stub::start();
    stub.on("GET /grants/proposals", 200, &page(&json!([proposal(true), proposal(false)])));
    let shown = ran(&stub, &["grant", "proposals"]);
    shown.said(&[
        "deploy-bot: deploy docs<U+202E> in staging by external\n",
        "6 times, up to medium risk",
        "1 requests: 0198c0de-0000-7000-8000-000000000009",
        &format!("parkbrake grant create --like {ID} --for DURATION"),
        "somebody else has to",
        "2000 requests of the last 30 days were examined; there were more",
    ]);
    assert_eq!(shown.out.matches("grant create").count(), 1);
    assert_eq!(stub.last("GET").token(), "pbk_alice");
    stub.on("GET /grants/proposals", 200, &page(&json!([])));
    ran(&stub, &["grant", "proposals"]).said(&["nothing is proposed: that takes 5 equal approvals and no rejection"]);
    assert!(stub.called().iter().all(|what| what.starts_with("GET")), "{:?}", stub.called());
}

#[test]
fn create_sends_its_flags_with_an_id_and_revoke_sends_the_reason() {
    let stub = Stub::start();
    let grant = json!({"success": true, "grant": {"status": "live", "grant_id": ID, "headline": "x", "used": 0, "uses": 3}});
    stub.on("POST /grants", 201, &grant);
    let args =
        ["--like", ID, "--for", "2h", "--uses", "3", "--any-arg", "version", "--arg-like", "service=api-*", "--justification", "OPS-12"];
    ran(&stub, &[&["grant", "create"][..], &args].concat()).said(&["live", ID, "0 of 3 used"]);
    let mut sent = stub.last("POST").json();
    assert!(sent["grant_id"].is_string());
    sent.as_object_mut().unwrap().remove("grant_id");
    let arguments = json!({"service": {"like": "api-*"}, "version": {"any": true}});
    assert_eq!(sent, json!({"like": ID, "expires_in": "2h", "uses": 3, "justification": "OPS-12", "action": {"args": arguments}}));
    stub.on(&format!("POST /grants/{ID}/revoke"), 200, &grant);
    ran(&stub, &["grant", "revoke", ID, "--reason", "over"]).said(&[ID]);
    assert_eq!(stub.last("POST").json(), json!({"reason": "over"}));
}
