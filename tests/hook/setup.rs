//! Setting a hook up: `hook install` writes what it shows, and `hook doctor` proves that it blocks.

use crate::Server;
use serde_json::{Value, json};
use std::process::{Command, Output, Stdio};

fn parkbrake(args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
    command.args(args).env("PARKBRAKE_TOKEN", "pbk_test").stdin(Stdio::null()).output().unwrap()
}

#[test]
fn install_writes_what_it_showed_after_consent_and_keeps_other_settings() {
    let folder = tempfile::tempdir().unwrap();
    let (file, link) = (folder.path().join("settings.json"), folder.path().join("link.json"));
    let before = json!({"model": "opus", "hooks": {"Stop": [{"hooks": [{"type": "command", "command": "bell"}]}]}});
    std::fs::write(&file, before.to_string()).unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    std::os::unix::fs::symlink(&file, &link).unwrap();
    let install = |more: &[&str]| {
        let args = ["hook", "install", "claude-code", "--file", link.to_str().unwrap(), "--url", "https://parkbrake.example.com"];
        parkbrake(&[&args[..], more].concat())
    };
    let settings = || -> Value { serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap() };
    let asked = install(&[]);
    assert_eq!((asked.status.code(), settings()), (Some(2), before), "{asked:?}");
    assert!(String::from_utf8_lossy(&asked.stdout).contains("hook claude-code --url https://parkbrake.example.com"), "{asked:?}");

    let written = install(&["--yes", "--token-file", "/etc/parkbrake/it's"]);
    assert_eq!(written.status.code(), Some(0), "{written:?}");
    let after = settings();
    assert_eq!((&after["model"], &after["hooks"]["Stop"][0]["hooks"][0]["command"]), (&json!("opus"), &json!("bell")));
    let hook = &after["hooks"]["PreToolUse"][0]["hooks"][0];
    assert_eq!((&hook["onFailure"], &hook["timeout"]), (&json!("block"), &json!(30)));
    let program = env!("CARGO_BIN_EXE_parkbrake");
    let line =
        format!(r"{program} hook claude-code --url https://parkbrake.example.com --token-file '/etc/parkbrake/it'\''s' --deadline 10s");
    assert_eq!(hook["command"], line);
    assert!(link.is_symlink(), "a link stays a link");
    assert_eq!(std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&file).unwrap().permissions()) & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 2, "nothing is left behind");

    std::fs::write(&file, "// comments\n{}").unwrap();
    assert_eq!(install(&["--yes"]).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "// comments\n{}", "what cannot be read is left as it is");
}

/// A client that asks the doctor's model what to do, and then does one thing with the call.
const FAKE_CLIENT: &str = r#"#!/bin/sh
say() { curl -s "$ANTHROPIC_BASE_URL/v1/messages" --data-binary "$1"; }
[ "$DOES" = nothing ] && exit 0
command=$(say '{"tools": [{"name": "Bash"}], "messages": []}' | jq -r '.content[0].input.command')
case $DOES in
  run) sh -c "$command"; told=done ;;
  refuse) told='my own rules deny it' ;;
  hook) told=$(jq -n --arg command "$command" '{session_id: "s", cwd: "/srv", hook_event_name: "PreToolUse", tool_name: "Bash", tool_use_id: "t",
      tool_input: {command: $command}}' | "$HOOK" hook claude-code --url http://127.0.0.1:1 | jq -r .hookSpecificOutput.permissionDecisionReason) ;;
esac
say "$(jq -n --arg told "$told" '{messages: [{content: [{type: "tool_result", content: $told}]}]}')" >/dev/null
"#;

#[test]
fn the_doctor_is_content_only_where_this_hook_blocked_and_the_server_knows_the_token() {
    let folder = tempfile::tempdir().unwrap();
    let client = folder.path().join("claude");
    std::fs::write(&client, FAKE_CLIENT).unwrap();
    std::fs::set_permissions(&client, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let well = Server::answers("200 OK", "application/json", r#"{"success": true, "workflows": []}"#);
    let sick = Server::answers("401 Unauthorized", "application/problem+json", r#"{"detail": "this token is not known"}"#);
    for (does, server, status, words) in [
        ("hook", &well, 0, "fires and blocks"),
        ("hook", &sick, 1, "this token is not known"),
        ("run", &well, 1, "DOES NOT BLOCK"),
        ("refuse", &well, 1, "nothing is proved"),
        ("nothing", &well, 1, "nothing is proved"),
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_parkbrake"))
            .args(["hook", "doctor", "claude-code", "--url", &server.url, "--program"])
            .arg(&client)
            .env("PARKBRAKE_TOKEN", "pbk_test")
            .env("DOES", does)
            .env("HOOK", env!("CARGO_BIN_EXE_parkbrake"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(status), "a client that does `{does}`: {said}");
        assert!(said.contains(words), "a client that does `{does}`: {said}");
    }
}
