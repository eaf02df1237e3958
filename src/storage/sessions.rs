//! Sessions of the inbox, by the hashes of their ids.

use super::pool::{to_its_end, within};
use super::tokens::sealed_holder;
use super::{Error, Storage, TokenHolder};
use crate::domain::policy::PrincipalKind;
use crate::secret_key::{Purpose, Seal, SecretKeys};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use std::time::Duration;
use uuid::Uuid;

/// How long an idle session lasts.
pub(super) const IDLE: Duration = Duration::from_secs(12 * 3_600);
/// The longest lifetime of a session.
pub(super) const LONGEST: Duration = Duration::from_secs(7 * 86_400);

/// A person who signs in or has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    pub name: String,
    pub proof: Proof,
}

/// What proved a person's identity. The session depends on it: when the proof is no longer valid,
/// the session has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// A person's token, by its id.
    Token(Uuid),
    /// The mailbox with this address, to which a link was sent.
    Mail(String),
    /// An OpenID Connect provider, which knows the person by this subject.
    OpenId { issuer: String, subject: String, said: Said },
    /// An OpenID Connect provider, which has verified that this mail address is the person's.
    OpenIdMail { issuer: String, address: String, said: Said },
}

/// Further statements of a provider about a person.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Said {
    /// When the person signed in there; `None` if it did not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_in_at: Option<DateTime<Utc>>,
    /// The person's groups, as far as they gave a role when the session began.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
}

impl Said {
    /// The text of these statements, which follows the proof; empty if there are none.
    fn written(&self) -> String {
        if *self == Self::default() {
            return String::new();
        }
        serde_json::to_string(self).map(|said| format!("\n{said}")).unwrap_or_default()
    }
}

const MAIL: &str = "mail:";
const OPENID: &str = "openid:";
const OPENID_MAIL: &str = "openid-mail:";

impl Proof {
    /// Parses a proof from its two columns.
    pub(super) fn stored(token_id: Option<Uuid>, text: Option<&str>) -> Option<Self> {
        match (token_id, text) {
            (Some(id), None) => Some(Self::Token(id)),
            (None, Some(text)) => Self::read(text),
            _ => None,
        }
    }

    fn read(text: &str) -> Option<Self> {
        // An issuer is a URL and has no blank. Neither a subject nor an address has a line break,
        // after which the further statements follow.
        let (text, said) = match text.split_once('\n') {
            Some((text, said)) => (text, serde_json::from_str(said).ok()?),
            None => (text, Said::default()),
        };
        let two = |rest: &str| rest.split_once(' ').map(|(issuer, known_by)| (issuer.to_owned(), known_by.to_owned()));
        if let Some(address) = text.strip_prefix(MAIL) {
            return Some(Self::Mail(address.to_owned()));
        }
        if let Some(rest) = text.strip_prefix(OPENID_MAIL) {
            return two(rest).map(|(issuer, address)| Self::OpenIdMail { issuer, address, said });
        }
        text.strip_prefix(OPENID).and_then(two).map(|(issuer, subject)| Self::OpenId { issuer, subject, said })
    }

    pub(super) fn token_id(&self) -> Option<Uuid> {
        match self {
            Self::Token(id) => Some(*id),
            Self::Mail(_) | Self::OpenId { .. } | Self::OpenIdMail { .. } => None,
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        match self {
            Self::Token(_) => None,
            Self::Mail(address) => Some(format!("{MAIL}{address}")),
            Self::OpenId { issuer, subject, said } => Some(format!("{OPENID}{issuer} {subject}{}", said.written())),
            Self::OpenIdMail { issuer, address, said } => Some(format!("{OPENID_MAIL}{issuer} {address}{}", said.written())),
        }
    }
}

/// A valid session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoodSession {
    pub sign_in: SignIn,
    pub begun_at: DateTime<Utc>,
    /// The database's time at the query.
    pub now: DateTime<Utc>,
}

impl SignIn {
    /// The holder of a token, who signs in with it.
    pub fn by_token(holder: &TokenHolder) -> Self {
        Self { name: holder.name.clone(), proof: Proof::Token(holder.token_id) }
    }

    /// The seal of a row that says who signs in, since when, and what proves it.
    pub(super) fn seal(&self, keys: &SecretKeys, purpose: Purpose, hash: &[u8], at: DateTime<Utc>) -> Seal {
        self.with_parts(hash, at, |parts| keys.seal(purpose, parts))
    }

