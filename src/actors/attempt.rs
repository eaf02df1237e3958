//! One attempt at an action, under the fence: nothing starts without a lease, and what runs has ended before the lease has.

use crate::actors::ports::{Executor, Job};
use crate::domain::workflow::Outcome;
use crate::fence::Fence;
use std::sync::Arc;

/// What became of an attempt.
#[derive(Debug, PartialEq)]
pub enum Ran {
    Ended(Outcome),
    /// Its processes were ended before they had done their work, because the lease could not be renewed in time. This server holds it
    /// again.
    Cut,
}

/// Runs one attempt to its end. Where the lease cannot be renewed in time its processes are ended, so that they do not go on beside
/// another server; that is told once this server may act again, and by the other server if it never may.
pub async fn run(executor: &dyn Executor, fence: &Arc<Fence>, job: Job) -> Ran {
    let work = loop {
        fence.stands().await;
        if let Some(work) = fence.enter() {
            break work;
        }
    };
    let workflow_id = job.workflow_id;
    tracing::info!(workflow.id = %workflow_id, step = job.attempt.step, attempt = job.attempt.number, "the action starts");
    // In a task of its own, so that a panic in an executor is an outcome like any other.
    let mut run = tokio::spawn(executor.run(job));
    tokio::select! {
        // What has ended by itself is told as it was.
        biased;
        ended = &mut run => {
            let failed = |_| Outcome::Unknown { reason: "the executor itself failed; look at the server's log".to_owned() };
            return Ran::Ended(ended.unwrap_or_else(failed));
        }
        () = fence.fallen() => {}
    }
    tracing::error!(workflow.id = %workflow_id, "this server may be about to lose its database to another one: the action is ended");
    executor.end_stragglers(workflow_id).await;
    run.abort();
    let _ = run.await;
    // Also what came into being in between.
    executor.end_stragglers(workflow_id).await;
    drop(work);
    fence.stands().await;
    Ran::Cut
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::digest::Digest;
    use crate::domain::invocation::Invocation;
    use crate::domain::workflow::AttemptId;
    use crate::fence::Moment;
    use futures_util::future::BoxFuture;
    use std::sync::Mutex;
    use std::time::Duration;
    use tokio::time::timeout;
    use uuid::Uuid;

    /// Runs for as long as nobody ends it.
    #[derive(Default)]
    struct Endless(Arc<Mutex<Vec<&'static str>>>);

    impl Executor for Endless {
        fn run(&self, _: Job) -> BoxFuture<'static, Outcome> {
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
        };
        Job { workflow_id: Uuid::nil(), attempt: AttemptId { step: 1, number: 1 }, digest: Digest::of(b""), invocation }
    }

    #[tokio::test]
    async fn nothing_starts_while_the_fence_is_down_and_it_starts_once_the_lease_is_back() {
        let (executor, fence) = (Endless::default(), Fence::new(Uuid::nil(), Duration::from_secs(10)));
        let did = Arc::clone(&executor.0);
        let mut run = Box::pin(run(&executor, &fence, job()));
        assert!(timeout(Duration::from_millis(300), &mut run).await.is_err());
        assert!(did.lock().unwrap().is_empty());
        fence.renewed(Moment::now());
        assert!(timeout(Duration::from_millis(300), &mut run).await.is_err());
        assert_eq!(*did.lock().unwrap(), ["run"]);
    }

    #[tokio::test]
    async fn what_runs_is_ended_when_the_fence_falls_and_told_once_it_stands_again() {
        let (executor, fence) = (Endless::default(), Fence::new(Uuid::nil(), Duration::from_millis(3_200)));
        let did = Arc::clone(&executor.0);
        fence.renewed(Moment::now());
        let mut run = Box::pin(run(&executor, &fence, job()));
        assert!(timeout(Duration::from_millis(700), &mut run).await.is_err(), "it says nothing before it may act again");
        assert_eq!(*did.lock().unwrap(), ["run", "end", "end"]);
        fence.idle().await;
        fence.renewed(Moment::now());
        assert_eq!(timeout(Duration::from_secs(1), &mut run).await, Ok(Ran::Cut));
    }
}
