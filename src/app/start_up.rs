//! What a server does with its database before it is ready. It is patient: after a reboot, an
//! update or a failover both start at the same time, and a short outage of the database must not
//! end the server.

use super::StartError;
use crate::fence::{Fence, FenceTime};
use crate::machine::{self, ProcessName};
use crate::secret_key::SecretKeys;
use crate::storage::{self, Claim, Error, Holder, Server, ServerLease, ServerProcess, Storage};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long one outage of the database may last, and how long to wait for another server that acts
/// on it.
const OUTAGE_LIMIT: Duration = Duration::from_secs(30);
/// The pause between two attempts.
const PAUSE: Duration = Duration::from_millis(250);

/// One outage, from the first unanswered call to the next answered one.
#[derive(Default)]
struct Outage(Option<Instant>);

impl Outage {
    /// Waits before the next attempt.
    ///
    /// # Errors
    /// The error itself, if the outage has lasted too long, or at once if waiting does not help.
    async fn sit_out(&mut self, error: Error) -> Result<(), Error> {
        let Error::Unavailable(reason) = &error else { return Err(error) };
        if self.0.is_none() {
            tracing::warn!(reason, "waiting for the database");
        }
        if self.0.get_or_insert_with(Instant::now).elapsed() > OUTAGE_LIMIT {
            return Err(error);
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }
}

/// Repeats a step until the database answers.
///
/// # Errors
/// The step's error, if the database was unavailable for too long or has answered.
pub(super) async fn patiently<T, F: Future<Output = Result<T, Error>>>(step: impl Fn() -> F) -> Result<T, Error> {
    let mut outage = Outage::default();
    loop {
        match step().await {
            Ok(done) => return Ok(done),
            Err(error) => outage.sit_out(error).await?,
        }
    }
}

/// Waits for the database, migrates it to this version, and connects.
///
/// # Errors
/// The database is unavailable or cannot be used.
pub(super) async fn open_storage(database_url: &str, keys: &SecretKeys, migrate: bool, connections: u32) -> Result<Storage, Error> {
    let storage = Storage::connect(database_url, connections)?.with_keys(keys.clone());
    patiently(|| async {
        if migrate {
            storage::migrate(database_url).await?;
        }
        storage.require_utf8().await
    })
    .await?;
    Ok(storage)
}

/// This server, as it identifies itself to others.
pub(super) fn server(server_id: Uuid, addr: SocketAddr) -> Server {
    let process = ProcessName::own();
    let process = process.and_then(|own| Some(ServerProcess { machine: own.machine, pid: own.pid, started: own.started.try_into().ok()? }));
    Server { server_id, address: addr.to_string(), host: machine::host_name(), version: env!("CARGO_PKG_VERSION"), process }
}

/// Claims the database for this server, and waits for another one that acts on it: until its lease
/// has lapsed, it has stopped, or its process on this same machine is found to have ended. Outages
/// of the database do not count.
///
/// # Errors
/// Another server still acts, or the database is unavailable.
pub(super) async fn claim(lease: &mut ServerLease, server: &Server, fence: &Fence) -> Result<(), StartError> {
    let mut outage = Outage::default();
    let (mut waited, mut longest, mut gone) = (Duration::ZERO, OUTAGE_LIMIT, None);
    loop {
        let (began, asked) = (Instant::now(), FenceTime::now());
        match lease.claim(server, gone).await {
            Ok(Claim::Granted) => {
                fence.renewed(asked);
                return Ok(());
            }
            Ok(Claim::Held(Some(holder))) => {
                outage = Outage::default();
                if gone != Some(holder.server_id) && has_ended(&holder) {
                    tracing::info!(server.id = %holder.server_id, "the server that acted on this database has ended");
                    gone = Some(holder.server_id);
                    continue;
                }
                if waited.is_zero() {
                    tracing::info!(
                        address = holder.address,
                        host = holder.host,
                        "another server acts on this database; waiting for it to end"
                    );
                    // If nobody renews a lease, this waits until it lapses, however long that
                    // takes.
                    longest = longest.max(holder.lapses_in + PAUSE * 4);
                }
                if waited > longest {
                    return Err(StartError::Taken(Box::new(holder)));
                }
            }
            Ok(Claim::Held(None)) => outage = Outage::default(),
            Err(error) => {
                outage.sit_out(error).await?;
                continue;
            }
        }
        tokio::time::sleep(PAUSE).await;
        waited += began.elapsed();
    }
}

/// Whether the process of a server ran on this machine and has ended.
fn has_ended(holder: &Holder) -> bool {
    let name = holder.process.as_ref().and_then(|process| {
        Some(ProcessName { machine: process.machine.clone(), pid: process.pid, started: process.started.try_into().ok()? })
    });
    name.is_some_and(|name| name.is_gone())
}
