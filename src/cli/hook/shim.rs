//! The shim: one event in, one answer out; if in doubt, it denies.
//!
//! A client that gets no answer, or one that it does not understand, runs the tool. So the first
//! thread answers, whatever happens to the second one, which does the work: it may fail, panic, or
//! take too long. If the answer itself cannot be written, the exit status and standard error deny
//! the call, which both clients understand as well.

use crate::cli::hook::answer;
use crate::cli::hook::ask::{Decision, Server, Word};
use crate::cli::hook::call::{self, Event};
use crate::cli::hook::defer::Deferrable;
use crate::cli::hook::doctor::{CANARY_DENIED, is_canary};
use crate::cli::hook::{Client, ShimArgs};
use crate::cli::terminal;
use serde_json::Value;
use std::io::{self, Read, Write as _};
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

/// The largest event, in bytes. The server accepts less; a longer event is denied, but read to its
/// end, so that the client can write all of it.
const LARGEST: u64 = 1024 * 1024;
/// The exit status with which both clients do not run a tool; standard error has the reason.
const BLOCKED: u8 = 2;

/// The answer for the client.
enum Outcome {
    Answer(Value),
    /// After a tool has run there is nothing to answer. Errors go to standard error.
    Nothing(Option<String>),
}

/// Answers the event on standard input. Where the client `defers`, a call that waits for approval
/// may be left open instead of being denied.
pub fn run(client: Client, args: &ShimArgs, defers: bool) -> ExitCode {
    // The message of a panic is of no use here; the panic itself is handled below.
    std::panic::set_hook(Box::new(|_| {}));
    let answered = std::panic::catch_unwind(|| match within(client, args, defers) {
        Outcome::Answer(answer) => say(&answer),
        Outcome::Nothing(None) => ExitCode::SUCCESS,
        Outcome::Nothing(Some(why)) => {
            terminal::complain(&format!("parkbrake: {why}"));
            ExitCode::SUCCESS
        }
    });
    answered.unwrap_or_else(|_| blocked("parkbrake: something went wrong in the hook, so the call is not allowed"))
}

/// Does the work on a separate thread, and waits for it no longer than the deadline.
fn within(client: Client, args: &ShimArgs, defers: bool) -> Outcome {
    let (send, receive) = mpsc::sync_channel(1);
    let (deadline, args) = (args.deadline, args.clone());
    let work = move || {
        let _ = send.send(work(client, &args, defers));
    };
    let no = |why: &str| Outcome::Answer(answer::deny(&format!("{why}, so the call is not allowed. It has not run.")));
    if let Err(error) = std::thread::Builder::new().spawn(work) {
        return no(&format!("the hook cannot do its work ({error})"));
    }
    match receive.recv_timeout(deadline) {
        Ok(outcome) => outcome,
        Err(mpsc::RecvTimeoutError::Timeout) => no(&format!("there was no answer within {} ms", deadline.as_millis())),
        Err(mpsc::RecvTimeoutError::Disconnected) => no("something went wrong in the hook"),
    }
}

fn work(client: Client, args: &ShimArgs, defers: bool) -> Outcome {
    let no = |why: &str| Outcome::Answer(answer::deny(&format!("{why}. The call is not allowed, and has not run.")));
    let event = match input(io::stdin().lock()).and_then(|input| call::read(client, &input)) {
        Ok(event) => event,
        Err(why) => return no(&why),
    };
    // This part has a slightly shorter deadline than the whole, so that its own error is reported.
    let deadline = args.deadline.saturating_sub(Duration::from_millis(50)).max(Duration::from_millis(50));
    let server = Server::of(args, deadline);
    match event {
        Event::Before(call) if is_canary(&call) => Outcome::Answer(answer::deny(CANARY_DENIED)),
        Event::Before(call) => match server.and_then(|server| server.decide(&call)) {
            Ok(decision) => Outcome::Answer(answer_to(client, &decision, defers.then(|| Deferrable::of(&call)).as_ref())),
            Err(why) => no(&why),
        },
        Event::After(result) => Outcome::Nothing(server.and_then(|server| server.report(&result)).err()),
    }
}

fn answer_to(client: Client, decision: &Decision, deferrable: Option<&Deferrable>) -> Value {
    if decision.decision == Word::Parked {
        let is_deferred = deferrable.is_some_and(Deferrable::defer);
        return if is_deferred { answer::defer(&decision.reason) } else { answer::deny(&decision.reason) };
    }
    if let Some(decided) = deferrable {
        decided.settle();
    }
    if decision.decision == Word::Allow { answer::allow(client, &decision.reason) } else { answer::deny(&decision.reason) }
}

/// Reads the whole event.
fn input(mut source: impl Read) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let broke = |error: io::Error| format!("the hook's input ended too early: {error}");
    source.by_ref().take(LARGEST + 1).read_to_end(&mut bytes).map_err(broke)?;
    if bytes.len() as u64 > LARGEST {
        io::copy(&mut source, &mut io::sink()).map_err(broke)?;
        return Err(format!("the call is longer than {LARGEST} bytes"));
    }
    Ok(bytes)
}

/// Writes the answer, or denies by the exit status: even an allowed call, if the answer could not
/// be written.
fn say(answer: &Value) -> ExitCode {
    let mut out = io::stdout().lock();
    let written = if is_heard() { writeln!(out, "{answer}").and_then(|()| out.flush()) } else { Err(io::ErrorKind::BrokenPipe.into()) };
    match written {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => blocked(&format!("parkbrake: the answer could not be written ({error}), so the call is not allowed")),
    }
}

fn blocked(why: &str) -> ExitCode {
    terminal::complain(why);
    ExitCode::from(BLOCKED)
}

/// Whether standard output is read. A program that is started with a closed standard output gets
/// the null device instead, and would not notice.
#[cfg(unix)]
fn is_heard() -> bool {
    use std::os::fd::AsFd as _;
    use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
    let Ok(out) = io::stdout().as_fd().try_clone_to_owned() else { return false };
    let (Ok(out), Ok(null)) = (std::fs::File::from(out).metadata(), std::fs::metadata("/dev/null")) else { return false };
    !(out.file_type().is_char_device() && out.rdev() == null.rdev())
}

#[cfg(not(unix))]
fn is_heard() -> bool {
    true
}
