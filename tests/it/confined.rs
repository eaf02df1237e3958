//! The confinement of a command: limits, privileges, the life of its server, and the sandbox.

use crate::runs::Bench;
use crate::support::{Config, Database, Process};
use parkbrake::domain::size::Size;
use parkbrake::domain::task::confinement::Sandbox;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

/// An account without other processes, so that its processes can be counted: the kernel does not
/// enforce this limit for root.
const ACCOUNT: &str = "nobody";

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Why a test of the sandbox is meaningless on this machine.
fn without_sandbox() -> Option<String> {
    let tried = Command::new("bwrap").args(["--unshare-all", "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev", "true"]).output();
    match tried {
        Ok(output) if output.status.success() => None,
        Ok(output) => Some(format!("bubblewrap cannot make a sandbox here: {}", String::from_utf8_lossy(&output.stderr).trim())),
        Err(error) => Some(format!("bubblewrap is not installed ({error})")),
    }
}

/// Says on standard error that a test was skipped, and why.
macro_rules! skip_if {
    ($reason:expr) => {
        if let Some(reason) = $reason {
            eprintln!("skipped: {reason}");
            return;
        }
    };
}

fn for_everybody(path: &Path) {
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o777)).unwrap();
}

fn sandboxed(mut bench: Bench, network: bool, write: &[&str]) -> Bench {
    bench.invocation.sandbox = Some(Sandbox { network, write: write.iter().map(Into::into).collect() });
    bench
}

#[tokio::test]
async fn default_limits_apply_to_runbooks_without_limits() {
    let output = Bench::script("cat /proc/self/limits; umask").succeeded().await;
    let said = output["stdout"].as_str().unwrap();
    let hard = |name: &str| {
        let line = said.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name} in {said}"));
        line.split_ascii_whitespace().nth(1).unwrap().parse::<u64>().unwrap_or_else(|_| panic!("no limit: {line}"))
    };
    assert!(hard("Max processes") <= 8_192 && hard("Max open files") <= 8_192 && hard("Max data size") <= 8 << 30, "{said}");
    assert!(hard("Max core file size") == 0 && said.ends_with("0022\n"), "{said}");
}

#[tokio::test]
async fn a_runbooks_limits_are_enforced() {
    let mut bench = Bench::script("ulimit -t; ulimit -d; ulimit -n; ulimit -f");
    bench.invocation.limits.cpu = Some(Duration::from_secs(60));
    bench.invocation.limits.memory = Some(Size::parse("512MiB").unwrap());
    bench.invocation.limits.open_files = Some(64);
    bench.invocation.limits.file_size = Some(Size::parse("1MiB").unwrap());
    let output = bench.succeeded().await;
    // In the units of the shell: seconds, KiB, files, and blocks of 512 bytes.
    assert_eq!(output["stdout"], "60\n524288\n64\n2048\n");
}

#[tokio::test]
async fn a_fork_bomb_ends_at_its_limit_and_within_its_time() {
    skip_if!((!is_root()).then_some("only root can give a runbook an account whose processes are counted alone"));
    let script = "f() { f | f & f; }; f 2>/dev/null; while :; do sleep 1; done";
    let mut bench = Bench::script(script).timeout(Duration::from_secs(4));
    for_everybody(bench.dir.path());
    bench.invocation.user = Some(ACCOUNT.to_owned());
    bench.invocation.limits.processes = Some(40);
    let (error, _) = bench.failed().await;
    assert!(error.contains("its process tree was ended") || error.starts_with("exit status"), "{error}");
    let left = Command::new("pgrep").args(["-u", ACCOUNT, "-f", "f | f & f"]).output().unwrap();
    assert!(left.stdout.is_empty(), "{}", String::from_utf8_lossy(&left.stdout));
}

#[tokio::test]
async fn memory_is_refused_beyond_the_limit_and_reserved_memory_does_not_count() {
    let python = |code: &str| {
        let mut bench = Bench::of(&["python3", "-c", code]);
        bench.invocation.limits.memory = Some(Size::parse("128MiB").unwrap());
        bench
    };
    skip_if!(Command::new("python3").arg("--version").output().err().map(|error| format!("there is no python3: {error}")));
    let (error, output) = python("x = b'x' * (512 << 20)").failed().await;
    let output = output.unwrap_or_else(|| panic!("{error}"));
    assert!(output["stderr"].as_str().unwrap().contains("MemoryError"), "{output}");
    let reserved = "import mmap; mmap.mmap(-1, 8 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, 0); print('reserved')";
    assert_eq!(python(reserved).succeeded().await["stdout"], "reserved\n");
}

