//! Protects a server at its start: what it runs cannot read its secrets, and it does not run out of
//! files.
//!
//! The initial environment of a process can be read in `/proc/PID/environ` by everybody who may
//! trace the process: every process of the same user, and so every runbook. It contains the
//! database's password and the secrets of all channels and runbooks. So the server replaces itself,
//! under the same process id, with an environment that contains only variables that are known not
//! to be secret; the rest is passed on in an anonymous file, read once, and kept in memory. That
//! memory is closed to all but root: the process cannot be traced or dumped. Replacing itself also
//! lets the server configure its allocator.

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;

/// The variables that were removed from the environment.
static SEALED: OnceLock<BTreeMap<OsString, OsString>> = OnceLock::new();

/// A variable of the environment with which this process was first started. Secrets are found only
/// here.
#[expect(clippy::disallowed_methods, reason = "secrets are taken out of the environment here")]
pub fn variable(name: &str) -> Option<OsString> {
    let sealed = SEALED.get().and_then(|sealed| sealed.get(OsStr::new(name)));
    sealed.cloned().or_else(|| std::env::var_os(name))
}

/// Why the server could not be hardened.
#[derive(Debug, thiserror::Error)]
#[error("secrets could not be taken out of the environment ({step}: {error})")]
pub struct Error {
    step: &'static str,
    error: std::io::Error,
}

/// Hardens this process. It has to be the first thing that a server does, because it may replace
/// the process. `plain` names variables that are not secret and stay in the environment, in
/// addition to those that every system has.
///
/// # Errors
/// The system refuses.
#[cfg(target_os = "linux")]
pub fn harden(plain: &[String]) -> Result<(), Error> {
    use rustix::process::{DumpableBehavior, set_dumpable_behavior};
    raise_file_limit();
    environment::seal(plain)?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).map_err(|error| Error { step: "closing the memory", error: error.into() })
}

/// Hardens this process as far as the system allows: on other systems than Linux the environment
/// stays as it is.
///
/// # Errors
/// Never.
#[cfg(not(target_os = "linux"))]
pub fn harden(_: &[String]) -> Result<(), Error> {
    raise_file_limit();
    Ok(())
}

/// This many open files are enough for every purpose.
const MOST_FILES: u64 = 1 << 20;

/// Every connection, and every stream of a runbook, is a file: so this process raises its limit as
/// far as the system permits.
fn raise_file_limit() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = limit.maximum.unwrap_or(MOST_FILES).min(MOST_FILES);
    if limit.current.is_some_and(|current| current < wanted) {
        // If that is refused, the limit stays.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: limit.maximum });
    }
}

/// Variables that are not secret and that the program, its libraries or the system need.
const PLAIN: &[&str] = &[
    "CREDENTIALS_DIRECTORY",
    "HOME",
    "HOSTNAME",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LANG",
    "LANGUAGE",
    "LD_LIBRARY_PATH",
    "LOGNAME",
    "NO_COLOR",
    "NOTIFY_SOCKET",
    "PATH",
    "PGAPPNAME",
    "PGDATABASE",
    "PGHOST",
    "PGHOSTADDR",
    "PGPASSFILE",
    "PGPORT",
    "PGUSER",
    "PWD",
    "SHELL",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TERM",
    "TMPDIR",
    "TZ",
    "USER",
];

/// Prefixes of more such names.
const PLAIN_BEGINNINGS: &[&str] = &["CLICOLOR", "LC_", "LLVM_PROFILE_", "MIMALLOC_", "PGSSL", "RUST_", "XDG_"];

fn is_plain(name: &OsStr, also: &[String]) -> bool {
    name.to_str().is_some_and(|name| {
        PLAIN.contains(&name)
            || PLAIN_BEGINNINGS.iter().any(|beginning| name.starts_with(beginning))
            || also.iter().any(|plain| plain == name)
    })
}

#[cfg(target_os = "linux")]
mod environment {
    use super::{Error, SEALED, is_plain};
    use rustix::fs::{MemfdFlags, memfd_create};
    use rustix::io::Errno;
    use std::collections::BTreeMap;
    use std::ffi::OsString;
    use std::fs::File;
    use std::io::{self, Read as _, Seek as _, Write as _};
    use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
    use std::os::unix::process::CommandExt as _;
    use std::path::PathBuf;
    use std::process::Command;

    /// Tells the new process that standard input contains the removed variables.
    const MARK: &str = "PARKBRAKE_ENVIRONMENT";
    const ON_STANDARD_INPUT: &str = "standard-input";
    /// Makes the allocator use pages of 4 KiB, unless the environment says otherwise: with pages of
    /// 2 MiB an idle server takes 15 MB more, and is no faster.
    const SMALL_PAGES: (&str, &str) = ("MIMALLOC_ALLOW_THP", "0");