    fn with_parts<T>(&self, hash: &[u8], at: DateTime<Utc>, use_them: impl FnOnce(&[&[u8]]) -> T) -> T {
        let token_id = self.proof.token_id();
        let token_id = token_id.as_ref().map_or(&[][..], |id| id.as_bytes());
        let text = self.proof.text().unwrap_or_default();
        use_them(&[hash, token_id, text.as_bytes(), self.name.as_bytes(), &at.timestamp_micros().to_be_bytes()])
    }
}

/// The row of a session or of a link, with the row of the token that it depends on.
pub(super) struct StoredSignIn<'a> {
    pub name: String,
    pub token_id: Option<Uuid>,
    pub proof: Option<&'a str>,
    pub token: TokenFacts,
    pub at: DateTime<Utc>,
    pub seal: &'a [u8],
}

/// A token's row; the fields are empty if there is none.
pub(super) struct TokenFacts {
    pub hash: Option<Vec<u8>>,
    pub holder: Option<String>,
    pub kind: Option<String>,
    pub seal: Option<Vec<u8>>,
}

impl StoredSignIn<'_> {
    /// The person who signs in, if parkbrake itself wrote the row and that of the token.
    pub fn verified(self, keys: &SecretKeys, purpose: Purpose, hash: &[u8]) -> Option<SignIn> {
        let Self { name, token_id, proof, token, at, seal } = self;
        let sign_in = SignIn { name, proof: Proof::stored(token_id, proof)? };
        if let Proof::Token(id) = sign_in.proof {
            let TokenFacts { hash, holder, kind, seal } = token;
            let holder = sealed_holder(keys, id, &hash?, holder?, kind.as_deref(), seal.as_deref())?;
            if holder.name != sign_in.name || holder.kind != PrincipalKind::Person {
                return None;
            }
        }
        sign_in.with_parts(hash, at, |parts| keys.verifies(purpose, parts, seal)).then_some(sign_in)
    }
}

impl Storage {
    /// The hash of a session's id, under which it is stored.
    pub(super) fn session_hash(&self, id: &str) -> Result<Seal, Error> {
        Ok(self.keys()?.seal(Purpose::SessionHash, &[id.as_bytes()]))
    }

