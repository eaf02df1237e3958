//! The launcher's side, in its own process, which ends or becomes another program.

use crate::domain::task::confinement::Limits;
use crate::execution::launcher::order::{self, Confined, Order, Program, Report, Seen, Tie};
use crate::execution::launcher::{MARK, wire};
use rustix::fs::Mode;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// How many more seconds a process may compute after the signal that its time is up.
const CPU_GRACE: u64 = 5;

/// The umask of a runbook's files, unless it sets its own.
const UMASK: u32 = 0o022;

/// How much earlier the kernel kills a command than the server when memory runs out.
#[cfg(target_os = "linux")]
const SOONER: &str = "500";

/// Executes the order of the server that started this process; `None` if this process is not a
/// launcher.
pub fn launched() -> Option<ExitCode> {
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != MARK {
        return None;
    }
    let done = line().and_then(|line| {
        let refusal = match carry_out(&line, arguments.collect()) {
            Ok(()) => return Ok(()),
            Err(error) => error,
        };
        let report = Report::Refused { reason: refusal.to_string(), code: refusal.raw_os_error() };
        wire::send(line.as_fd(), &serde_json::to_vec(&report)?, None)?;
        Err(refusal)
    });
    // The server, if there is one, has received the reason. Nobody else starts a launcher.
    Some(if done.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// The socket on which the orders come. The program does not inherit it, unless it is left on
/// standard input.
fn line() -> io::Result<OwnedFd> {
    io::stdin().as_fd().try_clone_to_owned()
}

fn carry_out(line: &OwnedFd, arguments: Vec<OsString>) -> io::Result<()> {
    let (order, program) = wire::receive(line.as_fd())?;
    match serde_json::from_slice(&order)? {
        Order::Enclose { tie, bubblewrap, arguments: sandbox } => {
            tie_to(tie)?;
            enclose(&bubblewrap, &sandbox, arguments)
        }
        Order::Run(confined) => run(line, *confined, program.ok_or(io::ErrorKind::InvalidInput)?, arguments),
    }
}

/// Becomes bubblewrap, which starts the second launcher; that one finds the socket on standard
/// input.
#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "this is where what was approved is run")]
fn enclose(bubblewrap: &Path, sandbox: &[String], arguments: Vec<OsString>) -> io::Result<()> {
    // Without `CLOEXEC`, because bubblewrap has to inherit it.
    let own = rustix::fs::open("/proc/self/exe", rustix::fs::OFlags::PATH, Mode::empty())?;
    let launcher = format!("/proc/self/fd/{}", own.as_raw_fd());
    Err(Command::new(bubblewrap).args(sandbox).arg("--").arg(launcher).arg(MARK).args(arguments).exec())
}

#[cfg(not(target_os = "linux"))]
fn enclose(_: &Path, _: &[String], _: Vec<OsString>) -> io::Result<()> {
    Err(io::Error::other("a sandbox is made of Linux's namespaces, and this is another system"))
}

#[expect(clippy::disallowed_methods, reason = "this is where what was approved is run")]
fn run(line: &OwnedFd, confined: Confined, program: OwnedFd, arguments: Vec<OsString>) -> io::Result<()> {
    if let Some(tie) = confined.tie {
        tie_to(tie)?;
    }
    rustix::process::umask(Mode::from_raw_mode(UMASK));
    end_sooner();
    if !confined.new_privileges {
        keep_from_new_privileges()?;
    }
    let (begins, program) = (serde_json::to_vec(&Report::Begins)?, File::from(program));
    let begins = || wire::send(line.as_fd(), &begins, None);
    let limits = || set(&order::limits(&confined.limits));
    let path = match confined.program {
        Program::Open(seen) => {
            same(seen, &program.metadata()?)?;
            PathBuf::from(format!("/proc/self/fd/{}", program.as_raw_fd()))
        }
        Program::At(path, seen) => {
            same(seen, &fs::metadata(&path)?)?;
            path
        }
        Program::Nothing => {
            limits()?;
            return begins();
        }
    };
    rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
    let mut arguments = arguments.into_iter();
    let mut command = Command::new(path);
    command.arg0(arguments.next().ok_or(io::ErrorKind::InvalidInput)?).args(arguments);
    // Last, so that the limits do not restrict what this process itself still needs.
    limits()?;
    begins()?;
    Err(command.exec())
}

fn same(seen: Seen, now: &fs::Metadata) -> io::Result<()> {
    if Seen::of(now) == seen { Ok(()) } else { Err(io::Error::other("its program was changed right before it was started")) }
}

/// Limits can only be lowered: if this machine's limit is lower, it applies.
fn set(limits: &Limits) -> io::Result<()> {
    let cpu = limits.cpu.map(|cpu| cpu.as_secs());
    lower(Resource::Cpu, cpu, cpu.map(|cpu| cpu + CPU_GRACE))?;
    // Memory that a process only reserves does no harm, so it does not count.
    let memory = limits.memory.map(|size| size.bytes());
    lower(Resource::Data, memory, memory)?;
    let processes = limits.processes.map(u64::from);
    lower(Resource::Nproc, processes, processes)?;
    let open_files = limits.open_files.map(u64::from);
    lower(Resource::Nofile, open_files, open_files)?;
    let file_size = limits.file_size.map(|size| size.bytes());
    lower(Resource::Fsize, file_size, file_size)?;
    // A core dump would keep the memory of a crashed process, and so its secrets.
    lower(Resource::Core, Some(0), Some(0))
}

fn lower(resource: Resource, current: Option<u64>, maximum: Option<u64>) -> io::Result<()> {
    let now = getrlimit(resource);
    let least = |wanted: Option<u64>, now: Option<u64>| wanted.into_iter().chain(now).min();
    let maximum = least(maximum, now.maximum);
    let current = least(current.or(now.current), maximum);
    Ok(setrlimit(resource, Rlimit { current, maximum })?)
}

/// Asks the kernel to kill this process when its parent dies, and stops if the parent has died
/// already.
#[cfg(target_os = "linux")]
fn tie_to(tie: Tie) -> io::Result<()> {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))?;
    match getppid().map(Pid::as_raw_pid) {
        Some(parent) if parent == tie.parent => Ok(()),
        _ => Err(io::Error::other("the server that wanted to start it has ended")),
    }
}

#[cfg(not(target_os = "linux"))]
fn tie_to(_: Tie) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
fn keep_from_new_privileges() -> io::Result<()> {
    Ok(rustix::thread::set_no_new_privs(true)?)
}

#[cfg(not(target_os = "linux"))]
fn keep_from_new_privileges() -> io::Result<()> {
    Ok(())
}

/// When memory runs out, the kernel should kill the command rather than its server. If that is
/// refused, nothing is lost.
fn end_sooner() {
    #[cfg(target_os = "linux")]
    let _ = fs::write("/proc/self/oom_score_adj", SOONER);
}
