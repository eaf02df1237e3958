//! The encoding of the database, which has to be UTF8.
//!
//! In any other encoding there are texts that cannot be stored: a decision or an outcome that holds
//! one would be refused for ever. In SQL_ASCII PostgreSQL stores bytes and checks nothing, so that
//! any other client can write what nobody can read, and compares and counts bytes where letters are
//! meant. So that is refused as well.

use super::pool::within;
use super::{Error, Storage};
use sqlx::PgConnection;

impl Storage {
    /// Whether the database can hold every text.
    ///
    /// # Errors
    /// The server cannot, or it does not answer.
    pub async fn require_utf8(&self) -> Result<(), Error> {
        let mut db = self.lease().await?;
        require_utf8(&mut db).await?;
        db.release();
        Ok(())
    }
}

/// # Errors
/// The database has another encoding, or does not answer.
pub(super) async fn require_utf8(db: &mut PgConnection) -> Result<(), Error> {
    let query = sqlx::query_scalar!(r#"select current_setting('server_encoding') as "encoding!""#);
    let encoding = within(query.fetch_one(db)).await?;
    if encoding == "UTF8" { Ok(()) } else { Err(Error::Encoding(encoding)) }
}
