//! One attempt at an action, under the fence: nothing starts without a lease, and a running attempt
//! ends before the lease does.

use crate::actors::ports::{Executor, Job};
use crate::domain::workflow::Outcome;
use crate::fence::Fence;
use std::sync::Arc;
use tracing::Instrument as _;

/// The end of an attempt.
#[derive(Debug, PartialEq)]
pub enum Ran {
    Ended(Outcome),
    /// Its processes were ended early because the lease could not be renewed in time. This server
    /// holds the lease again.
    Cut,
}

/// Runs one attempt to its end. If the lease cannot be renewed in time, its processes are ended, so
/// that they do not continue beside another server. This returns once this server may act again; if
/// it never may, the other server finds that the attempt was cut off.
///
/// The fence is checked first, and again right before the process starts: a server that was frozen
/// in between for longer than its lease starts nothing when it wakes up.
#[expect(
    clippy::disallowed_methods,
    reason = "the run is awaited below; in a task of its own a panic of an executor is an outcome like any other"
)]
pub async fn run(executor: &dyn Executor, fence: &Arc<Fence>, job: Job) -> Ran {
    let workflow_id = job.workflow_id;
    loop {
        fence.stands().await;
        let Some(work) = fence.enter() else { continue };
        if job.cancelled.is_given() {
            let error = "cancelled before it was started; nothing ran".to_owned();
            return Ran::Ended(Outcome::Cancelled { error, output: None });
        }
        let (holds, cancelled) = (Arc::clone(fence), job.cancelled.clone());
        // In a task of its own, so that a panic in an executor is an outcome like any other.
        let mut run = tokio::spawn(executor.run(job.clone(), Arc::new(move || holds.holds() && !cancelled.is_given())).in_current_span());
        tokio::select! {
            // An attempt that has ended on its own is reported as it ended.
            biased;
            ended = &mut run => {
                let failed = |_| Some(Outcome::Unknown { reason: "the executor failed; the server's log says why".to_owned() });
                match ended.unwrap_or_else(failed) {
                    Some(outcome) => return Ran::Ended(outcome),
                    // Nothing ran. Unless it was cancelled, the attempt is still this server's to
                    // run once the lease is back.
                    None => continue,
                }
            }
            () = fence.fallen() => {}
        }
        tracing::error!("this server may be about to lose its lease on the database to another one, so the action is ended");
        executor.end_stragglers(workflow_id).await;
        run.abort();
        let _ = run.await;
        // This includes processes that were started in the meantime.
        executor.end_stragglers(workflow_id).await;
        drop(work);
        fence.stands().await;
        return Ran::Cut;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::ports::{CancelSignal, MayStart, Work};
    use crate::domain::task::confinement::Limits;
    use crate::domain::task::digest::Digest;
    use crate::domain::task::invocation::Invocation;
    use crate::domain::workflow::AttemptId;
    use crate::fence::FenceTime;
    use futures_util::future::BoxFuture;
    use std::sync::Mutex;
    use std::time::Duration;
    use tokio::time::timeout;
    use uuid::Uuid;

    /// Runs for as long as nobody ends it.
    #[derive(Default)]
    struct Endless(Arc<Mutex<Vec<&'static str>>>);

    impl Executor for Endless {
        fn run(&self, _: Job, _: MayStart) -> BoxFuture<'static, Option<Outcome>> {
            self.0.lock().unwrap().push("run");
            Box::pin(std::future::pending())
        }

        fn identify(&self, invocation: Invocation) -> BoxFuture<'static, Result<Invocation, String>> {
            Box::pin(async { Ok(invocation) })
        }

        fn end_stragglers(&self, _: Uuid) -> BoxFuture<'static, ()> {
            self.0.lock().unwrap().push("end");
            Box::pin(async {})
        }
    }

    fn job() -> Job {
        let invocation = Invocation {
            command: vec!["true".to_owned()],
            program: None,
            files: Vec::new(),
            working_dir: "/".into(),
            user: None,
            env: Vec::new(),
            timeout: Duration::from_secs(60),
            idempotent: true,
            concurrency: None,
            limits: Limits::default(),
            sandbox: None,
            new_privileges: false,
            retry: None,
            probe: Vec::new(),
            precondition: None,
        };
        Job {
            workflow_id: Uuid::nil(),
            attempt: AttemptId { step: 1, number: 1 },
            digest: Digest::of(b""),
            work: Work::Run(invocation),
            cancelled: CancelSignal::never(),
        }
    }

    #[tokio::test]
    async fn nothing_starts_while_the_fence_is_down_and_it_starts_once_the_lease_is_back() {
        let (executor, fence) = (Endless::default(), Fence::new(Uuid::nil(), Duration::from_secs(10)));
        let did = Arc::clone(&executor.0);
        let mut run = Box::pin(run(&executor, &fence, job()));
        assert!(timeout(Duration::from_millis(300), &mut run).await.is_err());
        assert!(did.lock().unwrap().is_empty());
        fence.renewed(FenceTime::now());
        assert!(timeout(Duration::from_millis(300), &mut run).await.is_err());
        assert_eq!(*did.lock().unwrap(), ["run"]);
    }

    #[tokio::test]
    async fn a_run_ends_when_the_fence_falls_and_is_reported_once_it_holds_again() {
        let (executor, fence) = (Endless::default(), Fence::new(Uuid::nil(), Duration::from_millis(3_200)));
        let did = Arc::clone(&executor.0);
        fence.renewed(FenceTime::now());
        let mut run = Box::pin(run(&executor, &fence, job()));
        assert!(timeout(Duration::from_millis(700), &mut run).await.is_err(), "it says nothing before it may act again");
        assert_eq!(*did.lock().unwrap(), ["run", "end", "end"]);
        fence.idle().await;
        fence.renewed(FenceTime::now());
        assert_eq!(timeout(Duration::from_secs(1), &mut run).await, Ok(Ran::Cut));
    }

    #[tokio::test]
    async fn an_action_cancelled_before_its_start_does_not_start() {
        let (executor, fence) = (Endless::default(), Fence::new(Uuid::nil(), Duration::from_secs(10)));
        fence.renewed(FenceTime::now());
        let (canceler, cancelled) = CancelSignal::pair();
        canceler.cancel();
        let Ran::Ended(Outcome::Cancelled { error, .. }) = run(&executor, &fence, Job { cancelled, ..job() }).await else {
            panic!("it ran")
        };
        assert!(error.contains("nothing ran") && executor.0.lock().unwrap().is_empty());
    }

    /// Takes longer than the lease before it starts a process for the first time, and asks right
    /// before it does.
    struct Slow(Arc<Mutex<Vec<bool>>>);

    impl Executor for Slow {
        fn run(&self, _: Job, may_start: MayStart) -> BoxFuture<'static, Option<Outcome>> {
            let asked = Arc::clone(&self.0);
            Box::pin(async move {
                if asked.lock().unwrap().is_empty() {
                    // Blocks the thread, as if the whole process was frozen here.
                    std::thread::sleep(Duration::from_millis(400));
                }
                let may = may_start();
                asked.lock().unwrap().push(may);
                may.then_some(Outcome::Succeeded { output: None })
            })
        }

        fn identify(&self, invocation: Invocation) -> BoxFuture<'static, Result<Invocation, String>> {
            Box::pin(async { Ok(invocation) })
        }

        fn end_stragglers(&self, _: Uuid) -> BoxFuture<'static, ()> {
            Box::pin(async {})
        }
    }

    #[tokio::test]
    async fn a_server_that_was_frozen_right_before_the_start_starts_nothing_until_its_lease_is_back() {
        let (executor, fence) = (Slow(Arc::default()), Fence::new(Uuid::nil(), Duration::from_millis(3_200)));
        fence.renewed(FenceTime::now());
        let mut run = Box::pin(run(&executor, &fence, job()));
        assert!(timeout(Duration::from_millis(700), &mut run).await.is_err(), "it says nothing before it may act again");
        assert_eq!(*executor.0.lock().unwrap(), [false]);
        fence.renewed(FenceTime::now());
        assert_eq!(timeout(Duration::from_secs(5), &mut run).await, Ok(Ran::Ended(Outcome::Succeeded { output: None })));
        assert_eq!(*executor.0.lock().unwrap(), [false, true]);
    }
}
