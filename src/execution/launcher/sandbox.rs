//! The sandbox of a command: bubblewrap and its arguments.
//!
//! In a sandbox a command can read whatever its account may read in the whole file system, and
//! write only to the paths that the runbook names. `/tmp` and `/dev` are its own. Without network
//! there is no `/run` either, because the sockets of this machine's services are there. It sees no
//! other processes, and when its first process ends, or the server does, the kernel kills all of
//! them.

use crate::domain::request::runbook::Runbook;
use crate::domain::task::confinement::{Limits, Sandbox};
use crate::domain::task::invocation::Invocation;
use crate::execution::account::Account;
use crate::execution::artifacts;
use crate::execution::launcher::order::{Confined, Order, Program, Tie};
use crate::execution::launcher::{BUBBLEWRAP, Launcher, Progress};
use rustix::process::getpid;
use std::ffi::OsStr;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// Folders that are empty in a sandbox, and whether they are empty even if it has the network.
const EMPTY: [(&str, bool); 3] = [("/tmp", true), ("/var/tmp", true), ("/run", false)];

/// The order to make the sandbox.
///
/// # Errors
/// There is no bubblewrap, or a path cannot be passed to it.
pub fn enclose(sandbox: &Sandbox, invocation: &Invocation, written: &Path, tie: Tie, path: &OsStr) -> Result<Order, String> {
    let program = invocation.program.iter().map(|program| &program.path);
    let files = invocation.files.iter().map(|file| &file.path);
    let needed: Vec<&Path> = files.chain(program).chain([&invocation.working_dir]).map(PathBuf::as_path).collect();
    Ok(Order::Enclose {
        tie,
        bubblewrap: bubblewrap(path)?,
        arguments: arguments(sandbox, &needed, Some(written), &invocation.working_dir)?,
    })
}

fn bubblewrap(path: &OsStr) -> Result<PathBuf, String> {
    artifacts::in_path(BUBBLEWRAP, path)
        .ok_or_else(|| "a sandbox needs bubblewrap, and there is no `bwrap` in the folders of the server's PATH; install it".to_owned())
}

fn arguments(sandbox: &Sandbox, needed: &[&Path], written: Option<&Path>, folder: &Path) -> Result<Vec<String>, String> {
    let mut arguments: Vec<String> =
        ["--die-with-parent", "--new-session", "--unshare-ipc", "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try"]
            .map(str::to_owned)
            .into();
    let mut say = |option: &str, paths: &[&Path]| {
        arguments.push(option.to_owned());
        for path in paths {
            arguments.push(path.to_str().ok_or_else(|| format!("the path {} is not UTF-8", path.display()))?.to_owned());
        }
        Ok::<_, String>(())
    };
    if !sandbox.network {
        say("--unshare-net", &[])?;
    }
    let root = Path::new("/");
    let is_open = sandbox.write.iter().any(|path| path == root);
    say(if is_open { "--bind" } else { "--ro-bind" }, &[root, root])?;
    say("--dev", &[Path::new("/dev")])?;
    say("--proc", &[Path::new("/proc")])?;
    let empty: Vec<&Path> =
        EMPTY.iter().filter(|(path, always)| (*always || !sandbox.network) && is_folder(path)).map(|(path, _)| Path::new(*path)).collect();
    for folder in &empty {
        say("--tmpfs", &[folder])?;
    }
    // What the command itself needs in those folders.
    for path in needed.iter().filter(|path| empty.iter().any(|folder| path.starts_with(folder))) {
        say("--ro-bind", &[path, path])?;
    }
    for path in sandbox.write.iter().filter(|path| *path != root) {
        say("--bind", &[path, path])?;
    }
    // Last, so that nothing above hides it.
    if let Some(written) = written {
        say("--bind", &[written, written])?;
    }
    say("--chdir", &[folder])?;
    Ok(arguments)
}

/// Whether this is itself a folder; for a link, its target is covered.
fn is_folder(path: &str) -> bool {
    std::fs::symlink_metadata(path).is_ok_and(|found| found.is_dir())
}