#[tokio::test]
async fn a_file_grows_to_its_limit_and_no_further() {
    let mut bench = Bench::script("head -c 100000000 /dev/zero > huge");
    bench.invocation.limits.file_size = Some(Size::parse("1MiB").unwrap());
    bench.failed().await;
    assert_eq!(std::fs::metadata(bench.dir.path().join("huge")).unwrap().len(), 1 << 20);
}

#[tokio::test]
async fn a_process_over_its_cpu_limit_is_ended_with_a_reason() {
    let mut bench = Bench::script("while :; do :; done");
    bench.invocation.limits.cpu = Some(Duration::from_secs(1));
    let (error, _) = bench.failed().await;
    assert_eq!(error, "ended by SIGXCPU: one of its processes computed for longer than `limits.cpu` allows");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_program_with_the_setuid_bit_gains_nothing() {
    skip_if!((!is_root()).then_some("only root can make a program that would run as root"));
    let mut bench = Bench::script("./as-root -u; cat /proc/self/status | grep NoNewPrivs");
    // A file that the account may read, and a setuid program of root.
    for_everybody(bench.dir.path());
    let program = bench.dir.path().join("as-root");
    std::fs::copy("/usr/bin/id", &program).unwrap();
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o4755)).unwrap();
    bench.invocation.user = Some(ACCOUNT.to_owned());
    let said = |output: serde_json::Value| output["stdout"].as_str().unwrap().to_owned();
    let gained = said(bench.succeeded().await);
    assert!(!gained.starts_with("0\n") && gained.ends_with("NoNewPrivs:\t1\n"), "{gained}");
    bench.invocation.new_privileges = true;
    let gained = said(bench.succeeded().await);
    assert!(gained.starts_with("0\n") && gained.ends_with("NoNewPrivs:\t0\n"), "where the runbook says so: {gained}");
}

#[tokio::test]
async fn the_program_finds_no_trace_of_its_launcher() {
    let output = Bench::script("readlink /proc/self/fd/0; ls -l /proc/self/fd; tr '\\0' ' ' < /proc/$$/cmdline").succeeded().await;
    let said = output["stdout"].as_str().unwrap();
    assert!(said.starts_with("/dev/null\n") && said.contains("sh -c readlink"), "{said}");
    assert!(!said.contains("parkbrake") && !said.contains("socket:"), "{said}");
}

