//! The use cases of parkbrake, shared by every way in.
//!
//! Permissions, admission limits, quotas and idempotency are enforced here, once for every way in.
//! A way in parses its input, calls a use case, and renders the result.

pub mod admission;
mod comment;
pub mod decide;
mod error;
pub mod evidence;
pub mod export;
pub mod follow;
pub mod grants;
pub mod halts;
mod limits;
pub mod lists;
mod notices;
mod openid;
mod operations;
pub mod policy;
pub mod proposals;
pub mod push;
mod quotas;
mod results;
pub mod review;
pub mod reviews;
mod show;
mod sign_in;
pub mod statistics;
pub mod submit;
pub mod system;
pub mod tool_calls;

pub use error::ServiceError;
pub use limits::{Admissions, Limits};
pub use notices::{Notice, NoticeQuery};
pub use operations::Readiness;
pub use results::{About, Count, Decided, Finds, Listed, WINDOW, Waiting};
pub use show::{Earlier, Quarantine, Shown};

use crate::actors::engine::Engine;
use crate::actors::ports::{Mailer, Subscribing};
use crate::domain::risk::matrix::Matrix;
use crate::identity::Identity;
use crate::openid::Provider;
use crate::service::quotas::Quotas;
use crate::telemetry;
use chrono::{DateTime, Datelike, Utc};
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::{OnceCell, Semaphore, watch};
use uuid::Uuid;

/// The use cases of one server: a handle that is cloned for each request.
#[derive(Clone)]
pub struct Service(Arc<Shared>);

impl Deref for Service {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The dependencies of the use cases.
pub struct Shared {
    engine: Arc<Engine>,
    pub identity: Identity,
    pub admissions: Admissions,
    quotas: Quotas,
    /// Sends sign-in links by mail, if that is configured.
    mailer: Option<Arc<dyn Mailer>>,
    /// The OpenID Connect provider, if one is configured.
    openid: Option<Provider>,
    /// What browsers need to subscribe to notices, if a channel sends them some.
    subscribing: Option<Arc<dyn Subscribing>>,
    /// Limits the mails that are being sent.
    mails: Arc<Semaphore>,
    /// Held while a link for a mail is made: the links of a person are counted first, and two at
    /// once would not count each other.
    mail_turn: tokio::sync::Mutex<()>,
    /// Limits the tool calls that are being read.
    readers: Arc<Semaphore>,
    /// The matrix of the rules, computed on first use.
    matrix: OnceCell<Arc<Matrix>>,
    /// True once the server is stopping.
    closing: watch::Receiver<bool>,
}

/// The ways to sign in other than a token.
#[derive(Default)]
pub struct WaysIn {
    pub mailer: Option<Arc<dyn Mailer>>,
    pub openid: Option<Provider>,
}

impl Service {
    /// The use cases over an engine. When `closing` becomes true, every waiting caller is answered
    /// at once.
    pub fn new(
        engine: Arc<Engine>,
        limits: Limits,
        closing: watch::Receiver<bool>,
        ways_in: WaysIn,
        subscribing: Option<Arc<dyn Subscribing>>,
    ) -> Self {
        let clock = Arc::clone(&engine.clock);
        let now = Arc::new(move || clock.now());
        let identity = Identity::new(engine.storage.clone(), Arc::clone(&engine.configuration), Arc::clone(&engine.suspensions), now);
        let WaysIn { mailer, openid } = ways_in;
        let (admissions, mails) = (Admissions::new(limits), Arc::new(Semaphore::new(sign_in::MAILS)));
        let readers = Arc::new(Semaphore::new(std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2))));
        let (quotas, matrix) = (Quotas::default(), OnceCell::new());
        let mail_turn = tokio::sync::Mutex::default();
        Self(Arc::new(Shared {
            engine,
            identity,
            admissions,
            quotas,
            mailer,
            openid,
            subscribing,
            mails,
            mail_turn,
            readers,
            matrix,
            closing,
        }))
    }

    /// The current time, by the database's clock.
    pub fn now(&self) -> DateTime<Utc> {
        self.engine.clock.now()
    }

    /// Whether the server is stopping.
    fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits for `work`, or until the server stops, which gives `None`.
    async fn until_closing<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut closing = self.closing.clone();
        tokio::select! {
            answer = work => Some(answer),
            _ = closing.wait_for(|closing| *closing) => None,
        }
    }
}

/// Turns the error of work for one workflow into the caller's error, in the workflow's span, so
/// that the log names the workflow.
fn about<E: Into<ServiceError>>(id: Uuid) -> impl FnOnce(E) -> ServiceError {
    move |error| telemetry::workflow(id).in_scope(|| error.into())
}

/// Whether the database can be queried with this time: its year has at most four digits.
pub fn is_near(at: &impl Datelike) -> bool {
    (1..=9_999).contains(&at.year())
}
