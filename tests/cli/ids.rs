//! Abbreviated ids, and `parkbrake whoami`.

use super::ran;
use super::stub::{ID, Stub, pending, workflow};
use serde_json::{Value, json};

const OTHER: &str = "0198c0de-0000-7000-8000-1000000000f1";

fn list(ids: &[&str], next: Value) -> String {
    let items: Vec<Value> = ids.iter().map(|id| pending(id, "x")).collect();
    json!({"success": true, "workflows": items, "next_cursor": next}).to_string()
}

#[test]
fn the_end_of_an_id_names_the_one_workflow_that_ends_so() {
    let stub = Stub::start();
    stub.on_raw("GET /workflows/pending", &[(200, &list(&[ID], Value::Null))]);
    stub.on_raw("GET /workflows", &[(200, &list(&[OTHER], "next".into())), (200, &list(&[ID], Value::Null))]);
    stub.on(&format!("GET /workflows/{OTHER}/status"), 200, &workflow("completed", 5));
    ran(&stub, &["status", "0000F1"]).said(&["completed"]);
    ran(&stub, &["reject", "00000001", "--reason", "no"]).said(&["rejected by alice"]);
    assert_eq!(stub.last("POST").what, format!("POST /workflows/{ID}/reject"));
    stub.on("POST /orchestrate", 202, &workflow("pending_approval", 2)["workflow"]);
    ran(&stub, &["submit", "--operation", "read", "--description", "x", "--supersedes", "000001"]).said(&[ID]);
    assert_eq!(stub.last("POST").json()["supersedes"], ID);
}

#[test]
fn nothing_is_done_where_no_id_or_more_than_one_ends_so() {
    let stub = Stub::start();
    let like = "0198c0de-0000-7000-8000-200000000001";
    stub.on_raw("GET /workflows/pending", &[(200, &list(&[ID], Value::Null))]);
    stub.on_raw("GET /workflows", &[(200, &list(&[like, ID], Value::Null))]);
    ran(&stub, &["approve", "000001", "--yes"]).failed(1, &["several ids end in 000001", ID, like]);
    ran(&stub, &["approve", "abcdef", "--yes"]).failed(1, &["none of the newest 2000 workflows", "write the whole id"]);
    assert!(stub.called().iter().all(|what| what.starts_with("GET")), "{:?}", stub.called());
}

#[test]
fn whoami_names_the_owner_of_the_token() {
    let stub = Stub::start();
    let person = |roles: Value| json!({"success": true, "name": "alice", "kind": "person", "roles": roles, "on_behalf_of": null});
    stub.on("GET /whoami", 200, &person(json!(["auditor", "team_lead"])));
    ran(&stub, &["whoami"]).said(&["alice: auditor, team_lead\n"]);
    stub.on("GET /whoami", 200, &person(json!([])));
    ran(&stub, &["whoami"]).said(&["alice, a person without a role\n"]);
    stub.on("GET /whoami", 200, &json!({"success": true, "name": "bot", "kind": "agent", "roles": [], "on_behalf_of": "tom\u{1b}"}));
    ran(&stub, &["whoami", "--as", "deploy-bot"]).said(&["bot, an agent that acts for tom<U+001B>\n"]);
    assert_eq!(stub.last("GET").token(), "pbk_bot");
}

#[test]
fn completions_and_manual_pages_cover_every_command() {
    let stub = Stub::start();
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        ran(&stub, &["completions", shell]).said(&["pending", "break-glass"]);
    }
    ran(&stub, &["man"]).said(&[".TH parkbrake 1", "approve"]);
}
