//! The examples in `support/docs/HITL_INTEGRATION.md`, run unchanged.

use crate::root;
use crate::stub::{ID, Ran, Stub, problem, run, workflow};
use serde_json::{Value, json};

/// The guide's example in a language, in a file.
fn example(stub: &Stub, language: &str) -> std::path::PathBuf {
    let guide = std::fs::read_to_string(root().join("support/docs/HITL_INTEGRATION.md")).expect("the guide");
    let (_, rest) = guide.split_once(&format!("```{language}\n")).expect("an example");
    let (text, _) = rest.split_once("```\n").expect("its end");
    let path = stub.home().join(language);
    std::fs::write(&path, text).expect("a file");
    path
}

fn deploy(stub: &Stub, language: &str) -> Ran {
    let program = if language == "python" { "python3" } else { language };
    let mut command = stub.command(program);
    run(command.arg(example(stub, language)).args(["api", "1.4 $(id)"]).env("PARKBRAKE_TOKEN", "pbk_bot"))
}

#[test]
fn the_examples_submit_wait_act_and_report() {
    for language in ["bash", "python"] {
        let stub = Stub::start();
        let mut submitted = workflow("pending_approval", 2)["workflow"].clone();
        submitted["success"] = true.into();
        stub.on("POST /orchestrate", 202, &submitted);
        let (parked, mine) = (workflow("pending_approval", 2).to_string(), workflow("executing", 4).to_string());
        stub.on_raw(&format!("GET /workflows/{ID}/wait"), &[(200, &parked), (200, &mine)]);
        let done = json!({"success": true, "workflow_id": ID, "status": "completed"});
        stub.on(&format!("POST /workflows/{ID}/result"), 200, &done);

        let ran = deploy(&stub, language);
        ran.said(&[&format!("{ID} is completed")]);
        assert!(ran.err.contains("waits for a human"), "{ran:?}");
        let calls = stub.calls();
        assert_eq!(calls[0].json()["description"], "Deploy api 1.4 $(id)", "{language}");
        assert_eq!(calls[0].header("idempotency-key"), "\"deploy-api-1.4 $(id)\"");
        let waited: Vec<&str> = calls[1..3].iter().map(|call| call.query.as_str()).collect();
        assert_eq!(waited, ["since=0&timeout=55s", "since=2&timeout=55s"], "{language}");
        let result: Value = stub.last("POST").json();
        assert_eq!((&result["outcome"], &stub.last("POST").what), (&json!("succeeded"), &format!("POST /workflows/{ID}/result")));
        assert!(calls.iter().all(|call| !call.processes.contains("pbk_bot")), "{language}: a list of processes shows no token");
    }
}

#[test]
fn the_examples_stop_where_they_may_not_act() {
    for language in ["bash", "python"] {
        let stub = Stub::start();
        stub.on("POST /orchestrate", 422, &problem("invalid-task", "Invalid task", "say what it acts on"));
        deploy(&stub, language).failed(1, &["say what it acts on"]);

        stub.on("POST /orchestrate", 202, &workflow("pending_approval", 2)["workflow"]);
        stub.on(&format!("GET /workflows/{ID}/wait"), 200, &workflow("rejected", 3));
        deploy(&stub, language).failed(1, &["is rejected"]);
        assert!(stub.called().iter().all(|what| !what.ends_with("/result")), "{:?}", stub.called());
    }
}
