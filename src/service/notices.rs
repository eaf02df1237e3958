//! Notices: what was said to the outside, what could not be said, and saying it once more.

use crate::domain::policy::roles;
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::lists::only_people;
use crate::service::{NoticeFilter, NoticeRow, Service, ServiceError};
use crate::storage::Resent;
use std::sync::Arc;
use uuid::Uuid;

/// A notice names people and how they are reached.
const FOR_PEOPLE: &str = "notices are for people to look at";

impl Service {
    /// Notices, the newest first, and where the next page begins.
    ///
    /// # Errors
    /// An agent asks; no database.
    pub async fn notices(&self, by: &Caller, filter: &NoticeFilter) -> Result<(Vec<NoticeRow>, Option<Uuid>), ServiceError> {
        only_people(by, FOR_PEOPLE)?;
        Ok(self.engine.storage.notices(filter).await?)
    }

    /// Has a notice sent once more.
    ///
    /// # Errors
    /// The caller is no admin; there is no such notice, or it cannot be sent again as it is; no database.
    pub async fn resend_notice(&self, by: &Caller, id: Uuid, permit: Arc<Permit>) -> Result<NoticeRow, ServiceError> {
        only_people(by, FOR_PEOPLE)?;
        if !by.has_role(roles::ADMIN) {
            return Err(ServiceError::NotPermitted("a notice is sent again by an admin".to_owned()));
        }
        let wrong =
            |row: Box<NoticeRow>, detail: &str| Err(ServiceError::WrongState { current_status: row.status, detail: detail.to_owned() });
        match self.engine.resend_notice_for(id, permit).await? {
            Resent::Pending(row) => {
                tracing::info!(notice.id = %id, by = by.name, "a notice is sent once more");
                Ok(*row)
            }
            Resent::Refused(row) if row.status == "pending" => wrong(row, "the notice waits to be delivered already"),
            Resent::Refused(row) => wrong(row, "the notice asks for a decision, and the request is settled; nobody is asked any more"),
            Resent::NotFound => Err(ServiceError::NoticeNotFound),
        }
    }
}
