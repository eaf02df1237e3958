//! What a runbook can learn from the server that runs it.

use crate::support::called;
use crate::support::client::low;
use crate::support::proxy::Proxy;
use crate::support::{Config, Database, Process, eventually};
use serde_json::json;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

/// A database with an unneeded password in its address, and a configuration with runbooks that look
/// around.
async fn world() -> (Config, Database, String) {
    let database = Database::migrated().await;
    let password = "canary-of-the-database";
    let database = with_password(&database.url, password);
    let runbook = |name: &str, script: &str| {
        format!(
            "  {name}: {{ operation: read, environment: development, resource_type: code, working_dir: /, command: [/bin/sh, -c, \"{script}\"] }}\n"
        )
    };
    let config = Config::new().with_runbooks(&format!(
        "runbooks:\n{}{}{}",
        runbook("environ", "tr '\\\\0' ' ' < /proc/$PPID/environ"),
        runbook("memory", "head -c 1 /proc/$PPID/mem"),
        runbook("input", "cat; ls -l /proc/self/fd")
    ));
    (config, database, password.to_owned())
}

fn with_password(url: &str, password: &str) -> Database {
    let (before, after) = url.split_once("parkbrake").unwrap();
    let (_, after) = after.split_once('@').unwrap();
    Database::at(format!("{before}parkbrake:{password}@{after}"))
}

