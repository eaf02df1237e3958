//! Finds PostgreSQL's programs on this machine.
//!
//! Debian keeps them off the `PATH`, with several versions side by side; Homebrew does so for all
//! but one version; other systems put them into the usual folders.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The variable that names the folder of the programs, so that parkbrake does not search.
const CHOICE: &str = "PARKBRAKE_POSTGRES_BIN";

/// Folders with one subfolder per version of PostgreSQL: their path, the prefix of the subfolders,
/// and the path inside one.
const VERSIONED: [(&str, &str); 4] =
    [("/usr/lib/postgresql", ""), ("/usr", "pgsql-"), ("/opt/homebrew/opt", "postgresql"), ("/usr/local/opt", "postgresql")];

/// The programs of one PostgreSQL installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programs {
    folder: PathBuf,
}

/// Why no programs were found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotFound {
    #[error("{CHOICE} is {0}, which does not hold the programs `initdb` and `postgres`: correct it, or unset it to have them searched for")]
    WhereChosen(PathBuf),
    #[error(
        "no PostgreSQL on this machine (its programs `initdb` and `postgres`); install it:\n  \
         Debian, Ubuntu:  apt-get install postgresql\n  \
         Fedora, RHEL:    dnf install postgresql-server\n  \
         macOS:           brew install postgresql\n\
         or set {CHOICE} to the folder that holds them"
    )]
    Anywhere,
}

impl Programs {
    /// Finds the programs: where `PARKBRAKE_POSTGRES_BIN` says, on the `PATH`, where `pg_config`
    /// says, or where the packages of Debian, PGDG and Homebrew put them, the newest version first.
    ///
    /// # Errors
    /// The programs are not installed, or are not where the variable says; the text says how to
    /// install them.
    #[expect(clippy::disallowed_methods, reason = "a program of the machine, found and asked by a command that is not a server")]
    pub fn find() -> Result<Self, NotFound> {
        if let Some(chosen) = std::env::var_os(CHOICE).filter(|value| !value.is_empty()) {
            return Self::chosen(PathBuf::from(chosen));
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let on_path = std::env::split_paths(&path);
        let versioned = VERSIONED.into_iter().flat_map(|(parent, prefix)| newest_first(Path::new(parent), prefix));
        Self::first(on_path.chain(pg_config()).chain(versioned))
    }

    fn chosen(folder: PathBuf) -> Result<Self, NotFound> {
        Self::within(&folder).ok_or(NotFound::WhereChosen(folder))
    }

    fn first(mut folders: impl Iterator<Item = PathBuf>) -> Result<Self, NotFound> {
        folders.find_map(|folder| Self::within(&folder)).ok_or(NotFound::Anywhere)
    }

    fn within(folder: &Path) -> Option<Self> {
        // Absolute, because they are run from another folder; an empty entry of `PATH` means the
        // current one.
        let programs = Self { folder: std::path::absolute(Path::new(".").join(folder)).ok()? };
        (programs.initdb().is_file() && programs.postgres().is_file()).then_some(programs)
    }

    /// The folder of the programs, which also has others, such as `pgbench`.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(super) fn initdb(&self) -> PathBuf {
        self.folder.join("initdb")
    }

    pub(super) fn postgres(&self) -> PathBuf {
        self.folder.join("postgres")
    }
}

/// The folder that `pg_config` names, if it exists. (On Debian it names the folder of the newest
/// client.)
#[expect(clippy::disallowed_methods, reason = "a program of the machine, found and asked by a command that is not a server")]
fn pg_config() -> Option<PathBuf> {
    let output = Command::new("pg_config").arg("--bindir").stdin(Stdio::null()).stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// The `bin` folders of the versions in a folder, the newest first.
fn newest_first(parent: &Path, prefix: &str) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(parent).into_iter().flatten().flatten();
    let mut versions: Vec<(u32, PathBuf)> = entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_prefix(prefix)?.trim_start_matches('@');
            Some((version.parse().unwrap_or(0), entry.path().join("bin")))
        })
        .collect();
    versions.sort();
    versions.into_iter().rev().map(|(_, folder)| folder).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use tempfile::TempDir;

    fn installed(folder: &Path) {
        fs::create_dir_all(folder).unwrap();
        fs::write(folder.join("initdb"), "").unwrap();
        fs::write(folder.join("postgres"), "").unwrap();
    }

    #[test]
    fn the_newest_version_is_taken() {
        let machine = TempDir::new().unwrap();
        for name in ["postgresql@9", "postgresql@15", "postgresql", "other@99"] {
            installed(&machine.path().join(name).join("bin"));
        }
        fs::create_dir_all(machine.path().join("postgresql@17/bin")).unwrap();
        let found = Programs::first(newest_first(machine.path(), "postgresql").into_iter()).unwrap();
        assert_eq!(found.initdb(), machine.path().join("postgresql@15/bin/initdb"));
    }

    #[test]
    fn a_folder_without_the_programs_is_refused() {
        let machine = TempDir::new().unwrap();
        let error = Programs::chosen(machine.path().to_owned()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("PARKBRAKE_POSTGRES_BIN is {}", machine.path().display())), "{error}");
        installed(machine.path());
        assert_eq!(Programs::chosen(machine.path().to_owned()).unwrap().folder(), machine.path());
    }

    #[test]
    fn missing_programs_are_reported_with_installation_commands() {
        let error = Programs::first(std::iter::once(PathBuf::from("/nowhere"))).unwrap_err().to_string();
        for command in ["apt-get install postgresql", "dnf install postgresql-server", "brew install postgresql", "PARKBRAKE_POSTGRES_BIN"]
        {
            assert!(error.contains(command), "{error}");
        }
    }
}
