//! Servers as an init system runs them: each in its own slot, restarted whenever it ends, and
//! disturbed on command.

use crate::support::called;
use crate::support::{Config, Database, Process};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;
use tokio::process::Child;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// The pause before a server that ended is restarted.
const PAUSE: Duration = Duration::from_millis(200);

/// A disturbance of the server in a slot, even if it is not there yet or waits for another server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// SIGKILL; it is restarted at once.
    Kill,
    /// SIGSTOP.
    Freeze,
    /// SIGCONT.
    Thaw,
    /// SIGTERM; it is restarted once it has ended.
    Deploy,
    /// SIGTERM; it is not restarted.
    Leave,
    /// Starts the server, or restarts it.
    Come,
}

/// The record of a server that has ended.
#[derive(Debug, Default)]
pub struct Life {
    /// None if it was never ready.
    pub server: Option<Uuid>,
    /// The actions that it stopped because its lease was about to lapse.
    pub cut: BTreeSet<Uuid>,
    /// Lines that no server may ever log.
    pub alarms: Vec<String>,
}

pub struct Slot {
    orders: mpsc::UnboundedSender<Order>,
    pub address: watch::Receiver<Option<SocketAddr>>,
    task: JoinHandle<Vec<Life>>,
}

impl Slot {
    /// An empty slot, whose servers reach the database at this address.
    pub fn new(config: &Config, database: &Database, arguments: &[&str]) -> Self {
        let (orders, taken) = mpsc::unbounded_channel();
        let (announce, address) = watch::channel(None);
        let program = Program {
            config: config.path().to_owned(),
            url: database.url.clone(),
            arguments: arguments.iter().map(ToString::to_string).collect(),
        };
        let task = tokio::spawn(keep(program, taken, announce));
        Self { orders, address, task }
    }

    pub fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }

    /// Stops the server, and returns the records of all servers of this slot.
    #[track_caller]
    pub fn end(self) -> impl Future<Output = Vec<Life>> {
        called(async move {
            drop(self.orders);
            self.task.await.expect("a slot")
        })
    }
}

struct Program {
    config: PathBuf,
    url: String,
    arguments: Vec<String>,
}

/// A process that may be ready, may wait for another server, or may just be ending.
struct Server {
    child: Child,
    address: watch::Receiver<Option<SocketAddr>>,
    log: JoinHandle<Vec<String>>,
}

impl Program {
    fn start(&self) -> Server {
        let arguments: Vec<&str> = self.arguments.iter().map(String::as_str).collect();
        let (child, mut lines) = Process::spawn(&mut Process::command(&self.config, &self.url, &arguments, None));
        let (found, address) = watch::channel(None);
        let log = tokio::spawn(async move {
            let mut said = Vec::new();
            while let Ok(Some(line)) = lines.next_line().await {
                if line.contains("parkbrake is ready") {
                    let fields: Value = serde_json::from_str(&line).unwrap_or_default();
                    found.send_replace(fields["addr"].as_str().and_then(|text| text.parse().ok()));
                }
                said.push(line);
            }
            said
        });
        Server { child, address, log }
    }
}

impl Server {
    /// Waits until it answers; forever, if it ends before.
    async fn ready(address: &mut watch::Receiver<Option<SocketAddr>>) -> Option<SocketAddr> {
        let found = address.wait_for(Option::is_some).await.ok().and_then(|address| *address);
        if found.is_none() {
            std::future::pending::<()>().await;
        }
        found
    }

    fn signal(&self, signal: Signal) {
        // A process that has just ended cannot receive a signal.
        if let Some(pid) = self.child.id().and_then(|id| Pid::from_raw(id.try_into().ok()?)) {
            let _ = kill_process(pid, signal);
        }
    }
}

/// Runs servers until nobody sends orders any more.
async fn keep(program: Program, mut orders: mpsc::UnboundedReceiver<Order>, announce: watch::Sender<Option<SocketAddr>>) -> Vec<Life> {
    let (mut lives, mut is_wanted) = (Vec::new(), false);
    'slot: loop {
        while !is_wanted {
            match orders.recv().await {
                Some(order) => is_wanted = order == Order::Come,
                None => break 'slot,
            }
        }
        let mut server = program.start();
        let (mut is_ready, mut is_over, mut is_asked) = (false, false, false);
        let mut address = server.address.clone();
        let status = loop {
            let mut signal = None;
            tokio::select! {
                status = server.child.wait() => break status.expect("its end").code(),
                addr = Server::ready(&mut address), if !is_ready => {
                    is_ready = true;
                    announce.send_replace(addr);
                }
                order = orders.recv(), if !is_over => {
                    signal = Some(match order {
                        Some(Order::Kill) => Signal::KILL,
                        Some(Order::Freeze) => Signal::STOP,
                        Some(Order::Thaw | Order::Come) => Signal::CONT,
                        Some(Order::Deploy | Order::Leave) | None => Signal::TERM,
                    });
                    is_asked |= !matches!(order, Some(Order::Freeze | Order::Thaw | Order::Come));
                    is_wanted = !matches!(order, Some(Order::Leave) | None);
                    is_over = order.is_none();
                }
            }
            if let Some(signal) = signal {
                server.signal(signal);
                if signal == Signal::TERM {
                    server.signal(Signal::CONT);
                }
            }
        };
        announce.send_replace(None);
        let said = server.log.await.expect("its log");
        lives.push(life(status, &said, is_asked));
        if is_over {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    lives
}

/// Reasons for which a server may end on its own.
const GOOD_REASONS: [&str; 3] = ["another server has taken over", "another server works on this database", "the database is not available"];
/// Errors that a server may log when its lease is about to lapse or is lost. The last one is true
/// on an overloaded machine; the ledger shows its consequences.
const GOOD_ERRORS: [&str; 3] = ["the action is ended", "another server has taken over", "processes of actions could not be ended"];

fn life(status: Option<i32>, said: &[String], is_asked: bool) -> Life {
    let mut life = Life::default();
    let id = |line: &Value, name: &str| line[name].as_str().and_then(|text| Uuid::try_parse(text).ok());
    for line in said {
        let fields: Value = serde_json::from_str(line).unwrap_or_default();
        if line.contains("parkbrake is ready") {
            life.server = id(&fields, "server.id");
        }
        if line.contains("the action is ended") {
            life.cut.extend(id(&fields, "workflow.id"));
        }
        let is_good = GOOD_ERRORS.iter().any(|good| line.contains(good));
        if line.contains("panicked") || (fields["level"] == "ERROR" && !is_good) {
            life.alarms.push(line.clone());
        }
    }
    if !is_asked && !GOOD_REASONS.iter().any(|reason| said.iter().any(|line| line.contains(reason))) {
        let last: Vec<_> = said.iter().rev().take(4).rev().cloned().collect();
        life.alarms.push(format!("a server ended by itself ({status:?}): {}", last.join("\n")));
    }
    life
}
