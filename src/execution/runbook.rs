//! Runs a configured command once, and reports how it ended.
//!
//! The argument vector was resolved when the task was submitted and is part of what was approved;
//! nothing here interprets it again. The files that it names are read a last time, and if they are
//! not what was approved, nothing runs. The outcome says what happened as exactly as can be known,
//! because a person acts on it: whether anything ran at all, the exit status or the signal, or that
//! time ran out and what was done about it.

use crate::domain::duration;
use crate::domain::task::invocation::Invocation;
use crate::domain::task::outputs;
use crate::domain::workflow::Outcome;
use crate::execution::account::Account;
use crate::execution::artifacts::{self, search_path};
use crate::execution::environment::Environment;
use crate::execution::launcher::order::{Confined, Order, Program, Tie};
use crate::execution::launcher::{self, Launcher, Line, Progress};
use crate::execution::live::{Board, Live, Stream};
use crate::execution::output::Kept;
use crate::execution::output_file::OutputFile;
use crate::execution::processes::{self, GRACE, Mark, Tree};
use crate::execution::run::{Cancelling, Run};
use crate::execution::shortage;
use crate::hardening;
use futures_util::FutureExt as _;
use futures_util::future::{FusedFuture as _, join};
use rustix::process::{Pid, Signal};
use serde_json::{Map, Value, json};
use std::ffi::OsStr;
use std::io;
use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::path::Path;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::process::{Child, Command};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use uuid::Uuid;

/// How long the streams may stay open after the command has ended: a process that it left in the
/// background may hold them forever.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// How long to wait for a command that was killed: the kernel may hold it, for example because of a
/// dead network disk.
const KILL_WAIT: Duration = Duration::from_secs(2);

/// How many commands are resolved on this machine at once: files may be large and requesters many.
static LOOKS: Semaphore = Semaphore::const_new(4);

/// Runs the command to its end, to its timeout, or until it is cancelled. Dropping the future ends
/// the command. The result is `None` if `may_start` did not let the command start.
pub async fn run(
    run: Run<'_>,
    launcher: &Launcher,
    mut environment: Environment,
    may_start: &(dyn Fn() -> bool + Send + Sync),
    cancelling: &Cancelling,
    board: &Board,
) -> Option<Outcome> {
    let mut pauses = shortage::Pauses::default();
    loop {
        let mut started = match start(&run, launcher, &mut environment, may_start).await {
            Ok(started) => started?,
            Err(reason) => return Some(not_started(run.invocation, &reason)),
        };
        let posted = board.post(run.workflow_id, run.attempt, &environment.secrets);
        let (ending, out, err, left_open) = follow(&mut started, &posted.live, run.invocation.timeout, cancelling).await;
        let outputs = started.output_file.read(&environment.secrets);
        let refused = match started.line.heard() {
            Progress::Refused(error) if shortage::is_shortage(&error) && !cancelling.signal.is_given() => {
                pauses.sit_out(&error).await;
                continue;
            }
            Progress::Refused(error) => format!("{error}; check the runbook's `command`"),
            Progress::Silent if matches!(ending, Ending::Exited(_)) => format!("its launcher ended first: {}", err.text.trim()),
            // Silent: it timed out or was cancelled before it became the command.
            Progress::Begun | Progress::Silent => {
                return Some(with_outputs(ending.outcome(run.invocation, out, err, left_open), outputs));
            }
        };
        return Some(not_started(run.invocation, &refused));
    }
}

/// Ends the processes that still run on this machine for a workflow. This is called before its
/// action runs again: the server that started them is gone, and nobody waits for them any more.
/// Only Linux shows whose they are; on other systems this does nothing.
pub async fn end_stragglers(workflow_id: Uuid) {
    let left = processes::end(None, Mark::of_workflow(workflow_id), GRACE).await;
    if !left.is_empty() {
        tracing::error!(workflow.id = %workflow_id, processes = ?left, "processes of an earlier attempt could not be ended");
    }
}

/// A command that was started, or its launcher.
struct Started {
    child: Child,
    /// `None` once it is being waited for.
    tree: Option<Tree>,
    line: Line,
    output_file: OutputFile,
}

/// The outcome with the outputs, for an attempt that succeeded.
fn with_outputs(outcome: Outcome, provided: Result<Option<Map<String, Value>>, String>) -> Outcome {
    let Outcome::Succeeded { output: Some(Value::Object(mut output)) } = outcome else { return outcome };
    match provided {
        Ok(None) => {}
        Ok(Some(provided)) => drop(output.insert(outputs::OUTPUTS.to_owned(), Value::Object(provided))),
        Err(why) => drop(output.insert(outputs::REFUSED.to_owned(), Value::String(why))),
    }
    Outcome::Succeeded { output: Some(Value::Object(output)) }
}

