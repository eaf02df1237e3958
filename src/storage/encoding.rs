//! The encoding of the database, which has to be UTF8.
//!
//! In any other encoding there are texts that cannot be stored: a decision or an outcome with such
//! a text would be refused forever. SQL_ASCII stores bytes without checks, so that another client
//! could write unreadable text, and it compares and counts bytes instead of letters. So it is
//! refused as well.

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
