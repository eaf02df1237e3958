//! The file into which a runbook writes its outputs for later steps.
//!
//! The server creates it before the start, keeps it open, and reads its content at the end. So it
//! never opens a file that the runbook may have put in its place: a runbook that replaces the file
//! has no outputs.

use crate::domain::task::outputs;
use crate::execution::account::Account;
use crate::execution::output::Secrets;
use serde_json::{Map, Value};
use std::fs::File;
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{OpenOptionsExt as _, fchown};
use std::path::{Path, PathBuf};
use uuid::Uuid;

/// A file for one attempt. Dropping it removes the file.
pub struct OutputFile {
    file: File,
    path: PathBuf,
}

impl OutputFile {
    /// A new file that only the account of the runbook can read and write. It must be called on a
    /// thread that may block.
    ///
    /// # Errors
    /// The folder for temporary files cannot be written to.
    pub fn open(account: Option<&Account>) -> io::Result<Self> {
        let path = std::env::temp_dir().join(format!("parkbrake-output-{}", Uuid::new_v4()));
        let file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        let made = Self { file, path };
        if let Some(account) = account {
            fchown(&made.file, Some(account.user), Some(account.group))?;
        }
        Ok(made)
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The outputs; `None` if there are none.
    ///
    /// # Errors
    /// Why the outputs cannot be used.
    pub fn read(&mut self, secrets: &Secrets) -> Result<Option<Map<String, Value>>, String> {
        let mut written = Vec::new();
        let most = u64::try_from(outputs::LONGEST).unwrap_or(u64::MAX) + 1;
        let read = self.file.rewind().and_then(|()| (&self.file).take(most).read_to_end(&mut written));
        read.map_err(|error| format!("what it wrote cannot be read: {error}"))?;
        let provided = outputs::read(&written)?;
        let hides = |value: &Value| match value {
            Value::String(text) => secrets.are_in(text.as_bytes()),
            other => secrets.are_in(other.to_string().as_bytes()),
        };
        let secret = provided.iter().flatten().find(|(name, value)| secrets.are_in(name.as_bytes()) || hides(value));
        match secret {
            Some(_) => {
                Err("one of its outputs holds a secret, which no output may show: provide the place where it is stored instead".to_owned())
            }
            None => Ok(provided),
        }
    }
}

impl Drop for OutputFile {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::execution::redactions::Redactions;
    use serde_json::json;

    #[test]
    fn outputs_are_read_and_their_file_is_removed_with_the_attempt() {
        let secrets = Secrets::new(Redactions::new([b"hunter2-hunter2".to_vec()]), vec![b"987654".to_vec()]);
        let mut file = OutputFile::open(None).unwrap();
        assert_eq!(file.read(&secrets), Ok(None), "nothing was written");
        let path = file.path().to_owned();
        std::fs::write(&path, r#"{"path": "/backups/1", "size": 3}"#).unwrap();
        assert_eq!(file.read(&secrets).unwrap().map(Value::Object), Some(json!({"path": "/backups/1", "size": 3})));
        for hidden in [r#"{"url": "https://x:hunter2-hunter2@db"}"#, r#"{"pin": 987654}"#] {
            std::fs::write(&path, hidden).unwrap();
            let refused = file.read(&secrets).unwrap_err();
            assert!(refused.contains("holds a secret") && !refused.contains("hunter2"), "{refused}");
        }
        std::fs::write(&path, " ".repeat(1 << 20)).unwrap();
        assert!(file.read(&secrets).unwrap_err().contains("more than 16 KiB"));
        // A file put in its place is never read.
        std::fs::write(&path, "").unwrap();
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/hostname", &path).unwrap();
        assert_eq!(file.read(&secrets), Ok(None));
        drop(file);
        assert!(std::fs::symlink_metadata(path).is_err());
    }
}
