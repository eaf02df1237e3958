//! The faults: each is a way in which connections, databases, machines and operators fail, and ends
//! on its own.

use super::dice::Dice;
use super::slots::Order;
use super::world::World;
use crate::support::proxy::{Fault as Line, Which};
use rustix::process::{Pid, Signal, kill_process};
use std::time::Duration;
use tokio::time::sleep;

/// The statement that renews a lease, and no other.
const RENEWAL: &str = "update server set lease_until";
/// The statements that are worth losing: commits, a lease, a log, queued work, due work.
const STATEMENTS: [&str; 6] =
    ["advance_workflows", "advance_workflows", "open_workflows", RENEWAL, "from workflow_event", "from workflow w"];

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Fault {
    LoseAnswers,
    HoldAnswer,
    HoldRequest,
    CutBefore,
    LateAnswers,
    CutAll,
    CutLease,
    FreezeLease,
    FreezeAll,
    RefuseConnections,
    TerminateBackends,
    KillBackend,
    RestartDatabase,
    StallCommits,
    LockRows,
    LockTable,
    KillServer,
    FreezeServer,
    Deploy,
    StandbyLeaves,
}

impl Fault {
    pub const ALL: [Self; 20] = [
        Self::LoseAnswers,
        Self::HoldAnswer,
        Self::HoldRequest,
        Self::CutBefore,
        Self::LateAnswers,
        Self::CutAll,
        Self::CutLease,
        Self::FreezeLease,
        Self::FreezeAll,
        Self::RefuseConnections,
        Self::TerminateBackends,
        Self::KillBackend,
        Self::RestartDatabase,
        Self::StallCommits,
        Self::LockRows,
        Self::LockTable,
        Self::KillServer,
        Self::FreezeServer,
        Self::Deploy,
        Self::StandbyLeaves,
    ];

    /// Causes the fault, and ends it.
    pub async fn happen(self, world: &World, mut dice: Dice) {
        // Usually it affects the acting server.
        let there: Vec<usize> = (0..world.slots.len()).filter(|slot| world.slots[*slot].address.borrow().is_some()).collect();
        let index = if there.is_empty() { dice.below(world.slots.len()) } else { dice.one_of(&there) };
        let (slot, proxy) = (&world.slots[index], &world.proxies[index]);
        let short = dice.between(100, 2_500);
        // A third of them outlast the lease.
        let long = if dice.percent(33) { dice.between(6_000, 11_000) } else { dice.between(300, 4_000) };
        match self {
            Self::LoseAnswers => {
                for _ in 0..=dice.below(5) {
                    proxy.next(dice.one_of(&STATEMENTS), Line::LoseAnswer, 1 + dice.below(3));
                    sleep(dice.between(50, 400)).await;
                }
            }
            Self::HoldAnswer | Self::HoldRequest | Self::CutBefore => {
                let fault = match self {
                    Self::HoldAnswer => Line::HoldAnswer,
                    Self::HoldRequest => Line::HoldRequest,
                    _ => Line::CutBefore,
                };
                proxy.next(dice.one_of(&STATEMENTS), fault, 1 + dice.below(2));
                sleep(long).await;
                proxy.thaw();
            }
            Self::LateAnswers => {
                proxy.delay_one_of(7, dice.between(20, 120));
                sleep(short * 2).await;
                proxy.relent();
            }
            Self::CutAll => {
                for _ in 0..=dice.below(3) {
                    proxy.cut(Which::Existing);
                    sleep(dice.between(20, 500)).await;
                }
            }
            Self::CutLease => proxy.cut(Which::Running(RENEWAL)),
            Self::FreezeLease | Self::FreezeAll => {
                proxy.freeze(if self == Self::FreezeAll { Which::All } else { Which::Running(RENEWAL) });
                sleep(long).await;
                proxy.thaw();
            }
            Self::RefuseConnections => {
                proxy.refuse(true);
                proxy.cut(Which::Existing);
                sleep(short).await;
                proxy.refuse(false);
            }
            Self::TerminateBackends => {
                let some = "select pg_terminate_backend(pid) from pg_stat_activity
                            where datname = current_database() and application_name = 'parkbrake' and random() < 0.6";
                world.sql(some).await;
            }
            // PostgreSQL recovers from that as from a crash.
            Self::KillBackend => {
                let one = "select pid from pg_stat_activity where datname = current_database() and application_name = 'parkbrake' order by random() limit 1";
                if let Some(pid) = world.number(one).await.and_then(Pid::from_raw) {
                    let _ = kill_process(pid, Signal::KILL);
                }
            }
            Self::RestartDatabase => world.restart_database(short / 2).await,
            // Like a slow disk or a standby: no statement timeout ends it.
            Self::StallCommits => {
                let seconds = long.min(Duration::from_secs(8)).as_secs_f64();
                world.sql(&format!("update stall set seconds = {seconds}")).await;
                sleep(dice.between(50, 600)).await;
                world.until_done("update stall set seconds = 0").await;
            }
            Self::LockRows => {
                let rows =
                    "select from workflow where status in ('pending_approval', 'queued', 'executing') order by random() limit 4 for update";
                world.hold(rows, short * 2).await;
            }
            Self::LockTable => world.hold("lock table workflow_event in share mode", short).await,
            Self::KillServer => {
                for _ in 0..=dice.below(2) {
                    slot.order(Order::Kill);
                    sleep(dice.between(100, 900)).await;
                }
            }
            Self::FreezeServer => {
                slot.order(Order::Freeze);
                sleep(long).await;
                slot.order(Order::Thaw);
            }
            Self::Deploy => slot.order(Order::Deploy),
            Self::StandbyLeaves => {
                slot.order(Order::Leave);
                sleep(long).await;
                slot.order(Order::Come);
            }
        }
    }
}
