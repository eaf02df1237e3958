//! Approval terms, stored once: every request that is parked under the same terms refers to them.
//!
//! Terms are named by their digest, and the seal of an event covers that name. So changed terms are
//! detected when they are read.

use super::pool::within;
use super::{Error, Storage};
use crate::domain::policy::ApprovalTerms;
use crate::domain::workflow::{Event, TermsName};
use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError, RwLock};

/// The terms that this server has stored or read. There are few: those of each level of each
/// configuration.
#[derive(Debug, Default)]
pub(super) struct Terms(RwLock<Vec<(TermsName, Arc<ApprovalTerms>)>>);

impl Terms {
    /// The name of stored terms.
    pub fn name(&self, terms: &Arc<ApprovalTerms>) -> Option<TermsName> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        // Nearly always they are those of the configuration.
        let same = |other: &Arc<ApprovalTerms>| Arc::ptr_eq(other, terms) || other == terms;
        known.iter().rev().find(|(_, other)| same(other)).map(|(name, _)| *name)
    }

    /// The terms with this name.
    pub fn named(&self, name: TermsName) -> Option<Arc<ApprovalTerms>> {
        let known = self.0.read().unwrap_or_else(PoisonError::into_inner);
        known.iter().rev().find(|(other, _)| *other == name).map(|(_, terms)| Arc::clone(terms))
    }

    fn add(&self, name: TermsName, terms: Arc<ApprovalTerms>) {
        let mut known = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if known.iter().all(|(other, _)| *other != name) {
            known.push((name, terms));
        }
    }
}

/// The terms of an event.
fn terms_of(event: &Event) -> Option<&Arc<ApprovalTerms>> {
    match event {
        Event::ApprovalRequested { terms, .. } => Some(terms),
        _ => None,
    }
}

impl Storage {
    /// The name of an event's terms, if they are stored.
    pub(super) fn terms_name(&self, event: &Event) -> Option<TermsName> {
        self.terms.name(terms_of(event)?)
    }

    /// Stores those terms of these events that are not stored yet. Until then, no event refers to
    /// them.
    ///
    /// # Errors
    /// The database is unavailable, or the database user lacks the right.
    pub(super) async fn store_terms(&self, events: impl Iterator<Item = &Event>) -> Result<(), Error> {
        for terms in events.filter_map(terms_of) {
            if self.terms.name(terms).is_some() {
                continue;
            }
            let content = terms.to_stored();
            let name = TermsName::of(&content);
            let mut db = self.lease_writer().await?;
            let query = sqlx::query!(
                "insert into approval_terms (terms_id, content) values ($1, $2) on conflict (terms_id) do nothing",
                name.as_bytes(),
                content
            );
            within(query.execute(&mut *db)).await?;
            db.release();
            self.terms.add(name, Arc::clone(terms));
        }
        Ok(())
    }

    /// Reads the terms that log rows refer to and this server does not know yet.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub(super) async fn read_terms<'a>(&self, rows: impl Iterator<Item = &'a str>) -> Result<(), Error> {
        let missing = rows.filter_map(Event::terms_named).filter(|name| self.terms.named(*name).is_none());
        let names: BTreeSet<Vec<u8>> = missing.map(|name| name.as_bytes().to_vec()).collect();
        if names.is_empty() {
            return Ok(());
        }
        let names: Vec<Vec<u8>> = names.into_iter().collect();
        let mut db = self.lease().await?;
        let query = sqlx::query_scalar!("select content from approval_terms where terms_id = any($1)", &names);
        let found = within(query.fetch_all(&mut *db)).await?;
        db.release();
        for content in found {
            // Changed terms have another name now, or cannot be read: the logs that refer to them
            // are refused one by one.
            if let Ok(terms) = serde_json::from_str(&content) {
                self.terms.add(TermsName::of(&content), Arc::new(terms));
            }
        }
        Ok(())
    }
}
