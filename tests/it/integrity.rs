//! What runs is what was approved: the configuration, the program and the files of that time.

use crate::support::called;
use crate::support::client::low;
use crate::support::{Client, Config, TestApp};
use serde_json::{Value, json};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A folder with a script that records its runs, and a runbook that needs approval.
struct Site {
    _folder: TempDir,
    path: PathBuf,
}

impl Site {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let site = Self { path: folder.path().canonicalize().expect("a path"), _folder: folder };
        for version in ["v1", "v2"] {
            std::fs::create_dir(site.path.join(version)).expect("a folder");
            site.write(&format!("{version}/run.sh"), "#!/bin/sh\ncat api.yaml >> ../ran\n");
            site.write(&format!("{version}/api.yaml"), "as approved\n");
        }
        symlink("v1", site.path.join("current")).expect("a link");
        site
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.path.join(name);
        std::fs::write(&path, text).expect("a file");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    fn turn_link(&self) {
        std::fs::remove_file(self.path.join("current")).expect("a link");
        symlink("v2", self.path.join("current")).expect("a link");
    }

    fn runbooks(&self, more: &str) -> String {
        let folder = self.path.join("current");
        format!(
            "runbooks:\n  go: {{ operation: deploy, environment: production, command: [./run.sh, '{{{{ service }}}}'], \
             args: {{ service: {{ pattern: '[a-z]+' }} }}, files: ['{{{{ service }}}}.yaml'], working_dir: '{}'{more} }}\n",
            folder.display()
        )
    }

    /// The record of the script.
    fn ran(&self) -> String {
        std::fs::read_to_string(self.path.join("ran")).unwrap_or_default()
    }
}

fn deployment() -> Value {
    let mut task = low();
    task["operation"] = json!("deploy");
    task["action"] = json!({"type": "runbook", "name": "go", "args": {"service": "api"}});
    task
}

/// Approves, and returns why nothing ran.
#[track_caller]
fn approved_and_refused(alice: &Client, id: &str) -> impl Future<Output = String> {
    called(async move {
        alice.approve(id).await.expect(200);
        let workflow = alice.wait_for(id, "failed").await;
        let history = workflow["history"].to_string();
        assert!(history.contains("no longer what was approved"), "{history}");
        history
    })
}

#[tokio::test]
async fn the_command_is_shown_with_real_paths_and_content_digests() {
    let site = Site::new();
    let app = TestApp::with(Config::new().with_runbooks(&site.runbooks(""))).await;
    let bot = app.client("deploy-bot");
    let assessed = bot.post("/risk/assess", deployment()).await.expect(200);
    let accepted = bot.submit(deployment()).await;
    assert_eq!(assessed["digest"], accepted["digest"], "what is assessed is what would be submitted");
    let id = accepted["workflow_id"].as_str().unwrap();
    let runs = bot.workflow(id).await["task"]["action"]["runs"].clone();
    let path = |name: &str| json!(site.path.join("v1").join(name));
    assert_eq!((&runs["working_dir"], &runs["program"]["path"]), (&json!(site.path.join("v1")), &path("run.sh")));
    assert_eq!(runs["files"][0]["path"], path("api.yaml"));
    for digest in [&runs["program"]["digest"], &runs["files"][0]["digest"]] {
        assert!(digest.as_str().is_some_and(|digest| digest.starts_with("sha256:") && digest.len() == 71), "{digest}");
    }
    app.client("alice").approve(id).await.expect(200);
    app.client("alice").wait_for(id, "completed").await;
    assert_eq!(site.ran(), "as approved\n");
}

