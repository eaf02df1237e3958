//! Readiness and metrics, for operators.

use crate::domain::hold::Halt;
use crate::identity::Caller;
use crate::service::lists::only_people;
use crate::service::{Service, ServiceError};
use uuid::Uuid;

/// Whether the server can work, and what is missing if it cannot.
#[derive(Debug, Clone)]
pub struct Readiness {
    pub database: bool,
    pub actors: bool,
    /// Whether this server holds the lease on its database.
    pub lease: bool,
    pub closing: bool,
    pub server_id: Uuid,
    /// The halts in force. A halted server is ready: it accepts tasks and decisions.
    pub halts: Vec<Halt>,
}

impl Readiness {
    /// Whether nothing is missing.
    pub fn is_ready(&self) -> bool {
        self.database && self.actors && self.lease && !self.closing
    }
}

impl Service {
    /// Checks the parts of the server.
    pub async fn readiness(&self) -> Readiness {
        Readiness {
            database: self.engine.storage.ping().await.is_ok(),
            actors: self.engine.is_ready(),
            lease: self.engine.fence.holds(),
            closing: self.is_closing(),
            server_id: self.engine.owner,
            halts: self.halts(),
        }
    }

    /// The metrics, in the OpenMetrics text format. They cover the workflows of all requesters.
    ///
    /// # Errors
    /// The caller is an agent.
    pub fn metrics(&self, by: &Caller) -> Result<String, ServiceError> {
        only_people(by, "metrics contain everybody's workflows: read them with the token of a person, such as an auditor")?;
        let (metrics, under_way) = (&self.engine.metrics, self.admissions.changes.under_way());
        metrics.requests_under_way.set(i64::try_from(under_way.requests).unwrap_or(i64::MAX));
        metrics.request_bytes_under_way.set(i64::try_from(under_way.bytes).unwrap_or(i64::MAX));
        Ok(metrics.text())
    }
}
