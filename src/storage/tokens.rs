//! Bearer tokens, by their hashes.

use super::pool::within;
use super::{Error, Storage};
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use uuid::Uuid;

/// The SHA-256 of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash([u8; 32]);

impl TokenHash {
    /// The hash of a token's text.
    pub fn of(token: &str) -> Self {
        Self(Sha256::digest(token.as_bytes()).into())
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// A token to be made.
#[derive(Debug)]
pub struct NewToken<'a> {
    pub token_id: Uuid,
    pub hash: TokenHash,
    pub principal: &'a str,
    /// Counted from now, by the database's clock.
    pub expires_in: Option<Duration>,
}

/// A token as it is listed: everything but itself.
#[derive(Debug)]
pub struct TokenRow {
    pub token_id: Uuid,
    pub principal: String,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// By the database's clock.
    pub is_expired: bool,
}

impl Storage {
    /// Whose token this is, if it is good now, and for how long it will be.
    ///
    /// # Errors
    /// No database.
    pub async fn token_holder(&self, hash: TokenHash) -> Result<Option<(String, Option<Duration>)>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            r#"select principal, extract(epoch from expires_at - clock_timestamp())::float8 as "seconds_left"
               from token
               where token_hash = $1 and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())"#,
            hash.0.as_slice()
        );
        let row = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        Ok(row.map(|row| (row.principal, row.seconds_left.map(|seconds| Duration::from_secs_f64(seconds.max(0.0))))))
    }

    /// Stores a token's hash; storing the same one again changes nothing.
    ///
    /// # Errors
    /// No database.
    pub async fn store_token(&self, token: &NewToken<'_>) -> Result<(), Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            "insert into token (token_id, token_hash, principal, expires_at)
             values ($1, $2, $3, clock_timestamp() + make_interval(secs => $4)) on conflict (token_hash) do nothing",
            token.token_id,
            token.hash.0.as_slice(),
            token.principal,
            token.expires_in.map(|delay| delay.as_secs_f64())
        );
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// Every token, newest first.
    ///
    /// # Errors
    /// No database.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(
            TokenRow,
            r#"select token_id, principal, created_at, expires_at, revoked_at,
                      coalesce(expires_at <= clock_timestamp(), false) as "is_expired!"
               from token order by created_at desc, token_id"#
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows)
    }

    /// Revokes one token by its id, or every token of a principal; gives the number that were good until now.
    ///
    /// # Errors
    /// No database.
    pub async fn revoke_tokens(&self, token_id: Option<Uuid>, principal: &str) -> Result<u64, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            "update token set revoked_at = clock_timestamp()
             where revoked_at is null and (token_id = $1 or ($1::uuid is null and principal = $2))",
            token_id,
            principal
        );
        let done = within(query.execute(&mut *db)).await?;
        db.release();
        Ok(done.rows_affected())
    }
}
