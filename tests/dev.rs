//! `parkbrake dev`, as a person meets it for the first time: from any folder, with nothing
//! prepared.

use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_parkbrake");

/// A development server, with its home and the folder in which it was started.
struct Dev<'a> {
    child: Child,
    home: &'a Path,
    url: String,
    welcome: String,
}

impl<'a> Dev<'a> {
    #[track_caller]
    fn start(home: &'a Path, folder: &Path) -> Self {
        let mut child = Command::new(PROGRAM)
            .args(["dev", "--listen", "127.0.0.1:0"])
            .current_dir(folder)
            .env("PARKBRAKE_DEV_HOME", home)
            .env_remove("PARKBRAKE_CONFIG")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut welcome = String::new();
        while !welcome.contains("Ctrl-C") {
            let Some(line) = lines.next() else {
                let failed = child.wait_with_output().unwrap();
                panic!("it did not start: {}", String::from_utf8_lossy(&failed.stderr));
            };
            welcome.push_str(&line.unwrap());
            welcome.push('\n');
        }
        let url = welcome.split_whitespace().find(|word| word.starts_with("http://")).unwrap().to_owned();
        Self { child, home, url, welcome }
    }

    fn parkbrake(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(PROGRAM);
        command.args(arguments).env("PARKBRAKE_DEV_HOME", self.home).env("PARKBRAKE_URL", &self.url);
        command.env_remove("PARKBRAKE_TOKEN").env_remove("PARKBRAKE_AS").output().unwrap()
    }

    #[track_caller]
    fn json(&self, arguments: &[&str]) -> Value {
        let output = self.parkbrake(arguments);
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        serde_json::from_slice(&output.stdout).unwrap()
    }

    /// Ctrl-C.
    #[track_caller]
    fn interrupt(mut self) {
        self.signal(rustix::process::Signal::INT);
        assert!(self.child.wait().unwrap().success());
    }

    fn kill(mut self) {
        self.signal(rustix::process::Signal::KILL);
        self.child.wait().unwrap();
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_raw(self.child.id().try_into().unwrap()).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }
}

/// A home that others may enter, because PostgreSQL may have to run as another user.
fn home() -> TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(home.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    home
}

/// Whether a PostgreSQL still answers in this home.
fn postgres_answers(home: &Path) -> bool {
    std::os::unix::net::UnixStream::connect(home.join("postgres/run/.s.PGSQL.5432")).is_ok()
}

#[test]
fn dev_starts_from_any_folder_keeps_its_data_and_stops_everything() {
    let (home, folder) = (home(), tempfile::tempdir().unwrap());
    let dev = Dev::start(home.path(), folder.path());
    for said in ["alice (team_lead)", "deploy-bot (for tom)", "tokens", "parkbrake submit", "export PARKBRAKE_DEV_HOME=/"] {
        assert!(dev.welcome.contains(said), "{said} in {}", dev.welcome);
    }
    let tokens = home.path().join("tokens");
    let mode = std::os::unix::fs::PermissionsExt::mode(&std::fs::metadata(&tokens).unwrap().permissions());
    assert_eq!(mode & 0o777, 0o600);
    assert!(!dev.welcome.contains("pbk_"), "no token is printed");
    // The first thing that a person clicks.
    let link = dev.welcome.lines().find_map(|line| line.trim().strip_prefix("alice")).unwrap().trim();
    assert!(link.starts_with("http://localhost:") && link.contains("/sign-in/link?code=pbl_"), "{}", dev.welcome);

    // What the welcome message says to type next.
    let deploy = ["--operation", "deploy", "--environment", "production", "--resource-type", "code", "--description", "Deploy api 1.4.2"];
    let runbook = ["--runbook", "deploy-service", "--arg", "service=api", "--arg", "version=1.4.2"];
    let submitted = dev.json(&[&["submit", "--json"], &deploy[..], &runbook[..]].concat());
    let id = submitted["workflow_id"].as_str().unwrap().to_owned();
    assert_eq!(submitted["status"], "pending_approval");
    let token_file = std::fs::read(&tokens).unwrap();
    dev.interrupt();
    assert!(!postgres_answers(home.path()), "PostgreSQL was stopped with it");

    let dev = Dev::start(home.path(), folder.path());
    assert_eq!(std::fs::read(&tokens).unwrap(), token_file, "the tokens of the first run are still good");
    assert!(dev.parkbrake(&["approve", "--yes", &id]).status.success());
    // The shipped runbook runs even without a checkout.
    assert!(dev.parkbrake(&["watch", &id]).status.success());
    let stdout = dev.json(&["status", "--json", &id])["workflow"]["execution"]["attempts"][0]["output"]["stdout"].clone();
    assert!(stdout.as_str().unwrap().contains("would pull the image api:1.4.2"), "{stdout}");
    dev.interrupt();
}

#[test]
fn dev_starts_again_after_it_was_killed_with_its_children() {
    let (home, folder) = (home(), tempfile::tempdir().unwrap());
    let dev = Dev::start(home.path(), folder.path());
    let deploy = ["submit", "--json", "--operation", "deploy", "--environment", "production", "--description", "Deploy"];
    let id = dev.json(&deploy)["workflow_id"].as_str().unwrap().to_owned();
    dev.kill();

    let dev = Dev::start(home.path(), folder.path());
    assert_eq!(dev.json(&["status", "--json", &id])["workflow"]["status"], "pending_approval");
    dev.kill();
    let began = Instant::now();
    while postgres_answers(home.path()) {
        assert!(began.elapsed() < Duration::from_secs(20), "PostgreSQL outlived its owner");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn dev_names_what_is_missing() {
    let home = home();
    let dev = |arguments: &[&str], variable: (&str, &str)| {
        let output = Command::new(PROGRAM)
            .arg("dev")
            .args(arguments)
            .env("PARKBRAKE_DEV_HOME", home.path())
            .env(variable.0, variable.1)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = dev(&[], ("PARKBRAKE_POSTGRES_BIN", "/nowhere"));
    assert!(said.contains("/nowhere"), "{said}");
    let said = dev(&["--listen", "0.0.0.0:0"], ("PARKBRAKE_LOG", "off"));
    assert!(said.contains("loopback only"), "{said}");
}
