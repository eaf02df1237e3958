//! Superseding a request: the end of the old one and the beginning of the new one are one
//! transaction.

use super::super::pool::{unless_locked, within};
use super::{Advance, Error, Opening, Storage, Written};

/// A new workflow, and the commit that ends the request that it supersedes.
#[derive(Debug, Clone)]
pub struct Replacement {
    pub opening: Opening,
    pub ending: Advance,
}

impl Storage {
    /// Writes both or neither: nobody ever sees both of them wait, or none.
    ///
    /// # Errors
    /// The result is not known: the database did not answer, or refused the write.
    pub async fn replace(&self, Replacement { opening, ending }: &Replacement) -> Result<Written, Error> {
        self.store_terms(opening.events.iter().chain(&ending.events)).await?;
        let mut db = self.lease_writer().await?;
        within(sqlx::query("begin").execute(&mut *db)).await?;
        let mut written = first(self.advance_on(&mut db, &[ending]).await?);
        if matches!(written, Written::Committed { .. }) {
            written = first(self.open_on(&mut db, &[opening], true).await?);
        }
        let end = if matches!(written, Written::Committed { .. }) { "commit" } else { "rollback" };
        unless_locked(sqlx::query(end).execute(&mut *db)).await?;
        db.release();
        Ok(written)
    }
}

/// The answer of the only row.
fn first(answers: Vec<Written>) -> Written {
    answers.into_iter().next().unwrap_or(Written::Conflict)
}
