//! One run of a command, without a server: arguments, environment, streams, how it ends, and its
//! limits.

mod ends;
mod output;

use crate::support::called;
use crate::support::server::local;
use parkbrake::actors::ports::{CancelSignal, Executor as _, Job, Work};
use parkbrake::domain::task::confinement::Limits;
use parkbrake::domain::task::digest::Digest;
use parkbrake::domain::task::invocation::Invocation;
use parkbrake::domain::workflow::{AttemptId, Outcome};
use parkbrake::execution::Redactions;
use rustix::process::Pid;
use serde_json::Value;
use std::ffi::OsString;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

/// Long enough for a slow machine, short enough to notice.
const WAIT_LIMIT: Duration = Duration::from_secs(20);

pub struct Bench {
    workflow_id: Uuid,
    pub invocation: Invocation,
    pub dir: TempDir,
    pub server: Vec<(&'static str, String)>,
    redactions: Redactions,
}

impl Bench {
    pub fn of(command: &[&str]) -> Self {
        let dir = TempDir::new().unwrap();
        let invocation = Invocation {
            command: command.iter().map(ToString::to_string).collect(),
            program: None,
            files: Vec::new(),
            working_dir: dir.path().canonicalize().unwrap(),
            user: None,
            env: Vec::new(),
            timeout: WAIT_LIMIT * 3,
            idempotent: false,
            concurrency: None,
            limits: Limits::default(),
            sandbox: None,
            new_privileges: false,
            retry: None,
            probe: Vec::new(),
            precondition: None,
        };
        let server = vec![("PATH", std::env::var("PATH").unwrap()), ("HOME", "/home/of-server".to_owned())];
        Self { workflow_id: Uuid::now_v7(), invocation, dir, server, redactions: Redactions::default() }
    }

    pub fn script(text: &str) -> Self {
        Self::of(&["sh", "-c", text])
    }

    fn with_secret(mut self, name: &'static str, value: &str) -> Self {
        self.invocation.env.push(name.to_owned());
        self.server.push((name, value.to_owned()));
        self
    }

    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.invocation.timeout = timeout;
        self
    }

    /// The invocation as of its submission; files that cannot be found are left as they are.
    #[track_caller]
    pub fn invocation_found(&self) -> impl Future<Output = Invocation> {
        called(async move { identify(&self.invocation).await.unwrap_or_else(|_| self.invocation.clone()) })
    }

    pub async fn run(&self) -> Outcome {
        self.run_approved(&self.invocation_found().await).await
    }

    #[track_caller]
    fn run_approved(&self, invocation: &Invocation) -> impl Future<Output = Outcome> {
        called(async move { self.run_if(invocation, || true, CancelSignal::never(), WAIT_LIMIT).await.expect("a start") })
    }

    /// Runs it, unless `may_start` refuses, until `cancelled` completes; then it has `grace` to
    /// end.
    pub async fn run_if(
        &self,
        invocation: &Invocation,
        may_start: fn() -> bool,
        cancelled: CancelSignal,
        grace: Duration,
    ) -> Option<Outcome> {
        let server = self.server.clone();
        let read = move |wanted: &str| server.iter().find(|(name, _)| *name == wanted).map(|(_, value)| OsString::from(value));
        let job = Job {
            workflow_id: self.workflow_id,
            attempt: AttemptId { step: 1, number: 1 },
            digest: Digest::of(b"approved"),
            work: Work::Run(invocation.clone()),
            cancelled,
        };
        local(self.redactions.clone()).reading(read).with_grace(grace).run(job, Arc::new(may_start)).await
    }

    /// Runs it and cancels it once `ready` completes.
    #[track_caller]
    pub fn cancelled(&self, grace: Duration, ready: impl Future<Output = ()>) -> impl Future<Output = Outcome> {
        called(async move {
            let (canceler, signal) = CancelSignal::pair();
            let invocation = identify(&self.invocation).await.unwrap();
            let (outcome, ()) = futures_util::future::join(self.run_if(&invocation, || true, signal, grace), async {
                ready.await;
                canceler.cancel();
            })
            .await;
            outcome.expect("a start")
        })
    }

    #[track_caller]
    pub fn succeeded(&self) -> impl Future<Output = Value> {
        called(async move {
            match self.run().await {
                Outcome::Succeeded { output } => output.unwrap(),
                other => panic!("{other:?}"),
            }
        })
    }