/// Follows a command to its end: how it ended, what it wrote, and whether another process still
/// writes.
async fn follow(started: &mut Started, live: &Live, limit: Duration, cancelling: &Cancelling) -> (Ending, Kept, Kept, bool) {
    let (child, tree) = (&mut started.child, started.tree.take().expect("it is followed once"));
    let (stdout, stderr) = (child.stdout.take().expect("piped"), child.stderr.take().expect("piped"));
    let (ending, left_open) = {
        let mut streams = pin!(join(live.stdout.fill(stdout), live.stderr.fill(stderr)).fuse());
        let mut ending = pin!(attend(child, tree, limit, cancelling));
        let ending = loop {
            tokio::select! {
                ending = &mut ending => break ending,
                _ = &mut streams => (),
            }
        };
        (ending, !streams.is_terminated() && timeout(LAST_WORDS, streams).await.is_err())
    };
    let cut_off = left_open || !ending.was_its_own();
    let kept = |stream: &Stream| stream.tail().clone().finish(cut_off);
    (ending, kept(&live.stdout), kept(&live.stderr), left_open)
}

/// How the command ended.
enum Ending {
    Exited(ExitStatus),
    /// It ran out of time. These processes could not be ended.
    TimedOut(Vec<i32>),
    /// It was ended because somebody cancelled it: how it ended then, if that is known, and the
    /// processes that could not be ended.
    Cancelled(Option<ExitStatus>, Vec<i32>),
    /// The system did not say how it ended.
    Unknown(io::Error),
}

/// Waits for the command, and ends it when its time is up or when it is cancelled.
async fn attend(child: &mut Child, tree: Tree, limit: Duration, cancelling: &Cancelling) -> Ending {
    let waited = tokio::select! {
        // A command that has ended on its own was not cancelled.
        biased;
        waited = timeout(limit, child.wait()) => waited,
        () = cancelling.signal.given() => {
            let left = tree.end(cancelling.grace).await;
            let status = timeout(KILL_WAIT, child.wait()).await.ok().and_then(Result::ok);
            return Ending::Cancelled(status, left);
        }
    };
    match waited {
        Ok(Ok(status)) => {
            tree.leave();
            Ending::Exited(status)
        }
        Ok(Err(error)) => Ending::Unknown(error),
        Err(_) => {
            let left = tree.end(GRACE).await;
            let _ = timeout(KILL_WAIT, child.wait()).await;
            Ending::TimedOut(left)
        }
    }
}

impl Ending {
    /// Whether the command ended on its own, so that its output is complete.
    fn was_its_own(&self) -> bool {
        matches!(self, Self::Exited(status) | Self::Cancelled(Some(status), _) if status.code().is_some())
    }

    fn outcome(&self, invocation: &Invocation, stdout: Kept, stderr: Kept, left_open: bool) -> Outcome {
        let status = match self {
            Self::Exited(status) => Some(status),
            Self::Cancelled(status, _) => status.as_ref(),
            Self::TimedOut(_) | Self::Unknown(_) => None,
        };
        let signal = status.and_then(|status| status.signal()).map(signal_name);
        let output: Option<Value> = Some(json!({
            "exit_status": status.and_then(|status| status.code()),
            "signal": signal,
            "stdout": stdout.text,
            "stdout_truncated": stdout.truncated,
            "stderr": stderr.text,
            "stderr_truncated": stderr.truncated,
            "streams_left_open": left_open,
        }));
        let error = match (self, signal) {
            (Self::Exited(status), _) if status.success() => return Outcome::Succeeded { output },
            (Self::Exited(_), Some(signal)) => format!("ended by {signal}{}", why(&signal)),
            (Self::Exited(status), None) => format!("exit status {}", status.code().unwrap_or(-1)),
            (Self::TimedOut(left), _) if left.is_empty() => {
                format!("timed out after {}; its process tree was ended", duration::show(invocation.timeout))
            }
            (Self::TimedOut(left), _) => {
                format!("timed out after {}; end these of its processes by hand: {left:?}", duration::show(invocation.timeout))
            }
            (Self::Cancelled(_, left), _) if !left.is_empty() => {
                let reason = format!(
                    "it was cancelled, and these of its processes could not be ended: {left:?}; end them by hand, then find out what it did"
                );
                return Outcome::Unknown { reason };
            }
            (Self::Cancelled(None, _), _) => {
                let reason = "it was cancelled and its process tree was ended, but how it ended is not known: find out what it did";
                return Outcome::Unknown { reason: reason.to_owned() };
            }
            // It had finished its work before the signal took effect.
            (Self::Cancelled(Some(status), _), _) if status.success() => return Outcome::Succeeded { output },
            (Self::Cancelled(Some(status), _), signal) => {
                let how = signal.unwrap_or_else(|| format!("exit status {}", status.code().unwrap_or(-1)));
                return Outcome::Cancelled { error: format!("cancelled while it was running, and ended: {how}"), output };
            }
            (Self::Unknown(error), _) => return Outcome::Unknown { reason: format!("it ran, but how it ended is not known: {error}") },
        };
        Outcome::Failed { error, output }
    }
}

