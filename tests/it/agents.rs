//! What agents cannot see: others' workflows, and the names of other actions.

use crate::support::client::low;
use crate::support::{Config, TestApp};
use serde_json::{Value, json};

const RUNBOOKS: &str = "
runbooks:
  show:           { operation: read, command: [echo, shown], timeout: 10s }
  rotate-secrets: { operation: read, command: [echo, rotated], timeout: 10s }
";

#[tokio::test]
async fn metrics_are_for_people_whatever_their_roles_and_not_for_agents() {
    let app = TestApp::start().await;
    let bot = app.client("deploy-bot");
    bot.submit_id(low()).await;
    let refused = bot.get("/metrics").await.problem(403, "not-permitted");
    assert!(refused["detail"].as_str().unwrap().contains("the token of a person"), "{refused}");
    assert!(!refused.to_string().contains("parkbrake_"), "{refused}");
    for person in ["alice", "nora"] {
        assert!(app.client(person).get("/metrics").await.text.contains("parkbrake_workflows_resident"), "{person}");
    }
}

#[tokio::test]
async fn an_error_about_an_unknown_runbook_lists_the_others_only_to_people() {
    let app = TestApp::with(Config::new().with_runbooks(RUNBOOKS)).await;
    let detail = async |name: &str, path: &str| -> String {
        let task = json!({"description": "d", "operation": "read", "action": {"type": "runbook", "name": "shwo"}});
        let said: Value = app.client(name).post(path, task).await.problem(422, "invalid-task");
        assert_eq!(said["errors"][0]["pointer"], "/action/name", "{said}");
        said.to_string()
    };
    for path in ["/orchestrate", "/risk/assess"] {
        let to_agent = detail("deploy-bot", path).await;
        assert!(to_agent.contains("there is no runbook `shwo`; ask the people who run this server for the name"), "{to_agent}");
        assert!(!to_agent.contains("show") && !to_agent.contains("rotate-secrets"), "{to_agent}");
        let to_person = detail("alice", path).await;
        assert!(to_person.contains("configured are: rotate-secrets, show"), "{to_person}");
    }
}
