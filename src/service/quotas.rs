//! Quotas: whether an agent may submit one more task now. The configuration sets the numbers
//! (`domain/policy/quota.rs`).

use crate::actors::engine::Engine;
use crate::actors::protocol::{Failure, Submitted};
use crate::domain::policy::quota::{Bucket, Ledger, Quota};
use crate::domain::workflow::Status;
use crate::service::ServiceError;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Handle;

/// The advised pause for an agent that has the maximum number of requests waiting.
const PAUSE: Duration = Duration::from_secs(10);

/// How long after its answer was lost a commit can still take effect.
const LATEST: Duration = Duration::from_secs(20);

/// The account of each agent.
#[derive(Debug, Default)]
pub struct Quotas(Mutex<HashMap<String, Arc<Account>>>);

/// The submits and the waiting requests of one agent.
#[derive(Debug)]
pub struct Account {
    opened: Instant,
    books: Mutex<Books>,
    /// Held while the database counts: one count answers all calls that arrive meanwhile.
    counting: tokio::sync::Mutex<Option<Instant>>,
}

#[derive(Debug)]
struct Books {
    bucket: Bucket,
    ledger: Ledger,
}

impl Account {
    fn with<T>(&self, work: impl FnOnce(&mut Books) -> T) -> T {
        work(&mut self.books.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Quotas {
    /// Lets an agent submit one more task. `would_wait` is evaluated only if the agent has no
    /// capacity left for waiting requests.
    ///
    /// # Errors
    /// `rate-limited`; or the database, which holds the counters, is unavailable.
    pub async fn admit(&self, engine: &Engine, agent: &str, would_wait: impl FnOnce() -> bool + Send) -> Result<Reservation, ServiceError> {
        let account = self.take(engine, agent)?;
        Self::admit_counted(engine, agent, account, would_wait).await
    }

    /// The same for an agent whose submit has been counted already.
    ///
    /// # Errors
    /// `rate-limited`; or the database, which holds the counters, is unavailable.
    pub async fn admit_counted(
        engine: &Engine,
        agent: &str,
        account: Arc<Account>,
        would_wait: impl FnOnce() -> bool + Send,
    ) -> Result<Reservation, ServiceError> {
        let quota = engine.configuration.quotas.of(agent);
        if account.with(|books| books.ledger.admit(quota.pending)) {
            return Ok(Reservation(Some(account)));
        }
        if !would_wait() {
            return Ok(Reservation(None));
        }
        // Boxed, because it is rare: see `tasks::orchestrate`.
        match Box::pin(count(engine, agent, quota, &account)).await? {
            true => Ok(Reservation(Some(account))),
            false => {
                let detail = format!(
                    "{} requests of {agent} wait for people, as many as may; wait until some are decided, or cancel some",
                    quota.pending
                );
                Err(ServiceError::RateLimited { detail, retry_after: PAUSE })
            }
        }
    }

    /// Lets an agent submit or comment once more within the minute.
    ///
    /// # Errors
    /// `rate-limited`.
    pub fn take(&self, engine: &Engine, agent: &str) -> Result<Arc<Account>, ServiceError> {
        let quota = engine.configuration.quotas.of(agent);
        let account = self.account(agent, quota);
        account.with(|books| books.bucket.take(quota, account.opened.elapsed())).map_err(|pause| {
            let Quota { submits_per_minute, burst, .. } = quota;
            let detail = format!(
                "{agent} may submit {submits_per_minute} tasks and comments a minute, and {burst} at once; send fewer, or have an operator raise `quotas`"
            );
            ServiceError::RateLimited { detail, retry_after: pause }
        })?;
        Ok(account)
    }

    fn account(&self, agent: &str, quota: Quota) -> Arc<Account> {
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(account) = accounts.get(agent) {
            return Arc::clone(account);
        }
        let books = Books { bucket: Bucket::full(quota), ledger: Ledger::default() };
        let account = Arc::new(Account { opened: Instant::now(), books: Mutex::new(books), counting: tokio::sync::Mutex::new(None) });
        accounts.insert(agent.to_owned(), Arc::clone(&account));
        account
    }
}

/// Counts in the database, and admits one if there is capacity.
async fn count(engine: &Engine, agent: &str, quota: Quota, account: &Account) -> Result<bool, ServiceError> {
    let asked = Instant::now();
    let mut began = account.counting.lock().await;
    if account.with(|books| books.ledger.admit(quota.pending)) {
        return Ok(true);
    }
    // A count that began after this request arrived is recent enough.
    if began.is_none_or(|began| began < asked) {
        let now = Instant::now();
        account.with(|books| books.ledger.count());
        let count = engine.storage.count_pending_of(agent, quota.pending).await?;
        account.with(|books| books.ledger.counted(count));
        *began = Some(now);
    }
    Ok(account.with(|books| books.ledger.admit(quota.pending)))
}

/// Capacity for one request that may wait for people. Unless its outcome is noted, it counts as
/// waiting.
#[derive(Debug)]
pub struct Reservation(Option<Arc<Account>>);

impl Reservation {
    /// Uncounted capacity, for people: quotas do not limit them.
    pub fn uncounted() -> Self {
        Self(None)
    }

    /// Gives the capacity back, because nothing was submitted.
    pub fn give_back(mut self) {
        if let Some(account) = self.0.take() {
            account.with(|books| books.ledger.release(false));
        }
    }

    /// Notes the outcome of the submit.
    pub fn release(mut self, answer: &Result<Submitted, Failure>) {
        let may_wait = match answer {
            Ok(Submitted::Accepted(workflow)) => workflow.status() == Status::PendingApproval,
            Ok(Submitted::KeyUsed) | Err(Failure::NotFound | Failure::Refused(_) | Failure::Held(_) | Failure::Internal(_)) => false,
            Err(_) => true,
        };
        let Some(account) = self.0.take() else { return };
        // When the process ends, work is dropped where no task can be spawned any more. Nobody
        // counts then.
        match Handle::try_current() {
            // The commit may still take effect, and a count made before that would miss it.
            Ok(runtime) if matches!(answer, Err(Failure::Unavailable(_))) => {
                runtime.spawn(async move {
                    tokio::time::sleep(LATEST).await;
                    account.with(|books| books.ledger.release(may_wait));
                });
            }
            _ => account.with(|books| books.ledger.release(may_wait)),
        }
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        if let Some(account) = self.0.take() {
            account.with(|books| books.ledger.release(true));
        }
    }
}
