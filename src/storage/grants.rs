//! Standing grants: giving, revoking and listing them. The commits that they release count their
//! uses (`checkpoint.rs`).
//!
//! A grant is sealed like the events of a log. So a grant that somebody else wrote into the
//! database, or widened there, releases nothing.

use super::pool::unless_locked;
use super::{Error, Storage};
use crate::domain::grant::{Grant, GrantTerms, Micros, Revoked};
use crate::domain::policy::Role;
use crate::domain::via::Via;
use crate::secret_key::{Purpose, Seal, SecretKeys};
use chrono::{DateTime, Utc};
use uuid::Uuid;

/// A new grant.
#[derive(Debug, Clone)]
pub struct NewGrant {
    /// Giving it again with the same id is safe.
    pub id: Uuid,
    pub terms: GrantTerms,
    pub given_by: String,
    pub roles: Vec<Role>,
    pub via: Via,
    pub justification: String,
    pub expires_at: DateTime<Utc>,
}

/// Who revokes a grant, and why.
#[derive(Debug, Clone)]
pub struct Revocation {
    pub id: Uuid,
    pub by: String,
    pub via: Via,
    pub reason: Option<String>,
}

/// A grant as it is stored.
struct Row {
    grant_id: Uuid,
    requester: String,
    terms: String,
    given_by: String,
    roles: Vec<Role>,
    via: String,
    justification: String,
    given_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    uses: i32,
    cost: Option<i64>,
    seal: Vec<u8>,
    revoked_by: Option<String>,
    revoked_via: Option<String>,
    revoked_at: Option<DateTime<Utc>>,
    revoke_reason: Option<String>,
    used: i32,
    spent: i64,
}

impl Row {
    /// The parts that its seal covers.
    fn sealed<T>(&self, with: impl FnOnce(&[&[u8]]) -> T) -> T {
        let (expires, uses) = (self.expires_at.timestamp_micros().to_be_bytes(), self.uses.to_be_bytes());
        let cost = self.cost.map_or_else(String::new, |cost| cost.to_string());
        let mut parts: Vec<&[u8]> =
            vec![self.grant_id.as_bytes(), self.requester.as_bytes(), self.terms.as_bytes(), self.given_by.as_bytes()];
        parts.extend([self.via.as_bytes(), self.justification.as_bytes(), expires.as_slice(), uses.as_slice(), cost.as_bytes()]);
        parts.extend(self.roles.iter().map(String::as_bytes));
        with(&parts)
    }

    fn seal(&self, keys: &SecretKeys) -> Seal {
        self.sealed(|parts| keys.seal(Purpose::Grant, parts))
    }

    /// The grant, if a server with this key gave it.
    fn read(self, keys: &SecretKeys) -> Option<Grant> {
        let is_ours = self.sealed(|parts| keys.verifies(Purpose::Grant, parts, &self.seal));
        let terms = is_ours.then(|| serde_json::from_str::<GrantTerms>(&self.terms).ok()).flatten();
        let Some(terms) = terms else {
            tracing::error!(grant.id = %self.grant_id, "a grant is ignored: the seal of its row does not verify, so the row was changed, or written without the server's secret key");
            return None;
        };
        let revoked = self.revoked_by.zip(self.revoked_at).map(|(by, at)| Revoked {
            by,
            via: self.revoked_via.as_deref().and_then(Via::parse).unwrap_or_default(),
            reason: self.revoke_reason,
            at,
        });
        Some(Grant {
            id: self.grant_id,
            terms,
            given_by: self.given_by,
            roles: self.roles,
            via: Via::parse(&self.via).unwrap_or_default(),
            justification: self.justification,
            given_at: self.given_at,
            expires_at: self.expires_at,
            used: u32::try_from(self.used).unwrap_or(u32::MAX),
            spent: Micros(self.spent),
            revoked,
        })
    }
}

/// The columns of a query over `grant_as_used`, or over a function that returns its rows.
macro_rules! grants {
    ($storage:ident, $from:literal $(, $argument:expr)* $(,)?) => {{
        let mut db = $storage.lease().await?;
        let query = sqlx::query_as!(
            Row,
            r#"select grant_id as "grant_id!", requester as "requester!", terms as "terms!", given_by as "given_by!", roles as "roles!", via as "via!",
                      justification as "justification!", given_at as "given_at!", expires_at as "expires_at!", uses as "uses!", cost, seal as "seal!",
                      revoked_by, revoked_via, revoked_at, revoke_reason, used as "used!", spent as "spent!" "# + $from
            $(, $argument)*
        );
        let rows = unless_locked(query.fetch_all(&mut *db)).await?;
        db.release();
        let keys = $storage.keys()?;
        rows.into_iter().filter_map(|row| row.read(keys)).collect::<Vec<Grant>>()
    }};
}

impl Storage {
    /// Gives a grant; `None` if its giver is suspended. Giving the same grant again returns the
    /// first one.
    ///
    /// # Errors
    /// The database is unavailable, or it does not answer in time. The grant may still have been
    /// stored.
    pub async fn give_grant(&self, new: &NewGrant) -> Result<Option<Grant>, Error> {
        let terms = serde_json::to_string(&new.terms).map_err(|error| Error::Unavailable(error.to_string()))?;
        let mut row = Row {
            grant_id: new.id,
            requester: new.terms.pattern.requester.clone(),
            terms,
            given_by: new.given_by.clone(),
            roles: new.roles.clone(),
            via: new.via.as_str().to_owned(),
            justification: new.justification.clone(),
            given_at: DateTime::UNIX_EPOCH,
            expires_at: new.expires_at,
            uses: i32::try_from(new.terms.uses).unwrap_or(i32::MAX),
            cost: new.terms.cost.map(|Micros(cost)| cost),
            seal: Vec::new(),
            revoked_by: None,
            revoked_via: None,
            revoked_at: None,
            revoke_reason: None,
            used: 0,
            spent: 0,
        };
        row.seal = row.seal(self.keys()?).to_vec();
        let given = grants!(
            self,
            "from give_grant($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
            row.grant_id,
            row.requester,
            row.terms,
            row.given_by,
            &row.roles,
            row.via,
            row.justification,
            row.expires_at,
            row.uses,
            row.cost,
            row.seal,
        );
        Ok(given.into_iter().next())
    }

    /// Revokes a grant. An already revoked one stays as it is. `None` if there is no such grant, or
    /// the caller is suspended.
    ///
    /// # Errors
    /// As [`Self::give_grant`].
    pub async fn revoke_grant(&self, revocation: &Revocation) -> Result<Option<Grant>, Error> {
        let Revocation { id, by, via, reason } = revocation;
        let revoked = grants!(self, "from revoke_grant($1, $2, $3, $4)", id, by, via.as_str(), reason.as_deref());
        Ok(revoked.into_iter().next())
    }

    /// A grant.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn grant(&self, id: Uuid) -> Result<Option<Grant>, Error> {
        Ok(grants!(self, "from grant_as_used where grant_id = $1", id).into_iter().next())
    }

    /// The grants that can release a request at this moment, oldest first.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn live_grants(&self) -> Result<Vec<Grant>, Error> {
        Ok(grants!(
            self,
            "from grant_as_used where revoked_at is null and expires_at > clock_timestamp() and used < uses order by given_at, grant_id"
        ))
    }

    /// The latest grants, whatever their status, newest first.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn grants(&self, limit: i64) -> Result<Vec<Grant>, Error> {
        Ok(grants!(self, "from grant_as_used order by given_at desc, grant_id limit $1", limit))
    }
}