    /// Removes secrets from the environment, and makes the allocator use small pages. It returns in
    /// the process whose environment has no secrets any more.
    #[expect(clippy::disallowed_methods, reason = "secrets are taken out of the environment here")]
    pub fn seal(plain: &[String]) -> Result<(), Error> {
        if std::env::var_os(MARK).is_some_and(|mark| mark == ON_STANDARD_INPUT) {
            return take_over().map_err(|error| Error { step: "reading the variables that were passed on", error });
        }
        let (mut kept, secret): (Vec<_>, Vec<_>) = std::env::vars_os().partition(|(name, _)| is_plain(name, plain));
        let (name, small) = SMALL_PAGES;
        if kept.iter().all(|(kept, _)| kept != name) {
            kept.push((name.into(), small.into()));
        }
        let file = nameless(&secret).map_err(|error| Error { step: "handing them over", error })?;
        // It returns only if it fails.
        let error = match program() {
            Ok(program) => restart(program, kept, file),
            Err(error) => error,
        };
        Err(Error { step: "restarting", error })
    }

    #[expect(clippy::disallowed_methods, reason = "secrets are taken out of the environment here")]
    fn restart(program: PathBuf, kept: Vec<(OsString, OsString)>, file: File) -> io::Error {
        let mut arguments = std::env::args_os();
        let name = arguments.next();
        let mut command = Command::new(program);
        command.arg0(name.unwrap_or_else(|| "parkbrake".into())).args(arguments);
        command.env_clear().envs(kept).env(MARK, ON_STANDARD_INPUT).stdin(file).exec()
    }

    /// This program, even if its file has been replaced in the meantime.
    fn program() -> io::Result<PathBuf> {
        let path = std::env::current_exe()?;
        Ok(if path.exists() { path } else { PathBuf::from("/proc/self/exe") })
    }

    /// An anonymous file in memory.
    fn nameless(variables: &[(OsString, OsString)]) -> io::Result<File> {
        let file = match memfd_create("parkbrake-environment", MemfdFlags::CLOEXEC | MemfdFlags::NOEXEC_SEAL) {
            // Kernels before 6.3 do not know the second flag.
            Err(Errno::INVAL) => memfd_create("parkbrake-environment", MemfdFlags::CLOEXEC)?,
            made => made?,
        };
        let mut file = File::from(file);
        file.write_all(&written(variables))?;
        file.rewind()?;
        Ok(file)
    }

    fn take_over() -> io::Result<()> {
        let mut bytes = Vec::new();
        io::stdin().lock().read_to_end(&mut bytes)?;
        // Programs that are started from here on must not find the file.
        rustix::stdio::dup2_stdin(File::open("/dev/null")?)?;
        let _ = SEALED.set(read(&bytes));
        Ok(())
    }

    /// The format of an environment in the kernel: `NAME=value` with a NUL after each.
    fn written(variables: &[(OsString, OsString)]) -> Vec<u8> {
        variables.iter().flat_map(|(name, value)| [name.as_bytes(), b"=", value.as_bytes(), b"\0"].concat()).collect()
    }

    fn read(bytes: &[u8]) -> BTreeMap<OsString, OsString> {
        let entries = bytes.split(|byte| *byte == 0).filter(|entry| !entry.is_empty());
        let pairs = entries.filter_map(|entry| {
            // The first character of a name may be `=`.
            let end = 1 + entry.get(1..)?.iter().position(|byte| *byte == b'=')?;
            Some((OsString::from_vec(entry[..end].to_vec()), OsString::from_vec(entry[end + 1..].to_vec())))
        });
        pairs.collect()
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn passed_variables_arrive_byte_for_byte() {
            let pairs = [("A", &b"1"[..]), ("URL", b"postgres://u:p=%26@h/d"), ("EMPTY", b""), ("LINES", b"a\nb=\xff\xfe")];
            let variables: Vec<_> = pairs.map(|(name, value)| (name.into(), OsString::from_vec(value.to_vec()))).into();
            let mut file = nameless(&variables).unwrap();
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).unwrap();
            assert_eq!(read(&bytes), variables.into_iter().collect());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_that_nobody_knows_to_be_harmless_is_a_secret() {
        let also = ["PARKBRAKE_LISTEN".to_owned()];
        for plain in ["PATH", "LC_ALL", "PGSSLMODE", "PARKBRAKE_LISTEN"] {
            assert!(is_plain(OsStr::new(plain), &also), "{plain}");
        }
        for secret in ["DATABASE_URL", "PGPASSWORD", "PARKBRAKE_SECRET_KEY", "AWS_SECRET_ACCESS_KEY", "HTTPS_PROXY", "ANYTHING", "PATHS"] {
            assert!(!is_plain(OsStr::new(secret), &also), "{secret}");
        }
    }
}
