//! Who is signed in to the inbox: sessions, by the hashes of their ids.

use super::pool::{to_its_end, within};
use super::tokens::sealed_holder;
use super::{Error, Storage, TokenHolder};
use crate::secret_key::Purpose;
use std::time::Duration;
use uuid::Uuid;

/// How long a session lasts without anything being done in it.
const IDLE: Duration = Duration::from_secs(12 * 3_600);
/// How long a session lasts, however busy it is.
const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// What the seal of a session's row is made of.
fn sealed<'a>(hash: &'a [u8], token_id: &'a Uuid, principal: &'a str) -> [&'a [u8]; 3] {
    [hash, token_id.as_bytes(), principal.as_bytes()]
}

impl Storage {
    /// Begins a session of somebody who has shown this token, and forgets the sessions that are over.
    ///
    /// # Errors
    /// No database, or no secret key.
    pub async fn begin_session(&self, id: &str, by: &TokenHolder) -> Result<(), Error> {
        let hash = self.keys()?.seal(Purpose::SessionHash, &[id.as_bytes()]);
        let seal = self.keys()?.seal(Purpose::SessionSeal, &sealed(&hash, &by.token_id, &by.name));
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            "with over as (
                 delete from session
                 where expires_at <= clock_timestamp() or last_seen_at <= clock_timestamp() - make_interval(secs => $5)
             )
             insert into session (session_hash, token_id, principal, seal, expires_at)
             values ($1, $2, $3, $4, clock_timestamp() + make_interval(secs => $6))",
            hash.as_slice(),
            by.token_id,
            by.name,
            seal.as_slice(),
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
    /// No database, or no secret key.
    pub async fn session_holder(&self, id: &str, by_hand: bool) -> Result<Option<TokenHolder>, Error> {
        let (storage, id) = (self.clone(), id.to_owned());
        to_its_end(async move { storage.look_up_session(&id, by_hand).await }).await
    }

    async fn look_up_session(&self, id: &str, by_hand: bool) -> Result<Option<TokenHolder>, Error> {
        let keys = self.keys()?;
        let hashes: Vec<Vec<u8>> = keys.seals(Purpose::SessionHash, &[id.as_bytes()]).into_iter().map(Vec::from).collect();
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            r#"with good as (
                 select s.session_hash, s.token_id, s.principal, s.seal, s.last_seen_at, t.token_hash, t.kind, t.principal as holder, t.seal as token_seal
                 from session s join token t using (token_id)
                 where s.session_hash = any ($1)
                   and s.expires_at > clock_timestamp()
                   and s.last_seen_at > clock_timestamp() - make_interval(secs => $2)
                   and t.revoked_at is null and (t.expires_at is null or t.expires_at > clock_timestamp())
             ),
             seen as (
                 update session s set last_seen_at = clock_timestamp()
                 from good
                 where $3 and s.session_hash = good.session_hash and good.last_seen_at < clock_timestamp() - interval '1 minute'
             )
             select session_hash as "session_hash!", token_id as "token_id!", principal as "principal!", seal as "seal!",
                    token_hash as "token_hash!", kind, holder as "holder!", token_seal
             from good"#,
            &hashes,
            IDLE.as_secs_f64(),
            by_hand
        );
        let row = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        let Some(row) = row else { return Ok(None) };
        let is_ours = keys.verifies(Purpose::SessionSeal, &sealed(&row.session_hash, &row.token_id, &row.principal), &row.seal);
        let holder = sealed_holder(keys, row.token_id, &row.token_hash, row.holder, row.kind.as_deref(), row.token_seal.as_deref());
        if !is_ours || holder.as_ref().is_none_or(|holder| holder.name != row.principal) {
            tracing::error!(token.id = %row.token_id, "a row of the table `session` was not written by parkbrake and is refused");
            return Ok(None);
        }
        Ok(holder)
    }

    /// Ends a session, if there is one.
    ///
    /// # Errors
    /// No database, or no secret key.
    pub async fn end_session(&self, id: &str) -> Result<(), Error> {
        let hashes: Vec<Vec<u8>> = self.keys()?.seals(Purpose::SessionHash, &[id.as_bytes()]).into_iter().map(Vec::from).collect();
        let mut db = self.lease().await?;
        within(sqlx::query!("delete from session where session_hash = any ($1)", &hashes).execute(&mut *db)).await?;
        db.release();
        Ok(())
    }
}
