//! Deferring a call: `claude -p` ends its turn and leaves the call open, and `claude -p --resume`
//! asks the hook about the same call again.
//!
//! If several calls of one turn are deferred, the client keeps the last one and silently drops the
//! others. So only one call of a session is deferred at a time. A file for the session, in the
//! folder for temporary files, contains the id of that call. If the file cannot be written, the
//! call is denied, as it is without `--defer`.

use crate::cli::client::env;
use crate::domain::task::digest::Digest;
use serde_json::Value;
use std::fs::{self, OpenOptions};
use std::io::Write as _;
use std::path::PathBuf;

/// Whether this run of the client is `claude -p`, the only one that continues a deferred call.
pub fn is_possible() -> bool {
    env("CLAUDE_CODE_ENTRYPOINT").as_deref() == Some("sdk-cli")
}

/// A call that may become the one deferred call of its session.
pub struct Deferrable {
    file: PathBuf,
    id: String,
}

impl Deferrable {
    /// The call in the question to the server.
    pub fn of(call: &Value) -> Self {
        let text = |name: &str| call[name].as_str().unwrap_or_default().to_owned();
        let session = Digest::of(text("session_id").as_bytes());
        Self { file: std::env::temp_dir().join(format!("parkbrake-deferred-{session}")), id: text("tool_use_id") }
    }

    /// Makes this call the deferred one of its session; returns whether it is.
    pub fn defer(&self) -> bool {
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.open(&self.file) {
            Ok(mut file) => file.write_all(self.id.as_bytes()).is_ok(),
            Err(_) => self.is_deferred(),
        }
    }

    /// Permits another call of the session to be deferred, once this one is decided.
    pub fn settle(&self) {
        if self.is_deferred() {
            let _ = fs::remove_file(&self.file);
        }
    }

    fn is_deferred(&self) -> bool {
        fs::read(&self.file).is_ok_and(|id| id == self.id.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn one_call_of_a_session_is_deferred_at_a_time() {
        let call = |session: &str, id: &str| Deferrable::of(&json!({"session_id": session, "tool_use_id": id}));
        let session = uuid::Uuid::new_v4().to_string();
        let (first, second) = (call(&session, "one"), call(&session, "two"));
        assert!(first.defer());
        assert!(first.defer(), "the client asks about it again");
        assert!(!second.defer());
        let other = call(&uuid::Uuid::new_v4().to_string(), "two");
        assert!(other.defer(), "another session has its own");
        second.settle();
        assert!(!second.defer(), "only the deferred call frees the session");
        first.settle();
        assert!(second.defer());
        second.settle();
        other.settle();
    }
}
