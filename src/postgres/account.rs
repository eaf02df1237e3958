//! The user that PostgreSQL runs as.
//!
//! PostgreSQL refuses to run as root, and containers and cloud machines often have no other user.
//! There the cluster runs as `postgres`, which its packages create, or as `nobody`.

use crate::postgres::Error;
use rustix::process::{getegid, geteuid};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::fs::{MetadataExt as _, lchown};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// A user and its group, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Account {
    pub user: u32,
    group: u32,
}

impl Account {
    /// The owner of existing data; otherwise this process's own user, unless that is root.
    pub fn for_data(data: &Path) -> Result<Self, Error> {
        let own = Self { user: geteuid().as_raw(), group: getegid().as_raw() };
        if !own.is_root() {
            return Ok(own);
        }
        let owner = fs::metadata(data).map(|data| Self { user: data.uid(), group: data.gid() });
        let named = || ["postgres", "nobody"].into_iter().find_map(Self::named);
        owner.ok().filter(|owner| !owner.is_root()).or_else(named).ok_or(Error::NoAccount)
    }

    #[expect(
        clippy::disallowed_methods,
        reason = "PostgreSQL is started by a command that is not a server, or that has no secrets in its environment"
    )]
    fn named(name: &str) -> Option<Self> {
        let number = |option: &str| {
            let output = Command::new("id").args([option, name]).stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
            String::from_utf8(output.stdout).ok()?.trim().parse().ok()
        };
        Some(Self { user: number("-u")?, group: number("-g")? }).filter(|account| !account.is_root())
    }

    fn is_root(self) -> bool {
        self.user == 0
    }

    fn is_own(self) -> bool {
        self.user == geteuid().as_raw()
    }

    /// A command that runs as this user: from a folder that everybody can enter, in its own process
    /// group (so that Ctrl-C at a terminal does not reach it), and without this process's
    /// environment, whose `PG…` variables would change its behavior.
    #[expect(
        clippy::disallowed_methods,
        reason = "PostgreSQL is started by a command that is not a server, or that has no secrets in its environment"
    )]
    pub fn command(self, program: impl Into<PathBuf>) -> Command {
        let mut command = Command::new(program.into());
        command.env_clear().env("LC_ALL", "C").current_dir("/").process_group(0).stdin(Stdio::null());
        if let Some(path) = std::env::var_os("PATH") {
            command.env("PATH", path);
        }
        if !self.is_own() {
            command.uid(self.user).gid(self.group);
        }
        command
    }

    /// Gives a file or folder of this process to the account.
    pub fn own(self, path: &Path) -> io::Result<()> {
        if self.is_own() { Ok(()) } else { lchown(path, Some(self.user), Some(self.group)) }
    }

    /// Checks that the account can reach these folders: its own folder is useless under a parent
    /// that is closed to it.
    pub fn reach(self, folders: &[&Path]) -> Result<(), Error> {
        if self.is_own() {
            return Ok(());
        }
        let ways = folders.iter().flat_map(|folder| folder.ancestors().collect::<Vec<_>>().into_iter().rev());
        let check = r#"for folder; do test -x "$folder" || { printf %s "$folder"; exit 1; }; done"#;
        let output = self.command("sh").args(["-c", check, "sh"]).args(ways).stderr(Stdio::null()).output();
        match output {
            Ok(output) if output.status.success() => Ok(()),
            Ok(output) => Err(Error::Unreachable { folder: OsString::from_vec(output.stdout).into(), user: self.user }),
            Err(source) => Err(Error::Program { program: "sh".into(), source }),
        }
    }
}
