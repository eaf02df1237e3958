//! Links that sign a person in, once, by the hashes of their codes.
//!
//! One statement uses a link and begins its session. If several requests use it at the same moment,
//! only one succeeds, and there is no moment at which the link is gone and the session does not
//! exist.

use super::pool::{to_its_end, within};
use super::sessions::{IDLE, LONGEST, SignIn, StoredSignIn, TokenFacts};
use super::{Error, Storage};
use crate::secret_key::{Purpose, Seal};
use chrono::{DateTime, Utc};
use std::time::Duration;

/// How long a link is valid.
pub const LINK_LIFETIME: Duration = Duration::from_secs(600);
/// The most links of one person that were requested with a token; a new one replaces the oldest.
const MOST_BY_TOKEN: i64 = 16;
/// The most valid mailed links of one person. No more are sent, because anybody can request one,
/// and nobody's mailbox may be flooded.
const MOST_BY_MAIL: i64 = 3;

/// A valid link: the person it signs in, and the row to use.
#[derive(Debug)]
pub struct GoodLink {
    pub sign_in: SignIn,
    hash: Vec<u8>,
    seal: Vec<u8>,
    /// The database's time at the query.
    now: DateTime<Utc>,
}

impl Storage {
    /// Stores a link that signs this person in, and deletes expired links. Returns until when it is
    /// valid; `None` if this person has too many.
    ///
    /// # Errors
    /// The database is unavailable, or there is no secret key.
    pub async fn make_sign_in_link(&self, code: &str, sign_in: &SignIn) -> Result<Option<DateTime<Utc>>, Error> {
        let keys = self.keys()?;
        let hash: Seal = keys.seal(Purpose::LinkHash, &[code.as_bytes()]);
        let by_token = sign_in.proof.token_id().is_some();
        let mut db = self.lease().await?;
        if by_token {
            let query = sqlx::query!(
                "delete from sign_in_link where link_hash in (
                     select l.link_hash from sign_in_link l where l.principal = $1 and l.token_id is not null
                     order by l.made_at desc offset $2)",
                sign_in.name,
                MOST_BY_TOKEN - 1
            );
            within(query.execute(&mut *db)).await?;
        }
        let now = within(sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *db)).await?;
        let seal = sign_in.seal(keys, Purpose::LinkSeal, &hash, now);
        let query = sqlx::query!(
            "with over as (
                 delete from sign_in_link where made_at <= $6::timestamptz - make_interval(secs => $7)
             )
             insert into sign_in_link (link_hash, principal, token_id, proof, seal, made_at)
             select $1, $2, $3, $4, $5, $6
             where (select count(*) from sign_in_link l
                    where l.principal = $2 and (l.token_id is null) = ($3::uuid is null)
                      and l.made_at > $6::timestamptz - make_interval(secs => $7)) < $8",
            hash.as_slice(),
            sign_in.name,
            sign_in.proof.token_id(),
            sign_in.proof.text(),
            seal.as_slice(),
            now,
            LINK_LIFETIME.as_secs_f64(),
            if by_token { MOST_BY_TOKEN } else { MOST_BY_MAIL }
        );
        let done = within(query.execute(&mut *db)).await?;
        db.release();
        Ok((done.rows_affected() > 0).then_some(now + LINK_LIFETIME))
    }

    /// The link with this code, if it is valid now. This does not use it.
    ///
    /// # Errors
    /// The database is unavailable, or there is no secret key.
    pub async fn sign_in_link(&self, code: &str) -> Result<Option<GoodLink>, Error> {
        let (storage, code) = (self.clone(), code.to_owned());
        to_its_end(async move { storage.look_up_link(&code).await }).await
    }

    async fn look_up_link(&self, code: &str) -> Result<Option<GoodLink>, Error> {
        let keys = self.keys()?;
        let hashes: Vec<Vec<u8>> = keys.seals(Purpose::LinkHash, &[code.as_bytes()]).into_iter().map(Vec::from).collect();
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            r#"select l.link_hash as "link_hash!", l.principal as "principal!", l.token_id, l.proof, l.seal as "seal!",
                      l.made_at as "made_at!", clock_timestamp() as "now!",
                      t.token_hash as "token_hash?", t.kind as "kind?", t.principal as "holder?", t.seal as "token_seal?"
               from sign_in_link l left join token t on t.token_id = l.token_id
               where l.link_hash = any ($1) and l.made_at > clock_timestamp() - make_interval(secs => $2)
                 and (l.token_id is null or (t.token_id is not null and t.revoked_at is null
                                             and (t.expires_at is null or t.expires_at > clock_timestamp())))"#,
            &hashes,
            LINK_LIFETIME.as_secs_f64()
        );
        let row = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        let Some(row) = row else { return Ok(None) };
        let stored = StoredSignIn {
            name: row.principal,
            token_id: row.token_id,
            proof: row.proof.as_deref(),
            token: TokenFacts { hash: row.token_hash, holder: row.holder, kind: row.kind, seal: row.token_seal },
            at: row.made_at,
            seal: &row.seal,
        };
        let Some(sign_in) = stored.verified(keys, Purpose::LinkSeal, &row.link_hash) else {
            tracing::error!("a row of the table `sign_in_link` was not written by parkbrake and is refused");
            return Ok(None);
        };
        Ok(Some(GoodLink { sign_in, hash: row.link_hash, seal: row.seal, now: row.now }))
    }

    /// Uses a link and begins a session with this id. Returns whether the link still existed. Only
    /// one of several callers succeeds.
    ///
    /// # Errors
    /// The database is unavailable, or there is no secret key.
    pub async fn spend_sign_in_link(&self, link: GoodLink, session_id: &str) -> Result<bool, Error> {
        let (storage, session_id) = (self.clone(), session_id.to_owned());
        to_its_end(async move { storage.spend(&link, &session_id).await }).await
    }

    async fn spend(&self, GoodLink { sign_in, hash, seal, now }: &GoodLink, session_id: &str) -> Result<bool, Error> {
        let session_hash = self.session_hash(session_id)?;
        let session_seal = sign_in.seal(self.keys()?, Purpose::SessionSeal, &session_hash, *now);
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            "with spent as (
                 delete from sign_in_link
                 where link_hash = $1 and seal = $2 and made_at > clock_timestamp() - make_interval(secs => $3)
                 returning link_hash
             ),
             over as (
                 delete from session
                 where expires_at <= clock_timestamp() or last_seen_at <= clock_timestamp() - make_interval(secs => $4)
             )
             insert into session (session_hash, token_id, proof, principal, seal, created_at, expires_at)
             select $5, $6, $7, $8, $9, $10, $10::timestamptz + make_interval(secs => $11) from spent",
            hash.as_slice(),
            seal.as_slice(),
            LINK_LIFETIME.as_secs_f64(),
            IDLE.as_secs_f64(),
            session_hash.as_slice(),
            sign_in.proof.token_id(),
            sign_in.proof.text(),
            sign_in.name,
            session_seal.as_slice(),
            *now,
            LONGEST.as_secs_f64()
        );
        let done = within(query.execute(&mut *db)).await?;
        db.release();
        Ok(done.rows_affected() > 0)
    }
}