    #[track_caller]
    pub fn failed(&self) -> impl Future<Output = (String, Option<Value>)> {
        called(async move {
            match self.run().await {
                Outcome::Failed { error, output } => (error, output),
                other => panic!("{other:?}"),
            }
        })
    }

    /// The process id that a script has written into a file of its working directory.
    pub async fn number_in(&self, file: &str) -> Pid {
        let path = self.dir.path().join(file);
        until(|| std::fs::read_to_string(&path).ok()?.strip_suffix('\n')?.parse().ok().and_then(Pid::from_raw)).await
    }
}

async fn identify(invocation: &Invocation) -> Result<Invocation, String> {
    local(Redactions::default()).identify(invocation.clone()).await
}

async fn end_stragglers(workflow_id: Uuid) {
    local(Redactions::default()).end_stragglers(workflow_id).await;
}

#[track_caller]
pub fn until<T>(mut found: impl FnMut() -> Option<T>) -> impl Future<Output = T> {
    called(async move {
        let deadline = Instant::now() + WAIT_LIMIT;
        loop {
            if let Some(found) = found() {
                return found;
            }
            assert!(Instant::now() < deadline, "it did not happen in time");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
}

/// Whether a process runs; a zombie does not.
pub(super) fn runs(pid: Pid) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).unwrap_or_default();
    if cfg!(target_os = "linux") {
        stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with('Z'))
    } else {
        rustix::process::test_kill_process(pid).is_ok()
    }
}

