//! Cancelling one running command.

use crate::runs::{Bench, runs, until};
use parkbrake::actors::ports::CancelSignal;
use parkbrake::domain::workflow::Outcome;
use serde_json::json;
use std::time::Duration;

/// Waits until a script has written its process id into this file.
async fn has_begun(bench: &Bench) {
    bench.number_in("begun").await;
}

const LONG: Duration = Duration::from_secs(600);
const SHORT: Duration = Duration::from_millis(100);

#[tokio::test]
async fn a_cancelled_command_gets_a_signal_and_its_record_keeps_signal_and_output() {
    let bench = Bench::script("echo so far; echo $$ > begun; exec sleep 600");
    let Outcome::Cancelled { error, output } = bench.cancelled(LONG, has_begun(&bench)).await else { panic!("it was cancelled") };
    assert!(error.ends_with("ended: SIGTERM"), "{error}");
    let output = output.unwrap();
    assert_eq!((&output["signal"], &output["stdout"], &output["exit_status"]), (&json!("SIGTERM"), &json!("so far\n"), &json!(null)));
}

#[tokio::test]
async fn a_command_that_ignores_the_signal_is_killed_when_the_grace_is_over() {
    let bench = Bench::script("trap '' TERM; echo $$ > begun; while :; do sleep 0.05; done");
    let Outcome::Cancelled { error, .. } = bench.cancelled(SHORT, has_begun(&bench)).await else { panic!("it was cancelled") };
    assert!(error.ends_with("ended: SIGKILL"), "{error}");
}

#[tokio::test]
async fn a_command_that_finishes_its_work_within_the_grace_has_succeeded_and_one_that_gives_up_is_cancelled() {
    let bench = Bench::script("trap 'echo finished; exit 0' TERM; echo $$ > begun; while :; do sleep 0.05; done");
    let Outcome::Succeeded { output } = bench.cancelled(LONG, has_begun(&bench)).await else { panic!("it had finished") };
    assert_eq!(output.unwrap()["stdout"], "finished\n");
    let bench = Bench::script("trap 'exit 7' TERM; echo $$ > begun; while :; do sleep 0.05; done");
    let Outcome::Cancelled { error, output } = bench.cancelled(LONG, has_begun(&bench)).await else { panic!("it was cancelled") };
    assert_eq!((error.ends_with("ended: exit status 7"), &output.unwrap()["exit_status"]), (true, &json!(7)));
}

#[tokio::test]
async fn an_action_that_ended_first_is_not_recorded_as_cancelled() {
    let (canceler, signal) = CancelSignal::pair();
    let bench = Bench::script("exit 3");
    let outcome = bench.run_if(&bench.invocation_found().await, || true, signal, LONG).await.expect("a start");
    canceler.cancel();
    assert!(matches!(&outcome, Outcome::Failed { error, .. } if error == "exit status 3"), "{outcome:?}");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_fork_that_outlives_its_parent_in_a_session_of_its_own_is_ended_too() {
    // The grandchild leaves the group, and its parent ends before the first search.
    let bench = Bench::script(
        "(setsid sh -c 'echo $$ > straggler; exec sleep 600' &); while [ ! -s straggler ]; do sleep 0.01; done; echo $$ > begun; exec sleep 600",
    );
    let Outcome::Cancelled { .. } = bench.cancelled(LONG, has_begun(&bench)).await else { panic!("it was cancelled") };
    let straggler = bench.number_in("straggler").await;
    until(|| (!runs(straggler)).then_some(())).await;
}