/// Starts the command. The result is `None` if it may not be started now.
async fn start(
    run: &Run<'_>,
    launcher: &Launcher,
    environment: &mut Environment,
    may_start: &(dyn Fn() -> bool + Send + Sync),
) -> Result<Option<Started>, String> {
    let (invocation, wanted) = (run.invocation, run.invocation.clone());
    let path = environment.variables.iter().find(|(name, _)| name == "PATH").map(|(_, path)| path.clone()).unwrap_or_default();
    let look = {
        let path = path.clone();
        move || {
            let account = wanted.user.as_deref().map(Account::find).transpose()?;
            let output_file = shortage::retry_blocking(|| shortage::beside_reserve(|| OutputFile::open(account.as_ref())));
            let output_file = output_file.map_err(|error| format!("the file for its outputs could not be made: {error}"))?;
            Ok::<_, String>((account, artifacts::find(wanted, &path)?, output_file))
        }
    };
    let (account, mut found, output_file) = tokio::task::spawn_blocking(look).await.map_err(|error| error.to_string())??;
    if let Some(difference) = invocation.difference(&found.invocation) {
        return Err(difference);
    }
    let [name, arguments @ ..] = invocation.command.as_slice() else {
        return Err("the runbook's `command` is empty".to_owned());
    };
    if let Some(account) = &account {
        environment.at_home(account);
    }
    let program = found.executable();
    let orders = orders(&found.invocation, program, output_file.path(), &path)?;
    let account = account.as_ref();
    let variables = &environment.variables;
    // The resources of a start are released before the next try: many waiting starts must not block
    // one another.
    let spawn = || {
        let (mut command, line) = launcher.command(name, arguments)?;
        command
            .current_dir(&found.invocation.working_dir)
            .env_clear()
            .envs(variables.iter().map(|(name, value)| (name, value)))
            .env(outputs::VARIABLE, output_file.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        if let Some(account) = account {
            // If these are set, the standard library drops all other groups.
            command.uid(account.user).gid(account.group);
        }
        // The thread that starts a command must live as long as this server, because the command
        // dies with it: a thread of the runtime does. Dropping the `Command` closes the launcher's
        // end of the socket.
        Ok((Command::from(command).spawn()?, line))
    };
    let spawned = shortage::retry(|| shortage::beside_reserve(spawn)).await;
    let (child, line) = spawned.map_err(|error| format!("its launcher could not be started: {error}"))?;
    // Hashing the program, or waiting for resources, may have taken longer than this server may
    // act, so `may_start` is asked here. A launcher without an order starts nothing and ends when
    // the line closes, so there is no tree to end.
    if !may_start() {
        return Ok(None);
    }
    let tree = Some(tree_of(&child, run));
    // If it has ended, it has reported why.
    let _ = line.give(&orders, &found.program);
    Ok(Some(Started { child, tree, line, output_file }))
}

/// The orders to the launchers of a command.
fn orders(invocation: &Invocation, program: Program, written: &Path, path: &OsStr) -> Result<Vec<Order>, String> {
    let tie = Tie { parent: rustix::process::getpid().as_raw_pid() };
    let enclose = invocation.sandbox.as_ref().map(|sandbox| launcher::enclose(sandbox, invocation, written, tie, path)).transpose()?;
    // In a sandbox the launcher has another parent.
    let tie = enclose.is_none().then_some(tie);
    let confined = Confined { tie, limits: invocation.limits.clone(), new_privileges: invocation.new_privileges, program };
    Ok(enclose.into_iter().chain([Order::Run(Box::new(confined))]).collect())
}

/// Resolves on this machine what a command names: real paths, and the digests of the program and
/// the files.
///
/// # Errors
/// What is missing or unsafe.
pub async fn identify(invocation: Invocation) -> Result<Invocation, String> {
    let turn = LOOKS.acquire().await.map_err(|error| error.to_string())?;
    let path = search_path(hardening::variable("PATH").as_deref());
    let found = tokio::task::spawn_blocking(move || {
        // Held until the lookup ends, even if the caller is gone.
        let _turn = turn;
        artifacts::find(invocation, &path)
    });
    found.await.map_err(|error| error.to_string())?.map(|found| found.invocation)
}

fn tree_of(child: &Child, run: &Run<'_>) -> Tree {
    let group = child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)).expect("it was not waited for yet");
    Tree::new(group, Mark::of_attempt(run.workflow_id, run.attempt.number))
}

/// The outcome of a command of which nothing has run.
pub fn not_started(invocation: &Invocation, reason: &str) -> Outcome {
    let program = invocation.command.first().map_or("", String::as_str);
    Outcome::Failed { error: format!("could not start `{program}`: {reason}; nothing ran"), output: None }
}

/// Why the kernel sent this signal, if it was for a limit.
fn why(signal: &str) -> &'static str {
    match signal {
        "SIGXCPU" => ": one of its processes computed for longer than `limits.cpu` allows",
        "SIGXFSZ" => ": one of its files grew larger than `limits.file_size` allows",
        _ => "",
    }
}

/// The name of a signal, if it is one that ends processes in practice.
fn signal_name(number: i32) -> String {
    let names = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::TRAP, "SIGTRAP"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
        (Signal::XCPU, "SIGXCPU"),
        (Signal::XFSZ, "SIGXFSZ"),
    ];
    let named = names.into_iter().find(|(signal, _)| signal.as_raw() == number);
    named.map_or_else(|| format!("signal {number}"), |(_, name)| name.to_owned())
}