#[tokio::test]
async fn arguments_arrive_byte_for_byte() {
    let hostile = [
        "; rm -rf /",
        "$(id)",
        "`id`",
        "a b",
        "a\nb",
        "'",
        "\"",
        "\\",
        "*",
        "~",
        "-oProxyCommand=x",
        "--",
        "",
        "&& echo",
        "| cat",
        "> x",
        "${HOME}",
        "%s%n",
        "!!",
        "ü\u{202e}",
        "\t",
    ];
    let mut bench = Bench::script(r#"printf '%s\0' "$@" > args"#);
    bench.invocation.command.push("sh".to_owned());
    bench.invocation.command.extend(hostile.map(str::to_owned));
    bench.succeeded().await;
    let written = std::fs::read(bench.dir.path().join("args")).unwrap();
    let expected: Vec<u8> = hostile.iter().flat_map(|argument| [argument.as_bytes(), b"\0"].concat()).collect();
    assert_eq!(written, expected);
}

#[tokio::test]
async fn the_environment_is_what_was_named() {
    let bench = Bench::of(&["env"]).with_secret("TOKEN", "t0ken");
    let output = bench.succeeded().await;
    let mut names: Vec<_> = output["stdout"].as_str().unwrap().lines().map(|line| line.split('=').next().unwrap()).collect();
    names.sort_unstable();
    let own = ["PARKBRAKE_ATTEMPT", "PARKBRAKE_DIGEST", "PARKBRAKE_IDEMPOTENCY_KEY", "PARKBRAKE_OUTPUT", "PARKBRAKE_WORKFLOW_ID"];
    assert_eq!(names, [["HOME"].as_slice(), &own, &["PATH", "TOKEN"]].concat());
}

#[tokio::test]
async fn a_runbook_runs_in_its_folder_without_input() {
    let bench = Bench::script("pwd -P; cat");
    let output = bench.succeeded().await;
    assert_eq!(output["stdout"], format!("{}\n", bench.dir.path().canonicalize().unwrap().display()));
}

#[tokio::test]
async fn a_program_with_a_slash_is_resolved_from_the_folder() {
    let bench = Bench::of(&["tools/shell", "-c", "echo here"]);
    std::fs::create_dir(bench.dir.path().join("tools")).unwrap();
    std::os::unix::fs::symlink("/bin/sh", bench.dir.path().join("tools/shell")).unwrap();
    assert_eq!(bench.succeeded().await["stdout"], "here\n");
}

#[tokio::test]
async fn an_action_that_may_no_longer_start_after_its_check_does_not_run() {
    let bench = Bench::script("touch ran");
    let approved = identify(&bench.invocation).await.unwrap();
    assert_eq!(bench.run_if(&approved, || false, CancelSignal::never(), WAIT_LIMIT).await, None);
    assert!(!bench.dir.path().join("ran").exists());
    let outcome = bench.run_approved(&approved).await;
    assert!(matches!(outcome, Outcome::Succeeded { .. }), "{outcome:?}");
}

#[tokio::test]
async fn a_program_that_changed_since_its_approval_does_not_run() {
    let bench = Bench::of(&["./run.sh"]);
    let path = bench.dir.path().join("run.sh");
    let write = |text: &str| {
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    };
    write("#!/bin/sh\necho as approved\n");
    let approved = identify(&bench.invocation).await.unwrap();
    assert!(matches!(bench.run_approved(&approved).await, Outcome::Succeeded { .. }));
    write("#!/bin/sh\ntouch changed\n");
    let Outcome::Failed { error, output: None } = bench.run_approved(&approved).await else { panic!("it ran") };
    assert!(error.contains("the content of its program") && error.ends_with("nothing ran"), "{error}");
    let Outcome::Failed { error, output: None } = bench.run_approved(&bench.invocation).await else { panic!("it ran") };
    assert!(error.contains("which program was approved"), "{error}");
    assert!(!bench.dir.path().join("changed").exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_binary_runs_from_the_file_that_was_hashed() {
    let bench = Bench::of(&["readlink", "/proc/self/exe"]);
    let output = bench.succeeded().await;
    let program = identify(&bench.invocation).await.unwrap().program.unwrap();
    assert_eq!(output["stdout"], format!("{}\n", program.path.display()));
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_runbook_may_have_an_account_of_its_own() {
    let script = "id -un; id -gn; id -G; echo $HOME; cat secret";
    let mut bench = Bench::script(script);
    bench.invocation.user = Some("nobody".to_owned());
    if !rustix::process::geteuid().is_root() {
        assert!(bench.failed().await.0.contains("only a server that runs as root"));
        return;
    }
    // The account has to be able to enter the folder, and not to read root's files.
    let mode = std::os::unix::fs::PermissionsExt::from_mode;
    std::fs::set_permissions(bench.dir.path(), mode(0o755)).unwrap();
    std::fs::write(bench.dir.path().join("secret"), "hush").unwrap();
    std::fs::set_permissions(bench.dir.path().join("secret"), mode(0o600)).unwrap();
    let (error, output) = bench.failed().await;
    let output = output.unwrap_or_else(|| panic!("{error}"));
    let stdout: Vec<_> = output["stdout"].as_str().unwrap().lines().map(str::to_owned).collect();
    let nobody = std::process::Command::new("getent").args(["passwd", "nobody"]).output().unwrap();
    let nobody = String::from_utf8(nobody.stdout).unwrap();
    let nobody: Vec<_> = nobody.trim().split(':').collect();
    assert_eq!((stdout[0].as_str(), stdout[2].as_str()), ("nobody", nobody[3]), "{stdout:?}");
    assert_eq!(stdout[3..], [nobody[5]]);
    assert!(output["stderr"].as_str().unwrap().contains("denied"), "{output}");
}

#[tokio::test]
async fn a_failed_start_gives_the_reason_and_states_that_nothing_ran() {
    for program in ["no-such-program-anywhere", "./no-such-program"] {
        let mut bench = Bench::of(&[program]);
        // Without the tester's folders that this user cannot enter, which the system would report
        // instead.
        bench.server = vec![("PATH", "/usr/bin:/bin".to_owned())];
        let (error, output) = bench.failed().await;
        assert!(error.starts_with(&format!("could not start `{program}`: ")) && error.contains("No such file or directory"), "{error}");
        assert!(error.ends_with("nothing ran"), "{error}");
        assert_eq!(output, None);
    }
    let mut bench = Bench::of(&["true"]);
    bench.invocation.working_dir = bench.dir.path().join("nowhere");
    assert!(bench.failed().await.0.contains("nowhere: No such file or directory"));
    assert!(Bench::of(&[]).failed().await.0.contains("is empty"));
}

#[tokio::test]
async fn a_missing_variable_prevents_the_start() {
    let mut bench = Bench::script("touch started");
    bench.invocation.env.push("TOKEN=DEPLOY_TOKEN".to_owned());
    let (error, _) = bench.failed().await;
    assert!(error.contains("`DEPLOY_TOKEN` is not set"), "{error}");
    assert!(!bench.dir.path().join("started").exists());
}
