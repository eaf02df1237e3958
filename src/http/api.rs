//! What all handlers share.

use crate::actors::engine::Engine;
use crate::domain::hosts::Hosts;
use crate::http::auth::Authenticator;
use crate::http::inbox::door::Door;
use crate::http::inbox::page::Pages;
use crate::http::limits::{Admissions, Limits};
use crate::http::problem::Problem;
use crate::http::quotas::Quotas;
use crate::http::slack::Slack;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use tokio::sync::watch;
use uuid::Uuid;

/// The handle that every handler gets; a copy for each request.
#[derive(Clone)]
pub struct Api(Arc<Shared>);

impl Deref for Api {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

/// The engine behind the API, and who may come in.
pub struct Shared {
    pub engine: Arc<Engine>,
    pub authenticator: Authenticator,
    pub admissions: Admissions,
    pub quotas: Quotas,
    /// The names by which it is called.
    pub hosts: Hosts,
    pub pages: Pages,
    /// The inbox's.
    pub door: Door,
    /// The buttons in Slack; none where no channel has any.
    pub slack: Option<Slack>,
    /// True once the server is stopping.
    closing: watch::Receiver<bool>,
}

impl Api {
    /// The API of an engine, with its buttons in Slack, which answers who is waiting when `closing` becomes true.
    pub fn new(engine: Arc<Engine>, slack: Option<Slack>, limits: Limits, hosts: Hosts, closing: watch::Receiver<bool>) -> Self {
        Self(Arc::new(Shared {
            engine,
            authenticator: Authenticator::default(),
            admissions: Admissions::new(limits),
            quotas: Quotas::default(),
            hosts,
            pages: Pages::default(),
            door: Door::default(),
            slack,
            closing,
        }))
    }

    /// Whether the server is stopping.
    pub fn is_closing(&self) -> bool {
        *self.closing.borrow()
    }

    /// Waits for something, but not beyond the server's end; `None` is its end.
    pub async fn until_closing<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let mut closing = self.closing.clone();
        tokio::select! {
            answer = work => Some(answer),
            _ = closing.wait_for(|closing| *closing) => None,
        }
    }
}

/// The id in a path. What is no id names no workflow.
pub struct WorkflowId(pub Uuid);

impl FromRequestParts<Api> for WorkflowId {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let Path(text) = Path::<String>::from_request_parts(parts, api).await.map_err(|_| Problem::not_found())?;
        Uuid::try_parse(&text).map(Self).map_err(|_| Problem::not_found())
    }
}