    /// Begins a session, and deletes ended sessions.
    ///
    /// # Errors
    /// The database is unavailable, or there is no secret key.
    pub async fn begin_session(&self, id: &str, sign_in: &SignIn) -> Result<(), Error> {
        let hash = self.session_hash(id)?;
        let mut db = self.lease().await?;
        let now = within(sqlx::query_scalar!(r#"select clock_timestamp() as "now!""#).fetch_one(&mut *db)).await?;
        let seal = sign_in.seal(self.keys()?, Purpose::SessionSeal, &hash, now);
        let query = sqlx::query!(
            "with over as (
                 delete from session
                 where expires_at <= clock_timestamp() or last_seen_at <= clock_timestamp() - make_interval(secs => $7)
             )
             insert into session (session_hash, token_id, proof, principal, seal, created_at, expires_at)
             values ($1, $2, $3, $4, $5, $6, $6::timestamptz + make_interval(secs => $8))",
            hash.as_slice(),
            sign_in.proof.token_id(),
            sign_in.proof.text(),
            sign_in.name,
            seal.as_slice(),
            now,
            IDLE.as_secs_f64(),
            LONGEST.as_secs_f64()
        );
        within(query.execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// The session with this id, if it is valid now. `by_hand` says whether a person did something,
    /// which keeps the session from becoming idle.
    ///
    /// # Errors
    /// The database is unavailable, or there is no secret key.
    pub async fn session(&self, id: &str, by_hand: bool) -> Result<Option<GoodSession>, Error> {
        let (storage, id) = (self.clone(), id.to_owned());
        to_its_end(async move { storage.look_up_session(&id, by_hand).await }).await
    }

    async fn look_up_session(&self, id: &str, by_hand: bool) -> Result<Option<GoodSession>, Error> {
        let keys = self.keys()?;
        let hashes: Vec<Vec<u8>> = keys.seals(Purpose::SessionHash, &[id.as_bytes()]).into_iter().map(Vec::from).collect();
        let mut db = self.lease().await?;
        let query = sqlx::query!(
            r#"with good as (
                 select s.session_hash, s.token_id, s.proof, s.principal, s.seal, s.created_at, s.last_seen_at,
                        t.token_hash, t.kind, t.principal as holder, t.seal as token_seal
                 from session s left join token t on t.token_id = s.token_id
                 where s.session_hash = any ($1)
                   and s.expires_at > clock_timestamp() and s.created_at > clock_timestamp() - make_interval(secs => $4)
                   and s.last_seen_at > clock_timestamp() - make_interval(secs => $2)
                   and (s.token_id is null or (t.token_id is not null and t.revoked_at is null
                                               and (t.expires_at is null or t.expires_at > clock_timestamp())))
             ),
             seen as (
                 update session s set last_seen_at = clock_timestamp()
                 from good
                 where $3 and s.session_hash = good.session_hash and good.last_seen_at < clock_timestamp() - interval '1 minute'
             )
             select session_hash as "session_hash!", token_id, proof, principal as "principal!", seal as "seal!", created_at as "created_at!",
                    clock_timestamp() as "now!", token_hash as "token_hash?", kind as "kind?", holder as "holder?", token_seal as "token_seal?"
             from good"#,
            &hashes,
            IDLE.as_secs_f64(),
            by_hand,
            LONGEST.as_secs_f64()
        );
        let row = within(query.fetch_optional(&mut *db)).await?;
        db.release();
        let Some(row) = row else { return Ok(None) };
        let stored = StoredSignIn {
            name: row.principal,
            token_id: row.token_id,
            proof: row.proof.as_deref(),
            token: TokenFacts { hash: row.token_hash, holder: row.holder, kind: row.kind, seal: row.token_seal },
            at: row.created_at,
            seal: &row.seal,
        };
        let found = stored.verified(keys, Purpose::SessionSeal, &row.session_hash);
        let found = found.map(|sign_in| GoodSession { sign_in, begun_at: row.created_at, now: row.now });
        if found.is_none() {
            tracing::error!("a row of the table `session` was not written by parkbrake and is refused");
        }
        Ok(found)
    }

    /// Ends a session, if there is one.
    ///
    /// # Errors
    /// The database is unavailable, or there is no secret key.
    pub async fn end_session(&self, id: &str) -> Result<(), Error> {
        let hashes: Vec<Vec<u8>> = self.keys()?.seals(Purpose::SessionHash, &[id.as_bytes()]).into_iter().map(Vec::from).collect();
        let mut db = self.lease().await?;
        within(sqlx::query!("delete from session where session_hash = any ($1)", &hashes).execute(&mut *db)).await?;
        db.release();
        Ok(())
    }

    /// Ends every session of a person, and revokes every link that would begin one. Returns the
    /// number of ended sessions.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn sign_out(&self, name: &str) -> Result<u64, Error> {
        let mut db = self.lease().await?;
        // The links are deleted first: a link that was used before that has begun its session by
        // then, and the next statement finds it.
        within(sqlx::query!("delete from sign_in_link where lower(principal) = lower($1)", name).execute(&mut *db)).await?;
        let done = within(sqlx::query!("delete from session where lower(principal) = lower($1)", name).execute(&mut *db)).await?;
        db.release();
        Ok(done.rows_affected())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_is_read_back_as_it_was_stored() {
        let issuer = || "https://login.example.com/realms/ops".to_owned();
        let said = || Said { signed_in_at: Some(DateTime::UNIX_EPOCH), groups: vec!["sre on\ncall".to_owned()] };
        for proof in [
            Proof::Token(Uuid::from_u128(7)),
            Proof::Mail("a@example.com".to_owned()),
            Proof::OpenId { issuer: issuer(), subject: "a b c".to_owned(), said: Said::default() },
            Proof::OpenId { issuer: issuer(), subject: "a b c".to_owned(), said: said() },
            Proof::OpenIdMail { issuer: issuer(), address: "a@example.com".to_owned(), said: said() },
        ] {
            assert_eq!(Proof::stored(proof.token_id(), proof.text().as_deref()), Some(proof));
        }
        for (token_id, text) in [
            (None, None),
            (Some(Uuid::from_u128(7)), Some("mail:a")),
            (None, Some("a")),
            (None, Some("openid:a")),
            (None, Some("openid:a b\n{")),
        ] {
            assert_eq!(Proof::stored(token_id, text), None);
        }
    }
}
