//! Ends all processes of a run.
//!
//! A command that runs out of time has usually started other processes, and an operator who reads
//! "timed out" must be able to trust that none of them goes on. A signal to the process group
//! misses processes that called `setsid`. So on Linux the processes are found in three ways: by the
//! group, by parent links (including those of processes that were seen earlier and whose parents
//! are gone), and by the run's mark, which every process inherits in its environment. The only
//! process that escapes is one that leaves the group, loses its parents and clears its environment
//! before the first search. On other systems there is no `/proc`, and only the group is ended.

#[cfg(target_os = "linux")]
use crate::execution::launcher::BUBBLEWRAP;
use crate::execution::run::{ATTEMPT, WORKFLOW_ID};
use rustix::process::{Pid, Signal, kill_process_group};
use std::time::Duration;
use uuid::Uuid;

/// How long processes have to end after SIGTERM before they are killed.
pub const GRACE: Duration = Duration::from_secs(2);

/// A mark that the processes of a run carry in their environment.
#[derive(Debug, Clone)]
#[cfg_attr(not(target_os = "linux"), allow(dead_code))]
pub struct Mark(Vec<String>);

impl Mark {
    /// The mark of every attempt of a workflow.
    pub fn of_workflow(workflow_id: Uuid) -> Self {
        Self(vec![format!("{WORKFLOW_ID}={workflow_id}")])
    }

    /// The mark of one attempt.
    pub fn of_attempt(workflow_id: Uuid, attempt: u32) -> Self {
        Self(vec![format!("{WORKFLOW_ID}={workflow_id}"), format!("{ATTEMPT}={attempt}")])
    }

    #[cfg(target_os = "linux")]
    fn is_on(&self, environment: &[u8]) -> bool {
        self.0.iter().all(|entry| environment.split(|byte| *byte == 0).any(|variable| variable == entry.as_bytes()))
    }
}

/// The processes that one run has started. Dropping the tree ends them, unless it was
/// [left](Self::leave).
pub struct Tree {
    /// The process group of the command; `None` when there is nothing more to end.
    group: Option<Pid>,
    mark: Mark,
}

impl Tree {
    /// The tree of a command that leads its own process group. **The command must not be waited for
    /// before the tree is gone**: until then no other process can get its number.
    pub fn new(group: Pid, mark: Mark) -> Self {
        Self { group: Some(group), mark }
    }

    /// Lets the tree go, because the command ended on its own. Its background processes go on.
    pub fn leave(mut self) {
        self.group = None;
    }

    /// Ends all processes of the tree, which have this long to end on their own. Returns the ids of
    /// those that could not be ended.
    pub async fn end(mut self, grace: Duration) -> Vec<i32> {
        let left = end(self.group, self.mark.clone(), grace).await;
        self.group = None;
        left
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        if let Some(group) = self.group {
            let _ = kill_process_group(group, Signal::KILL);
            // Nobody waits any more, and a drop must not block, so a separate thread ends the rest.
            let mark = self.mark.clone();
            let _ = std::thread::Builder::new().name("end-of-run".to_owned()).spawn(move || blocking::end(None, &mark, GRACE));
        }
    }
}

/// Ends all processes of a group or with a mark. Returns the ids of those that could not be ended.
pub async fn end(group: Option<Pid>, mark: Mark, grace: Duration) -> Vec<i32> {
    tokio::task::spawn_blocking(move || blocking::end(group, &mark, grace)).await.expect("ending processes does not panic")
}

#[cfg(target_os = "linux")]
#[expect(clippy::disallowed_methods, reason = "all of it runs within `spawn_blocking`")]
mod blocking {
    use super::{BUBBLEWRAP, Mark};
    use crate::procfs::{self, Process};
    use rustix::process::{Pid, Signal, kill_process_group};
    use std::collections::BTreeSet;
    use std::thread::sleep;
    use std::time::{Duration, Instant};

    /// How long to go on killing, in case a process starts others faster than they are found, or
    /// the kernel does not let one go.
    const INSISTENCE: Duration = Duration::from_secs(5);

