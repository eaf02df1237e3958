//! Who is signed in to the inbox: sessions, by the hashes of their ids.

use super::pool::within;
use super::{Error, Storage, TokenHash};
use sha2::{Digest as _, Sha256};
use std::time::Duration;

/// How long a session lasts without anything being done in it.
const IDLE: Duration = Duration::from_secs(12 * 3_600);
/// How long a session lasts, however busy it is.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// The SHA-256 of a session's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SessionHash([u8; 32]);

impl SessionHash {
    /// The hash of an id's text.
    pub fn of(id: &str) -> Self {
        Self(Sha256::digest(id.as_bytes()).into())
    }
}

impl Storage {
    /// Begins a session of somebody who has shown this token, and forgets the sessions that are over.
    ///
    /// # Errors
    /// No database.
    pub async fn begin_session(&self, session: SessionHash, token: TokenHash, principal: &str) -> Result<(), Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            "with over as (
                 delete from session
                 where expires_at <= clock_timestamp() or last_seen_at <= clock_timestamp() - make_interval(secs => $4)
             )
             insert into session (session_hash, token_hash, principal, expires_at)
             values ($1, $2, $3, clock_timestamp() + make_interval(secs => $5))",
            session.0.as_slice(),
            token.as_bytes(),
            principal,
            IDLE.as_secs_f64(),
            LONGEST.as_secs_f64()
        );
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// Whose session this is, if it is good now. `by_hand` is whether a person did something, which keeps it from going idle.
    ///
    /// # Errors
    /// No database.
    pub async fn session_holder(&self, session: SessionHash, by_hand: bool) -> Result<Option<String>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_scalar!(
            "with good as (
                 select s.session_hash, s.principal, s.last_seen_at
                 from session s join token t using (token_hash)
                 where s.session_hash = $1
                   and s.expires_at > clock_timestamp()
                   and s.last_seen_at > clock_timestamp() - make_interval(secs => $2)
                   and t.revoked_at is null and (t.expires_at is null or t.expires_at > clock_timestamp())
             ),
             seen as (
                 update session s set last_seen_at = clock_timestamp()
                 from good
                 where $3 and s.session_hash = good.session_hash and good.last_seen_at < clock_timestamp() - interval '1 minute'
             )
             select principal from good",
            session.0.as_slice(),
            IDLE.as_secs_f64(),
            by_hand
        );
        let holder = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        Ok(holder)
    }

    /// Ends a session, if there is one.
    ///
    /// # Errors
    /// No database.
    pub async fn end_session(&self, session: SessionHash) -> Result<(), Error> {
        let mut db = self.lease().await?;
        within(sqlx::query!("delete from session where session_hash = $1", session.0.as_slice()).execute(&mut *db)).await?;
        db.release();
        Ok(())
    }
}
