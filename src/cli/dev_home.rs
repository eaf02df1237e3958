//! The development folder and the tokens in it.
//!
//! `parkbrake dev` creates tokens for every person and agent in the configuration, and writes them
//! to one file that the client commands and the scripts read, so that trying parkbrake out needs no
//! copying of secrets. The scripts in `support/scripts/workflow` follow the same rule;
//! `tests/scripts` checks them.
//!
//! 1. `PARKBRAKE_DEV_HOME`, 2. `/var/lib/parkbrake` for root (its PostgreSQL runs as somebody else,
//!    who cannot enter root's home), 3. `$XDG_STATE_HOME/parkbrake`, 4. `~/.local/state/parkbrake`.

use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const FILE: &str = "tokens";

/// The kind of a principal of the development server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Person,
    Agent,
}

impl Kind {
    fn as_str(self) -> &'static str {
        match self {
            Self::Person => "person",
            Self::Agent => "agent",
        }
    }
}

/// One line of the file: a principal and its token.
#[derive(Clone, PartialEq, Eq)]
pub struct Identity {
    pub kind: Kind,
    pub name: String,
    pub token: String,
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} (token hidden)", self.kind.as_str(), self.name)
    }
}

/// Why no development token is available.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("neither PARKBRAKE_DEV_HOME nor HOME is set: there is no folder for the development server's files")]
    NoHome,
    #[error("PARKBRAKE_TOKEN is not set, and there are no development tokens in {0}: set PARKBRAKE_TOKEN, or start `task dev`")]
    Missing(PathBuf),
    #[error("cannot use {path}: {cause}")]
    Unusable { path: PathBuf, cause: io::Error },
    #[error("line {line} of {path} is not `person NAME TOKEN` or `agent NAME TOKEN`: start `task dev` again, it rewrites the file")]
    Malformed { path: PathBuf, line: usize },
    #[error("the development server knows no `{name}`; it knows: {known}")]
    Unknown { name: String, known: String },
    #[error("the development server has no {}: choose somebody with --as NAME or PARKBRAKE_AS", .0.as_str())]
    NobodyOfKind(Kind),
}

/// The development folder of this user.
///
/// # Errors
/// [`Error::NoHome`] if no variable says where the file is.
#[expect(clippy::disallowed_methods, reason = "this command is not a server yet, and these are no secrets")]
pub fn folder() -> Result<PathBuf, Error> {
    folder_for(is_root(), |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from))
}