    /// The time between two searches.
    const PAUSE: Duration = Duration::from_millis(10);

    pub fn end(group: Option<Pid>, mark: &Mark, grace: Duration) -> Vec<i32> {
        let mut family = Family::new(group, mark);
        // Searched before the signal: once the parents are gone, so are the links to their
        // children. A sandbox that is signaled kills its contents at once, so it gets no signal: it
        // ends on its own when its contents have ended.
        for process in family.look().iter().filter(|process| process.name() != BUBBLEWRAP) {
            process.signal(Signal::TERM);
        }
        let killing = Instant::now() + grace;
        while Instant::now() < killing && !family.look().is_empty() {
            sleep(PAUSE);
        }
        let giving_up = Instant::now() + INSISTENCE;
        loop {
            let living = family.look();
            if living.is_empty() || Instant::now() > giving_up {
                return living.into_iter().map(|process| process.pid).collect();
            }
            if let Some(group) = group {
                let _ = kill_process_group(group, Signal::KILL);
            }
            for process in living {
                process.signal(Signal::KILL);
            }
            sleep(PAUSE);
        }
    }

    /// The known processes of a run.
    struct Family<'a> {
        group: Option<i32>,
        mark: &'a Mark,
        /// The processes that were seen, so that their children are found even without the mark.
        known: BTreeSet<(i32, u64)>,
        /// This process and its ancestors: a server that was started by a runbook carries that
        /// run's mark itself.
        spared: BTreeSet<i32>,
    }

    impl<'a> Family<'a> {
        fn new(group: Option<Pid>, mark: &'a Mark) -> Self {
            let own = rustix::process::getpid().as_raw_pid();
            let spared = procfs::with_ancestors(own).into_iter().map(|process| process.pid).collect();
            Self { group: group.map(Pid::as_raw_pid), mark, known: BTreeSet::new(), spared }
        }

        /// The processes that are alive now.
        fn look(&mut self) -> Vec<Process> {
            let mut others = procfs::all();
            others.retain(|process| !self.spared.contains(&process.pid));
            let (mut family, mut others): (Vec<_>, Vec<_>) = others.into_iter().partition(|process| {
                self.known.contains(&(process.pid, process.started))
                    || self.group == Some(process.group)
                    || self.mark.is_on(&process.environment())
            });
            // Children, their children, and so on: each round finds the children of the processes
            // that the last round added.
            let mut parents: BTreeSet<i32> = family.iter().map(|process| process.pid).collect();
            while !parents.is_empty() {
                let (children, rest): (Vec<_>, Vec<_>) = others.into_iter().partition(|process| parents.contains(&process.parent));
                parents = children.iter().map(|process| process.pid).collect();
                family.extend(children);
                others = rest;
            }
            self.known = family.iter().map(|process| (process.pid, process.started)).collect();
            family
        }
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::disallowed_methods, reason = "all of it runs within `spawn_blocking`")]
mod blocking {
    use super::Mark;
    use rustix::process::{Pid, Signal, kill_process_group};

    pub fn end(group: Option<Pid>, _: &Mark, grace: std::time::Duration) -> Vec<i32> {
        if let Some(group) = group {
            let _ = kill_process_group(group, Signal::TERM);
            std::thread::sleep(grace);
            let _ = kill_process_group(group, Signal::KILL);
        }
        Vec::new()
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_a_whole_entry() {
        let mark = Mark::of_attempt(Uuid::nil(), 1);
        let environment = |attempt: &str| format!("A=1\0PARKBRAKE_ATTEMPT={attempt}\0PARKBRAKE_WORKFLOW_ID={}\0", Uuid::nil());
        assert!(mark.is_on(environment("1").as_bytes()));
        assert!(!mark.is_on(environment("12").as_bytes()));
        assert!(!mark.is_on(b""));
        assert!(Mark::of_workflow(Uuid::nil()).is_on(environment("12").as_bytes()));
        assert!(!Mark::of_workflow(Uuid::max()).is_on(environment("1").as_bytes()));
    }
}