/// The output of a runbook, on both streams.
#[track_caller]
fn said(server: &Process, runbook: &str) -> impl Future<Output = String> {
    called(async move {
        let (bot, mut task) = (server.client("deploy-bot"), low());
        task["action"] = json!({"type": "runbook", "name": runbook});
        let id = bot.submit_id(task).await;
        for _ in 0..200 {
            let workflow = bot.workflow(&id).await;
            if ["completed", "failed"].iter().any(|status| workflow["status"] == *status) {
                return workflow["execution"]["attempts"][0].to_string();
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
        panic!("{runbook} did not end")
    })
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_environment_of_a_running_server_holds_no_secret() {
    let (config, database, password) = world().await;
    let server = Process::serve_with_variables(&config, &database, &[("OTHER_CANARY", "canary-of-another")]).await;
    match std::fs::read(format!("/proc/{}/environ", server.pid().as_raw_pid())) {
        Ok(environ) => {
            let environ = String::from_utf8_lossy(&environ).into_owned();
            for plain in ["PATH=", "PARKBRAKE_ENVIRONMENT=", "MIMALLOC_ALLOW_THP=0"] {
                assert!(environ.contains(plain), "{plain}: {environ}");
            }
            for secret in [password.as_str(), "canary-of-another", crate::support::server::SECRET, crate::support::server::SECRET_KEY] {
                assert!(!environ.contains(secret), "{environ}");
            }
        }
        // The server is not dumpable: only root can read it.
        Err(error) => assert!(!rustix::process::geteuid().is_root() && error.kind() == std::io::ErrorKind::PermissionDenied, "{error}"),
    }
    let command_line = std::fs::read_to_string(format!("/proc/{}/cmdline", server.pid().as_raw_pid())).unwrap();
    assert!(command_line.contains("parkbrake\0serve\0"), "{command_line}");
    assert!(server.terminate().await, "and it ends like any other");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_runbook_of_the_same_user_reads_neither_environment_nor_memory_of_the_server() {
    let (config, database, password) = world().await;
    readable(config.path());
    // Other accounts may not enter the folder with PostgreSQL's socket.
    let proxy = Proxy::before(&database).await;
    let database = with_password(&proxy.url(), &password);
    let server = Process::serve_as_nobody(&config, &database).await;
    for runbook in ["environ", "memory"] {
        let said = said(&server, runbook).await;
        assert!(said.contains("ermission denied"), "{runbook}: {said}");
        assert!(!said.contains(&password), "{runbook}: {said}");
    }
    let said = said(&server, "input").await;
    assert!(!said.contains("memfd") && !said.contains(&password), "{said}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_may_open_as_many_files_as_the_system_lets_it() {
    let (config, database, _) = world().await;
    let server = Process::serve(&config, &database).await;
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", server.pid().as_raw_pid())).unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let numbers: Vec<Option<u64>> = line.split_whitespace().skip(3).take(2).map(|number| number.parse().ok()).collect();
    assert_eq!(numbers[0], Some(numbers[1].unwrap_or(1 << 20).min(1 << 20)), "{line}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_server_at_rest_gives_back_the_memory_that_its_start_took() {
    let (config, database, _) = world().await;
    let server = Process::serve(&config, &database).await;
    let kilobytes = |field: &str| {
        let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid().as_raw_pid())).unwrap();
        let line = status.lines().find(|line| line.starts_with(field)).unwrap();
        line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap()
    };
    let is_given_back = || kilobytes("VmRSS:") + 4_096 < kilobytes("VmHWM:");
    eventually("less memory than at its peak", async || is_given_back().then_some(())).await;
}

#[tokio::test]
async fn no_output_shows_a_secret_of_the_server_whichever_runbook_prints_it() {
    let database = Database::migrated().await;
    let password = "p@ss/of the database";
    let database = with_password(&database.url, "p%40ss%2Fof%20the%20database");
    let (of_other, own) = ("canary-of-another-runbook", "canary-of-its-own-that-is-longer-than-base64-writes-on-one-line");
    let folder = tempfile::tempdir().unwrap();
    let of_webhook = "whsec_Y2FuYXJ5LW9mLXdlYmhvb2tzLTAxMjM0NTY3ODk=";
    let (hook, key) = (crate::support::server::SECRET, crate::support::server::SECRET_KEY);
    for (name, text) in [("other", of_other), ("password", password), ("url", &database.url), ("hook", hook), ("key", key)] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let base = format!("operation: read, environment: development, resource_type: code, working_dir: '{}'", folder.path().display());
    let runbook =
        |name: &str, script: &str, env: &str| format!("  {name}: {{ {base}, command: [/bin/sh, -c, '{script}'], env: {{ {env} }} }}\n");
    let channel = "audit: { type: webhook, url: \"https://hook.example\", secret: { from_env: HOOK_SECRET } }";
    let config = Config::new().write("notifications.yaml", &format!("channels: {{ {channel} }}\n")).with_runbooks(&format!(
        "runbooks:\n{}{}{}webhooks:\n  ci: {{ url: \"https://ci.example\", secret: {{ from_env: CI }} }}\n",
        runbook("curious", "for at in other password url hook key; do cat $at; echo; base64 $at; cat $at >&2; echo >&2; done", ""),
        runbook("own", &format!("printf %s \"$OWN\" | base64; echo {of_webhook}"), "OWN: { from_env: OWN }"),
        runbook("other", "true", "NAME: { from_env: OTHER }"),
    ));
    let variables = [("OTHER", of_other), ("OWN", own), ("CI", of_webhook)];
    let server = Process::serve_with_variables(&config, &database, &variables).await;
    let output = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["output"].clone();
    let curious = output(&said(&server, "curious").await);
    assert_eq!((&curious["stdout"], &curious["stderr"]), (&json!("[redacted]\n".repeat(10)), &json!("[redacted]\n".repeat(5))));
    assert_eq!(output(&said(&server, "own").await)["stdout"], "[redacted]\n[redacted]\n");
    let log = server.log().await.join("\n");
    for secret in [password, of_other, own, hook, key] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[tokio::test]
async fn runbooks_have_the_same_umask_whatever_the_server_was_started_with() {
    let database = Database::migrated().await;
    let config = Config::new().with_runbooks(
        "runbooks:\n  umask: { operation: read, environment: development, resource_type: code, working_dir: /, command: [/bin/sh, -c, umask] }\n",
    );
    for umask in ["077", "000"] {
        let server = Process::serve_with_umask(&config, &database, umask).await;
        let said = said(&server, "umask").await;
        assert!(said.contains(r#""stdout":"0022\n""#), "{umask}: {said}");
        assert!(server.terminate().await);
    }
}

/// Lets everybody read a folder.
fn readable(folder: &Path) {
    let mode = |path: &Path, mode| std::fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
    mode(folder, 0o755);
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() { readable(&path) } else { mode(&path, 0o644) }
    }
}
