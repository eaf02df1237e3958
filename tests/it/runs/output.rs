//! The reported result of a run: its exit status, and its streams without secrets.

use super::Bench;
use parkbrake::execution::Redactions;
use serde_json::json;

/// How much of each stream is kept.
const KEPT: usize = 64 * 1024;

#[tokio::test]
async fn a_run_reports_exit_status_and_streams() {
    let (error, output) = Bench::script("echo out; echo err >&2; exit 3").failed().await;
    assert_eq!(error, "exit status 3");
    let expected = json!({
        "exit_status": 3, "signal": null, "stdout": "out\n", "stderr": "err\n",
        "stdout_truncated": false, "stderr_truncated": false, "streams_left_open": false,
    });
    assert_eq!(output.unwrap(), expected);
}

#[tokio::test]
async fn a_signal_is_named() {
    let (error, output) = Bench::script("kill -KILL $$").failed().await;
    assert_eq!(error, "ended by SIGKILL");
    assert_eq!(output.unwrap()["signal"], "SIGKILL");
}

#[tokio::test]
async fn secrets_are_redacted_also_where_the_output_is_cut() {
    let secret = "s3cr3t".repeat(50);
    let script = r#"i=0; while [ $i -lt 300 ]; do printf '%s' "$TOKEN"; i=$((i+1)); done; echo; echo "$TOKEN" >&2"#;
    let output = Bench::script(script).with_secret("TOKEN", &secret).succeeded().await;
    assert_eq!((&output["stdout"], &output["stderr"]), (&json!("[redacted]\n"), &json!("[redacted]\n")));
    assert_eq!(output["stdout_truncated"], true);
}

#[tokio::test]
async fn a_secret_that_the_run_was_not_given_is_redacted_too() {
    let secret = "another-runbooks-s3cr3t-that-is-longer-than-one-line-of-what-base64-prints";
    let file = |script: &str| {
        let mut bench = Bench::script(script);
        bench.redactions = Redactions::new([secret.as_bytes().to_vec()]);
        std::fs::write(bench.dir.path().join("found"), secret).unwrap();
        bench
    };
    for script in
        ["cat found", "base64 found", "(printf user:; cat found) | base64", "od -An -tx1 found | tr -d ' \\n'", "od -An -tx1 -v found"]
    {
        let output = file(script).succeeded().await;
        let text = output["stdout"].as_str().unwrap().trim();
        let text = text.strip_prefix("dXNlcj").unwrap_or(text);
        assert_eq!(text, "[redacted]", "{script}");
    }
    let bench = file("head -c 40 found; kill -9 $$");
    assert_eq!(bench.failed().await.1.unwrap()["stdout"], "[redacted]", "it was ended in the middle of it");
}

#[tokio::test]
async fn much_output_is_cut_and_does_not_block() {
    let output = Bench::script("head -c 200000000 /dev/zero | tr '\\0' x; echo end").succeeded().await;
    let stdout = output["stdout"].as_str().unwrap();
    assert_eq!(stdout.len(), KEPT);
    assert!(stdout.ends_with("xxxend\n"));
    assert_eq!(output["stdout_truncated"], true);
}