#[tokio::test]
async fn files_edited_or_moved_after_they_were_shown_do_not_run() {
    for (change, said) in [
        (&(|site: &Site| site.write("v1/run.sh", "#!/bin/sh\necho edited >> ../ran\n")) as &dyn Fn(&Site), "the content of its program"),
        (&|site: &Site| site.write("v1/api.yaml", "edited\n"), "the content of its file"),
        (&|site: &Site| site.turn_link(), "its folder is"),
        (&|site: &Site| std::fs::remove_file(site.path.join("v1/api.yaml")).expect("a file"), "No such file"),
        (
            &|site: &Site| std::fs::set_permissions(site.path.join("v1/run.sh"), std::fs::Permissions::from_mode(0o777)).expect("a mode"),
            "everyone",
        ),
    ] {
        let site = Site::new();
        let app = TestApp::with(Config::new().with_runbooks(&site.runbooks(""))).await;
        let id = app.client("deploy-bot").submit_id(deployment()).await;
        change(&site);
        let history = approved_and_refused(&app.client("alice"), &id).await;
        assert!(history.contains(said), "{said}: {history}");
        assert_eq!(site.ran(), "", "{said}");
    }
}

#[tokio::test]
async fn a_runbook_that_was_changed_or_removed_does_not_run_as_it_was() {
    for (now, said) in [
        (None, "not in the configuration any more"),
        (Some(", timeout: 1h"), "its timeout"),
        (Some(", env: { SECRET: { from_env: PATH } }"), "its variables"),
        (Some(", idempotent: true"), "`idempotent`"),
    ] {
        let site = Site::new();
        let mut app = TestApp::with(Config::new().with_runbooks(&site.runbooks(""))).await;
        let id = app.client("deploy-bot").submit_id(deployment()).await;
        rewrite(app.config.path(), now.map_or_else(|| "{}".to_owned(), |more| site.runbooks(more)).as_str());
        app.restart().await;
        let history = approved_and_refused(&app.client("alice"), &id).await;
        assert!(history.contains(said), "{said}: {history}");
        assert_eq!(site.ran(), "", "{said}");
    }
}

fn rewrite(config: &Path, runbooks: &str) {
    std::fs::write(config.join("runbooks.yaml"), runbooks).expect("a file");
}

#[tokio::test]
async fn missing_or_world_writable_files_are_refused_at_submit() {
    let site = Site::new();
    let app = TestApp::with(Config::new().with_runbooks(&site.runbooks(""))).await;
    let refused = |said: &'static str| {
        let bot = app.client("deploy-bot");
        async move {
            let problem = bot.post("/orchestrate", deployment()).await.problem(422, "invalid-task");
            assert_eq!(problem["errors"][0]["pointer"], "/action/name");
            let detail = problem["errors"][0]["detail"].as_str().unwrap();
            assert!(detail.contains(said), "{detail}");
        }
    };
    std::fs::remove_file(site.path.join("v1/api.yaml")).unwrap();
    refused("No such file").await;
    site.write("v1/api.yaml", "x");
    std::fs::set_permissions(site.path.join("v1/api.yaml"), std::fs::Permissions::from_mode(0o666)).unwrap();
    refused("everyone").await;
    std::fs::remove_file(site.path.join("v1/run.sh")).unwrap();
    refused("No such file").await;
    assert_eq!(app.database.count("select count(*) from workflow").await, 0);
}

#[tokio::test]
async fn a_server_does_not_start_where_a_runbook_cannot_have_its_account() {
    let site = Site::new();
    let with = |user: &str| Config::new().with_runbooks(&site.runbooks(&format!(", user: \"{user}\"")));
    let mut app = TestApp::start().await;
    let mut refused =
        vec![("no-such-account-here", "there is no account `no-such-account-here`"), ("nobody:no-such-group", "there is no group")];
    let root = rustix::process::geteuid().is_root();
    if !root {
        refused = vec![refused[0], ("nobody", "only a server that runs as root")];
    }
    for (user, why) in refused {
        app.config = with(user);
        let told = app.try_restart().await.unwrap_err().to_string();
        assert!(told.contains(&format!("runbooks.go.user: {why}")), "{told}");
        let check = std::process::Command::new(env!("CARGO_BIN_EXE_parkbrake")).args(["check", "--config"]).arg(app.config.path()).output();
        let check = check.expect("the program");
        let said = String::from_utf8(check.stdout).expect("text");
        assert!(check.status.success() && said.contains("note: ") && said.contains(why), "it may run elsewhere: {said}");
    }
    if root {
        app.config = with("nobody");
        app.try_restart().await.expect("an account that is there");
    }
}