#[test]
fn the_launcher_does_nothing_for_a_person() {
    for input in [std::process::Stdio::null(), std::process::Stdio::piped()] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        let mut child = command
            .args(["--launch-for-parkbrake", "sh", "-c", "echo ran"])
            .stdin(input)
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        drop(child.stdin.take());
        let output = child.wait_with_output().unwrap();
        assert!(!output.status.success() && output.stdout.is_empty(), "{output:?}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_sandbox_has_no_network_and_writes_only_where_it_may() {
    skip_if!(without_sandbox());
    let script = "
        touch out/inside && echo wrote inside
        touch outside 2>/dev/null || echo not outside
        touch /etc/parkbrake-was-here 2>/dev/null || echo not in etc
        touch /tmp/own && echo own tmp
        ls /sys/class/net | grep -qv '^lo$' && ls /proc/net/dev >/dev/null
        tail -n +3 /proc/net/dev | cut -d: -f1 | tr -d ' '
        ls -d /proc/[0-9]* | wc -l
        test -S /run/sandbox-test.sock || echo no sockets
        readlink /proc/self/exe";
    let bench = sandboxed(Bench::of(&["sh", "-c", script]), false, &["out"]);
    std::fs::create_dir(bench.dir.path().join("out")).unwrap();
    let output = bench.succeeded().await;
    let said = output["stdout"].as_str().unwrap();
    let lines: Vec<_> = said.lines().collect();
    assert_eq!(lines[..5], ["wrote inside", "not outside", "not in etc", "own tmp", "lo"], "{output}");
    assert!(lines[5].parse::<u32>().unwrap() < 10, "it sees its own processes and no others: {said}");
    assert_eq!(lines[6], "no sockets");
    assert!(bench.dir.path().join("out/inside").exists() && !bench.dir.path().join("outside").exists());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_sandbox_of_an_account_of_its_own_holds_it_to_its_limits_too() {
    skip_if!(without_sandbox());
    skip_if!((!is_root()).then_some("only root can give a runbook an account of its own"));
    let script = "id -un; touch kept && echo kept; for number in 1 2 3 4 5 6 7 8; do sleep 5 & done";
    let mut bench = sandboxed(Bench::script(script), true, &["."]);
    for_everybody(bench.dir.path());
    bench.invocation.user = Some(ACCOUNT.to_owned());
    bench.invocation.limits.processes = Some(6);
    let (error, output) = bench.failed().await;
    let output = output.unwrap_or_else(|| panic!("{error}"));
    assert_eq!(output["stdout"], format!("{ACCOUNT}\nkept\n"), "{output}");
    assert!(output["stderr"].as_str().unwrap().to_lowercase().contains("fork"), "{output}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_sandboxed_runbook_may_clean_up_and_ends_with_all_its_processes() {
    skip_if!(without_sandbox());
    let script = "trap 'echo cleaned; exit 0' TERM; (setsid sleep 612.5 &); while :; do sleep 0.1; done";
    let bench = sandboxed(Bench::script(script).timeout(Duration::from_secs(2)), false, &[]);
    let (error, output) = bench.failed().await;
    assert_eq!(error, "timed out after 2s; its process tree was ended");
    assert_eq!(output.unwrap()["stdout"], "cleaned\n");
    assert!(Command::new("pgrep").args(["-f", "sleep 612.5"]).output().unwrap().stdout.is_empty());
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_sandbox_that_cannot_be_made_runs_nothing() {
    skip_if!(without_sandbox());
    let bench = sandboxed(Bench::script("touch out/ran"), false, &["out"]);
    let (error, output) = bench.failed().await;
    assert!(
        error.contains("of the runbook's `sandbox.write`") && error.contains("No such file") && error.ends_with("nothing ran"),
        "{error}"
    );
    assert_eq!(output, None);
    let mut bench = sandboxed(Bench::script("echo ran"), false, &[]);
    bench.server[0].1 = bench.dir.path().display().to_string();
    bench.invocation.command[0] = "/bin/sh".to_owned();
    let (error, output) = bench.failed().await;
    assert!(error.contains("there is no `bwrap`") && error.ends_with("nothing ran"), "{error}");
    assert_eq!(output, None);
}

#[tokio::test]
async fn a_server_does_not_start_with_a_runbook_whose_limits_it_cannot_enforce() {
    let runbook = |key: &str| {
        Config::new().with_runbooks(&format!(
            "runbooks:\n  go: {{ operation: read, environment: development, working_dir: /, command: [/bin/true], {key} }}\n"
        ))
    };
    let database = Database::migrated().await;
    let mut refused = vec![("sandbox: { network: false }", "runbooks.go.sandbox: a sandbox needs bubblewrap")];
    if is_root() {
        refused.push(("limits: { processes: 10 }", "runbooks.go.limits.processes: the kernel does not apply it to root"));
    }
    for (key, why) in refused {
        let config = runbook(key);
        let mut command = Process::command(config.path(), &database.url, &[], None);
        command.env("PATH", "/no-such-folder").stderr(std::process::Stdio::piped());
        let output = command.output().await.expect("the program");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.code() == Some(1) && said.contains(why), "{said}");
        let mut check = Command::new(env!("CARGO_BIN_EXE_parkbrake"));
        let check = check.args(["check", "--config"]).arg(config.path()).env("PATH", "/no-such-folder").output().unwrap();
        let said = String::from_utf8_lossy(&check.stdout).into_owned();
        assert!(check.status.success() && said.contains("note: ") && said.contains(why), "it may run elsewhere: {said}");
    }
    skip_if!(without_sandbox());
    let server = Process::serve(&runbook("sandbox: { network: true }"), &database).await;
    assert!(server.terminate().await);
}