/// Why this process cannot run runbooks in their sandboxes or within their limits on this machine:
/// a sentence for each such runbook.
pub fn unusable<'a>(runbooks: impl IntoIterator<Item = &'a Runbook>, launcher: &Launcher, path: &OsStr) -> Vec<String> {
    let mut problems = Vec::new();
    for runbook in runbooks {
        let name = &runbook.name;
        // A missing account is reported elsewhere.
        let Ok(account) = runbook.user.as_deref().map(Account::find).transpose() else { continue };
        let is_root = account.as_ref().map_or_else(|| rustix::process::geteuid().is_root(), |account| account.user == 0);
        if runbook.limits.processes.is_some() && is_root {
            problems.push(format!(
                "runbooks.{name}.limits.processes: the kernel does not apply it to root; say under `user` which account it runs as, or leave it out"
            ));
        }
        if let Some(sandbox) = &runbook.sandbox
            && let Err(reason) = tried(sandbox, account.as_ref(), launcher, path)
        {
            problems.push(format!("runbooks.{name}.sandbox: {reason}"));
        }
    }
    problems
}

/// Makes a sandbox of this kind, without writable paths, and starts nothing in it.
fn tried(sandbox: &Sandbox, account: Option<&Account>, launcher: &Launcher, path: &OsStr) -> Result<(), String> {
    let bubblewrap = bubblewrap(path)?;
    let failed = |error: &dyn std::fmt::Display| format!("bubblewrap could not be tried: {error}");
    let (mut command, line) = launcher.command("nothing", &[]).map_err(|error| failed(&error))?;
    command.env_clear().env("PATH", path).current_dir("/").stdout(Stdio::null()).stderr(Stdio::piped());
    if let Some(account) = account {
        command.uid(account.user).gid(account.group);
    }
    let mut child = command.spawn().map_err(|error| failed(&error))?;
    drop(command);
    let arguments = arguments(&Sandbox { write: Vec::new(), ..sandbox.clone() }, &[], None, Path::new("/"))?;
    let tie = Tie { parent: getpid().as_raw_pid() };
    let nothing = Confined { tie: None, limits: Limits::default(), new_privileges: false, program: Program::Nothing };
    let orders = [Order::Enclose { tie, bubblewrap, arguments }, Order::Run(Box::new(nothing))];
    let given = File::open("/dev/null").and_then(|file| line.give(&orders, &file));
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        let _ = stderr.take(1_024).read_to_string(&mut said);
    }
    let ended = child.wait();
    match (line.heard(), ended, given) {
        (Progress::Begun, Ok(status), Ok(())) if status.success() => Ok(()),
        (Progress::Refused(error), ..) => Err(failed(&error)),
        _ => Err(format!("bubblewrap cannot make one here, for this account: {}", said.trim())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writable_paths_are_bound_last_and_needed_paths_of_an_emptied_folder_stay_readable() {
        let sandbox = Sandbox { network: false, write: vec!["/srv/out".into()] };
        let (needed, written) = ([Path::new("/tmp/work"), Path::new("/srv/tool")], Path::new("/tmp/outputs"));
        let said = arguments(&sandbox, &needed, Some(written), Path::new("/tmp/work")).unwrap().join(" ");
        let order = [
            "--unshare-net",
            "--ro-bind / /",
            "--tmpfs /tmp",
            "--ro-bind /tmp/work /tmp/work",
            "--bind /srv/out /srv/out",
            "--bind /tmp/outputs /tmp/outputs",
            "--chdir /tmp/work",
        ];
        let positions: Vec<_> = order.iter().map(|part| said.find(part).unwrap_or_else(|| panic!("{part} in {said}"))).collect();
        assert!(positions.is_sorted(), "{said}");
        assert!(!said.contains("/srv/tool"), "the rest can be read anyway");
        let open = arguments(&Sandbox { network: true, write: Vec::new() }, &[], None, Path::new("/")).unwrap().join(" ");
        assert!(!open.contains("--unshare-net") && !open.contains("--tmpfs /run"), "{open}");
    }
}
