//! Bearer tokens, by their hashes.
//!
//! A hash is an HMAC under the server's secret key, and each row is sealed with that key: a row
//! that somebody else wrote, or changed to another name, is not a valid token. Looking up a hash
//! needs no constant-time comparison: without the key nobody can choose a token whose hash has a
//! chosen prefix, so the duration of a lookup reveals nothing.

use super::pool::{to_its_end, within};
use super::{Error, Storage};
use crate::domain::policy::PrincipalKind;
use crate::secret_key::{Purpose, Seal, SecretKeys};
use chrono::{DateTime, Utc};
use sha2::{Digest as _, Sha256};
use std::time::Duration;
use uuid::Uuid;

/// A new token.
#[derive(Debug)]
pub struct NewToken<'a> {
    pub token_id: Uuid,
    pub token: &'a str,
    pub principal: &'a str,
    pub kind: PrincipalKind,
    /// Counted from now, by the database's clock.
    pub expires_in: Option<Duration>,
}

/// A token in a list: everything but the token itself.
#[derive(Debug)]
pub struct TokenRow {
    pub token_id: Uuid,
    pub principal: String,
    /// `person` or `agent`; `None` for a void token from before kinds were recorded.
    pub kind: Option<String>,
    pub created_at: DateTime<Utc>,
    pub expires_at: Option<DateTime<Utc>>,
    pub revoked_at: Option<DateTime<Utc>>,
    /// Whether it has expired, by the database's clock.
    pub is_expired: bool,
}

/// The holder of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenHolder {
    pub token_id: Uuid,
    pub name: String,
    /// The kind of the principal when the token was made.
    pub kind: PrincipalKind,
    /// How long it remains valid; forever if `None`.
    pub left: Option<Duration>,
}

/// The result of checking a token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Presented {
    Good(TokenHolder),
    /// It was made before tokens were sealed, or under a secret key that is no longer in use.
    Void,
    Unknown,
}

struct Row {
    token_id: Uuid,
    token_hash: Vec<u8>,
    principal: String,
    kind: Option<String>,
    seal: Option<Vec<u8>>,
    seconds_left: Option<f64>,
}

/// The holder in a token's row, if the seal is valid.
pub(super) fn sealed_holder(
    keys: &SecretKeys,
    token_id: Uuid,
    hash: &[u8],
    name: String,
    kind: Option<&str>,
    seal: Option<&[u8]>,
) -> Option<TokenHolder> {
    let kind = PrincipalKind::parse(kind?)?;
    let is_ours = keys.verifies(Purpose::TokenSeal, &sealed(hash, kind, &name, &token_id), seal?);
    is_ours.then_some(TokenHolder { token_id, name, kind, left: None })
}

/// The parts of a token's row that its seal covers.
fn sealed<'a>(hash: &'a [u8], kind: PrincipalKind, principal: &'a str, token_id: &'a Uuid) -> [&'a [u8]; 4] {
    [hash, kind.as_str().as_bytes(), principal.as_bytes(), token_id.as_bytes()]
}

impl Storage {
    /// The hash of a token's text, under which it is stored.
    ///
    /// # Errors
    /// There is no secret key.
    pub fn token_hash(&self, token: &str) -> Result<Seal, Error> {
        Ok(self.keys()?.seal(Purpose::TokenHash, &[token.as_bytes()]))
    }

    /// The holder of this token, if it is valid now. A token that was made under an earlier secret
    /// key is sealed again.
    ///
    /// # Errors
    /// The database is unavailable, or there is no secret key.
    pub async fn token_holder(&self, token: &str) -> Result<Presented, Error> {
        let (storage, token) = (self.clone(), token.to_owned());
        to_its_end(async move { storage.look_up_token(&token).await }).await
    }

    async fn look_up_token(&self, token: &str) -> Result<Presented, Error> {
        let keys = self.keys()?;
        let mut hashes: Vec<Vec<u8>> = keys.seals(Purpose::TokenHash, &[token.as_bytes()]).into_iter().map(Vec::from).collect();
        // The hash with which tokens were stored before there was a key. Such a row proves nothing,
        // and its holder is told why.
        hashes.push(Sha256::digest(token.as_bytes()).to_vec());
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(
            Row,
            r#"select token_id, token_hash, principal, kind, seal,
                      extract(epoch from expires_at - clock_timestamp())::float8 as "seconds_left"
               from token
               where token_hash = any ($1) and revoked_at is null and (expires_at is null or expires_at > clock_timestamp())
               order by seal is null"#,
            &hashes
        );
        let row = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        let Some(row) = row else { return Ok(Presented::Unknown) };
        let Row { token_id, ref token_hash, kind, seal, .. } = row;
        let Some(holder) = sealed_holder(keys, token_id, token_hash, row.principal, kind.as_deref(), seal.as_deref()) else {
            if seal.is_some() {
                tracing::error!(token.id = %token_id, "a row of the table `token` was not written by parkbrake, or under another secret key, and is refused");
            }
            return Ok(Presented::Void);
        };
        if row.token_hash != hashes[0] {
            self.reseal(&row.token_hash, &hashes[0], &holder).await?;
        }
        let left = row.seconds_left.map(|seconds| Duration::from_secs_f64(seconds.max(0.0)));
        Ok(Presented::Good(TokenHolder { left, ..holder }))
    }

    async fn reseal(&self, old: &[u8], new: &[u8], holder: &TokenHolder) -> Result<(), Error> {
        let seal = self.keys()?.seal(Purpose::TokenSeal, &sealed(new, holder.kind, &holder.name, &holder.token_id));
        let mut db = self.lease().await?;
        let query = sqlx::query!("update token set token_hash = $2, seal = $3 where token_hash = $1", old, new, seal.as_slice());
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// Stores a token's hash. Storing the same one again changes only the name and the kind of its
    /// holder.
    ///
    /// # Errors
    /// The database is unavailable, or there is no secret key.
    pub async fn store_token(&self, token: &NewToken<'_>) -> Result<(), Error> {
        let hash = self.token_hash(token.token)?;
        let seal = self.keys()?.seal(Purpose::TokenSeal, &sealed(&hash, token.kind, token.principal, &token.token_id));
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            "insert into token (token_id, token_hash, principal, kind, seal, expires_at)
             values ($1, $2, $3, $4, $5, clock_timestamp() + make_interval(secs => $6))
             on conflict (token_hash) do update set token_id = excluded.token_id, principal = excluded.principal, kind = excluded.kind, seal = excluded.seal
             where (token.principal, token.kind) is distinct from (excluded.principal, excluded.kind)",
            token.token_id,
            hash.as_slice(),
            token.principal,
            token.kind.as_str(),
            seal.as_slice(),
            token.expires_in.map(|delay| delay.as_secs_f64())
        );
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// Every token, newest first.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn tokens(&self) -> Result<Vec<TokenRow>, Error> {
        let mut db = self.lease().await?;
        let query = sqlx::query_as!(
            TokenRow,
            r#"select token_id, principal, kind, created_at, expires_at, revoked_at,
                      coalesce(expires_at <= clock_timestamp(), false) as "is_expired!"
               from token order by created_at desc, token_id"#
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        Ok(rows)
    }

    /// Revokes one token by its id, or every token of a principal. Returns how many were valid
    /// until now.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
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