/// The development folder, if a variable names it: other terminals need that variable, too.
#[expect(clippy::disallowed_methods, reason = "this command is not a server yet, and these are no secrets")]
pub fn named() -> Option<PathBuf> {
    std::env::var_os("PARKBRAKE_DEV_HOME").filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn folder_for(root: bool, env: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, Error> {
    if let Some(home) = env("PARKBRAKE_DEV_HOME") {
        return Ok(home);
    }
    if root {
        return Ok(PathBuf::from("/var/lib/parkbrake"));
    }
    if let Some(state) = env("XDG_STATE_HOME") {
        return Ok(state.join("parkbrake"));
    }
    let home = env("HOME").or_else(|| env("USERPROFILE")).ok_or(Error::NoHome)?;
    Ok(home.join(".local/state/parkbrake"))
}

#[cfg(unix)]
fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

#[cfg(not(unix))]
fn is_root() -> bool {
    false
}

/// The identities in the folder's file, in order.
///
/// # Errors
/// [`Error::Missing`] if there is no file, or what is wrong with the file.
pub fn read(folder: &Path) -> Result<Vec<Identity>, Error> {
    let path = folder.join(FILE);
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Err(Error::Missing(path)),
        Err(cause) => return Err(Error::Unusable { path, cause }),
    };
    let identity = |line: &str| {
        let mut words = line.split_ascii_whitespace();
        let kind = match words.next()? {
            "person" => Kind::Person,
            "agent" => Kind::Agent,
            _ => return None,
        };
        let identity = Identity { kind, name: words.next()?.to_owned(), token: words.next()?.to_owned() };
        words.next().is_none().then_some(identity)
    };
    text.lines()
        .enumerate()
        .filter(|(_, line)| !line.trim().is_empty())
        .map(|(index, line)| identity(line).ok_or_else(|| Error::Malformed { path: path.clone(), line: index + 1 }))
        .collect()
}

/// Replaces the file, readable by its owner alone. A reader sees either the old file or the new
/// one.
///
/// # Errors
/// [`Error::Unusable`] with the error of the file system.
pub fn write(folder: &Path, identities: &[Identity]) -> Result<PathBuf, Error> {
    let path = folder.join(FILE);
    let text: String = identities.iter().map(|who| format!("{} {} {}\n", who.kind.as_str(), who.name, who.token)).collect();
    let unfinished = folder.join(format!("{FILE}.{}", std::process::id()));
    let written = std::fs::create_dir_all(folder).and_then(|()| {
        write_private(&unfinished, text.as_bytes())?;
        std::fs::rename(&unfinished, &path)
    });
    match written {
        Ok(()) => Ok(path),
        Err(cause) => {
            let _ = std::fs::remove_file(&unfinished);
            Err(Error::Unusable { path, cause })
        }
    }
}

/// Creates the file with its final mode, so that nobody else can open it at any moment.
fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = std::fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The identity to act as: the named one, or else the first of the usual kind.
///
/// # Errors
/// [`Error::Unknown`] for an unknown name, [`Error::NobodyOfKind`] if there is nobody of that kind.
pub fn choose<'a>(identities: &'a [Identity], name: Option<&str>, usual: Kind) -> Result<&'a Identity, Error> {
    match name {
        Some(name) => identities.iter().find(|who| who.name == name).ok_or_else(|| Error::Unknown {
            name: name.to_owned(),
            known: identities.iter().map(|who| who.name.as_str()).collect::<Vec<_>>().join(", "),
        }),
        None => identities.iter().find(|who| who.kind == usual).ok_or(Error::NobodyOfKind(usual)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn identities() -> Vec<Identity> {
        [(Kind::Person, "alice"), (Kind::Agent, "deploy-bot"), (Kind::Person, "tom")]
            .map(|(kind, name)| Identity { kind, name: name.to_owned(), token: format!("pbk_{name}") })
            .to_vec()
    }

    #[test]
    fn the_home_of_dev_follows_variable_user_and_state_folder() {
        let env = |set: &'static [(&str, &str)]| {
            move |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| PathBuf::from(value))
        };
        let all = env(&[("PARKBRAKE_DEV_HOME", "/dev-home"), ("XDG_STATE_HOME", "/state"), ("HOME", "/home/a")]);
        assert_eq!(folder_for(true, all).unwrap(), Path::new("/dev-home"));
        let user = env(&[("XDG_STATE_HOME", "/state"), ("HOME", "/home/a")]);
        assert_eq!(folder_for(true, user).unwrap(), Path::new("/var/lib/parkbrake"));
        assert_eq!(folder_for(false, user).unwrap(), Path::new("/state/parkbrake"));
        assert_eq!(folder_for(false, env(&[("HOME", "/home/a")])).unwrap(), Path::new("/home/a/.local/state/parkbrake"));
        assert!(matches!(folder_for(false, env(&[])), Err(Error::NoHome)));
    }

    #[test]
    fn stored_identities_are_read_back_and_private_to_their_owner() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("new");
        let path = write(&folder, &identities()).unwrap();
        write(&folder, &identities()).unwrap();
        assert_eq!(read(&folder).unwrap(), identities());
        assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 1, "nothing unfinished is left");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        std::fs::write(&path, "person alice pbk_a\nperson bob\n").unwrap();
        let error = read(&folder).unwrap_err().to_string();
        assert!(error.starts_with("line 2 of") && !error.contains("bob"), "{error}");
    }

    #[test]
    fn the_usual_identity_is_the_first_of_its_kind() {
        let all = identities();
        assert_eq!(choose(&all, None, Kind::Agent).unwrap().name, "deploy-bot");
        assert_eq!(choose(&all, None, Kind::Person).unwrap().name, "alice");
        assert_eq!(choose(&all, Some("tom"), Kind::Agent).unwrap().name, "tom");
        let error = choose(&all, Some("eve"), Kind::Person).unwrap_err().to_string();
        assert_eq!(error, "the development server knows no `eve`; it knows: alice, deploy-bot, tom");
        assert!(matches!(choose(&all[..1], None, Kind::Agent), Err(Error::NobodyOfKind(Kind::Agent))));
        assert!(!format!("{all:?}").contains("pbk_"));
    }
}
