//! How a run ends that does not end on its own, and what it may leave behind.

use super::{Bench, WAIT_LIMIT, end_stragglers, runs, until};
use rustix::process::Signal;
use serde_json::json;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_background_process_does_not_block_the_end_of_a_run() {
    let bench = Bench::script("sleep 600 & echo $! > background; echo done");
    let begun = Instant::now();
    let output = bench.succeeded().await;
    assert!(begun.elapsed() < WAIT_LIMIT);
    assert_eq!((&output["stdout"], &output["streams_left_open"]), (&json!("done\n"), &json!(true)));
    let background = bench.number_in("background").await;
    assert!(runs(background), "a runbook may leave a service behind");
    rustix::process::kill_process(background, Signal::KILL).unwrap();
}

#[tokio::test]
async fn a_timeout_ends_a_command_that_ignores_the_signal() {
    let bench = Bench::script("trap '' TERM; echo $$ > own; echo begun; while :; do sleep 1; done").timeout(Duration::from_secs(1));
    let (error, output) = bench.failed().await;
    assert_eq!(error, "timed out after 1s; its process tree was ended");
    assert_eq!(output.unwrap()["stdout"], "begun\n");
    assert!(!runs(bench.number_in("own").await));
}

#[tokio::test]
async fn a_timeout_lets_a_command_clean_up() {
    let bench = Bench::script("trap 'echo cleaned; exit 0' TERM; while :; do sleep 0.1; done").timeout(Duration::from_secs(1));
    let (error, output) = bench.failed().await;
    assert_eq!(error, "timed out after 1s; its process tree was ended");
    assert_eq!(output.unwrap()["stdout"], "cleaned\n");
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_timeout_ends_those_that_left_the_group() {
    let script = "
        setsid sh -c 'echo $$ > session; trap \"\" TERM; while :; do sleep 1; done' &
        (setsid sh -c 'echo $$ > orphan; exec sleep 600' &)
        env -i sh -c 'setsid sh -c \"echo \\$\\$ > unmarked; exec sleep 600\"' &
        while :; do sleep 1; done";
    let bench = Bench::script(script).timeout(Duration::from_secs(3));
    assert_eq!(bench.failed().await.0, "timed out after 3s; its process tree was ended");
    for file in ["session", "orphan", "unmarked"] {
        assert!(!runs(bench.number_in(file).await), "{file}");
    }
}

#[tokio::test]
async fn a_run_that_is_dropped_leaves_nothing_behind() {
    let bench = Bench::script("(setsid sh -c 'echo $$ > orphan; exec sleep 600' &); echo $$ > own; exec sleep 600");
    let (own, orphan) = tokio::select! {
        outcome = bench.run() => panic!("ended: {outcome:?}"),
        pids = async { (bench.number_in("own").await, bench.number_in("orphan").await) } => pids,
    };
    until(|| (!runs(own)).then_some(())).await;
    if cfg!(target_os = "linux") {
        until(|| (!runs(orphan)).then_some(())).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn stragglers_of_a_workflow_are_ended_and_no_others() {
    let bench = Bench::script("setsid sh -c 'echo $$ > straggler; exec sleep 600' > /dev/null 2>&1 & echo $! > started");
    let other = Bench::script("setsid sh -c 'echo $$ > straggler; exec sleep 600' > /dev/null 2>&1 &");
    bench.succeeded().await;
    other.succeeded().await;
    let (straggler, kept) = (bench.number_in("straggler").await, other.number_in("straggler").await);
    assert!(runs(straggler));
    end_stragglers(bench.workflow_id).await;
    assert!(!runs(straggler));
    assert!(runs(kept));
    end_stragglers(other.workflow_id).await;
    assert!(!runs(kept));
}
