//! The few messages of PostgreSQL's protocol that are needed before there is a pool: log in, and
//! run one statement.
//!
//! The programs for this (`pg_isready`, `createdb`) are in packages that may not be installed.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::time::timeout;

/// Version 3.0, which every server speaks.
const PROTOCOL: u32 = 3 << 16;

/// How long an answer may take; creating a database copies files.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// PostgreSQL sends no longer messages here.
const LONGEST: u32 = 1 << 20;

/// Why a statement was not run.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    #[error(transparent)]
    Lost(#[from] io::Error),
    /// The server's message, with its SQLSTATE.
    #[error("{message} ({code})")]
    Refused { code: String, message: String },
}

/// A session without a password.
pub struct Session(UnixStream);

impl Session {
    /// Logs in, which also shows that the server is ready.
    pub async fn open(socket: &Path, user: &str, database: &str) -> Result<Self, Failure> {
        in_time(async {
            let mut session = Self(UnixStream::connect(socket).await?);
            let parameters = format!("user\0{user}\0database\0{database}\0\0");
            let message = [&PROTOCOL.to_be_bytes(), parameters.as_bytes()].concat();
            session.send(&[], &message).await?;
            session.until_ready().await?;
            Ok(session)
        })
        .await
    }

    /// Runs one statement and drops its rows.
    pub async fn execute(&mut self, statement: &str) -> Result<(), Failure> {
        in_time(async {
            self.send(b"Q", format!("{statement}\0").as_bytes()).await?;
            self.until_ready().await
        })
        .await
    }

    async fn send(&mut self, kind: &[u8], payload: &[u8]) -> io::Result<()> {
        let length = u32::try_from(payload.len() + 4).map_err(io::Error::other)?;
        self.0.write_all(&[kind, &length.to_be_bytes(), payload].concat()).await
    }

    /// Reads until the server waits for a statement.
    async fn until_ready(&mut self) -> Result<(), Failure> {
        let mut outcome = Ok(());
        loop {
            let (kind, payload) = self.receive().await?;
            match kind {
                b'Z' => return outcome,
                b'E' => {
                    let fields = fields(&payload);
                    let field = |kind| fields.get(&kind).cloned().unwrap_or_default();
                    outcome = Err(Failure::Refused { code: field(b'C'), message: field(b'M') });
                    // After the error of a statement the session goes on; after one of these it has
                    // ended.
                    if ["FATAL", "PANIC"].contains(&field(b'V').as_str()) {
                        return outcome;
                    }
                }
                b'R' if payload != [0; 4] => return Err(io::Error::other("the server asks for a password").into()),
                _ => (),
            }
        }
    }

    async fn receive(&mut self) -> io::Result<(u8, Vec<u8>)> {
        let kind = self.0.read_u8().await?;
        let length = self.0.read_u32().await?;
        if !(4..=LONGEST).contains(&length) {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "this is not PostgreSQL"));
        }
        let mut payload = vec![0; length as usize - 4];
        self.0.read_exact(&mut payload).await?;
        Ok((kind, payload))
    }
}

/// The fields of an error: a letter and a text with a NUL, each.
fn fields(payload: &[u8]) -> BTreeMap<u8, String> {
    let fields = payload.split(|byte| *byte == 0).filter_map(<[u8]>::split_first);
    fields.map(|(kind, text)| (*kind, String::from_utf8_lossy(text).into_owned())).collect()
}

async fn in_time<T>(work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
    let late = || Failure::Lost(io::Error::new(io::ErrorKind::TimedOut, "the server does not answer"));
    timeout(ANSWER_TIMEOUT, work).await.unwrap_or_else(|_| Err(late()))
}
