//! Finds on this machine what a command names: the real paths of its folder, its program and its
//! files, and their digests.
//!
//! This happens when a task is submitted, so that the digests are shown and approved with the
//! command; again at the start gate; and a last time right before the start, when the program that
//! was hashed is kept open and that open file is run. Linux opens a script a second time by its
//! path: the launcher checks that the path still leads to the file that was hashed, and that nobody
//! has written to it since, which leaves some microseconds between this check and the start.
//! Whatever else an interpreter or a program reads is covered only if the runbook lists it under
//! `files`.

use crate::domain::task::digest::{Digest, Digester};
use crate::domain::task::invocation::{Artifact, Invocation};
use crate::execution::launcher::order::{Program, Seen};
use crate::execution::shortage;
use rustix::fs::{Access, access};
use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The largest file that is hashed: hashing a disk image would hold up everyone else.
const LARGEST: u64 = 1 << 30;
/// The mode bit of a file that everyone can write to.
const WORLD_WRITABLE: u32 = 0o002;
/// The mode bit of a folder in which nobody can replace the files of others.
const STICKY: u32 = 0o1000;

/// Where programs are looked up if the server has no `PATH`.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";

/// A command whose files were found, with its program opened.
pub struct Found {
    pub invocation: Invocation,
    pub program: File,
    path: PathBuf,
    seen: Seen,
}

/// The absolute folders of a `PATH`. Relative ones would depend on the folder of the run.
pub fn search_path(path: Option<&OsStr>) -> OsString {
    let folders = std::env::split_paths(path.unwrap_or(OsStr::new(USUAL_PATH))).filter(|folder| folder.is_absolute());
    // They were just split, so they can be joined.
    std::env::join_paths(folders).unwrap_or_default()
}

/// Finds what a command names. It reads whole files, so it must be called on a thread that may
/// block.
///
/// # Errors
/// What is missing, cannot be read, or could be changed by everyone on the machine.
pub fn find(mut invocation: Invocation, path: &OsStr) -> Result<Found, String> {
    let folder = real(&invocation.working_dir).map_err(|error| format!("the runbook's `working_dir` {error}"))?;
    if !folder.is_dir() {
        return Err(format!("the runbook's `working_dir` {} is not a folder", folder.display()));
    }
    let name = invocation.command.first().ok_or("the runbook's `command` is empty")?;
    let program = real(&located(name, &folder, path)?)?;
    let (mut file, digest, seen) = hashed(&program)?;
    access(&program, Access::EXEC_OK).map_err(|_| format!("{} is not executable", program.display()))?;
    file.rewind().map_err(|error| format!("{}: {error}", program.display()))?;
    for artifact in &mut invocation.files {
        let path = real(&folder.join(&artifact.path)).map_err(|error| format!("of the runbook's `files`, {error}"))?;
        let (_, digest, _) = hashed(&path).map_err(|error| format!("of the runbook's `files`, {error}"))?;
        *artifact = Artifact { path, digest: Some(digest) };
    }
    for path in invocation.sandbox.iter_mut().flat_map(|sandbox| &mut sandbox.write) {
        *path = real(&folder.join(&*path)).map_err(|error| format!("of the runbook's `sandbox.write`, {error}"))?;
    }
    invocation.program = Some(Artifact { path: program.clone(), digest: Some(digest) });
    invocation.working_dir = folder;
    Ok(Found { invocation, program: file, path: program, seen })
}

impl Found {
    /// What to execute: the open file that was hashed if it is a program that Linux can run that
    /// way, and the path of a script.
    pub fn executable(&mut self) -> Program {
        let mut first = [0; 4];
        let is_binary = self.program.read_exact(&mut first).is_ok() && &first == b"\x7fELF";
        if is_binary && Path::new("/proc/self/fd").exists() { Program::Open(self.seen) } else { Program::At(self.path.clone(), self.seen) }
    }
}

/// Finds a program: a name with a `/` is relative to the runbook's folder, and a bare name is
/// looked up in the folders of `PATH`.
fn located(name: &str, folder: &Path, path: &OsStr) -> Result<PathBuf, String> {
    if name.contains('/') {
        return Ok(folder.join(name));
    }
    in_path(name, path)
        .ok_or_else(|| "No such file or directory in the folders of the server's PATH; check the runbook's `command`".to_owned())
}

/// The first program with this name in the folders of `PATH`.
pub fn in_path(name: &str, path: &OsStr) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| path.is_file() && access(path, Access::EXEC_OK).is_ok();
    std::env::split_paths(path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name)).find(is_program)
}

fn real(path: &Path) -> Result<PathBuf, String> {
    fs::canonicalize(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => format!("{}: No such file or directory", path.display()),
        _ => format!("{}: {error}", path.display()),
    })
}

/// Opens a file and hashes its content, provided that only its owners can change or replace it.
fn hashed(path: &Path) -> Result<(File, Digest, Seen), String> {
    let named = |error: io::Error| format!("{}: {error}", path.display());
    // Checked before it is opened, because opening a pipe would wait for its other end.
    let meant = fs::metadata(path).map_err(named)?;
    if !meant.is_file() {
        return Err(format!("{} is not a regular file", path.display()));
    }
    if meant.len() > LARGEST {
        return Err(format!("{} is larger than {LARGEST} bytes", path.display()));
    }
    let mut file = shortage::retry_blocking(|| File::open(path)).map_err(named)?;
    let opened = file.metadata().map_err(named)?;
    if (opened.dev(), opened.ino()) != (meant.dev(), meant.ino()) {
        return Err(format!("{} was replaced while it was being read; try again", path.display()));
    }
    refuse_open_to_all(path, opened.mode())?;
    let (mut digester, mut piece) = (Digester::default(), vec![0; 64 * 1024]);
    loop {
        match file.read(&mut piece) {
            // Taken before the file was read, so that a change during the reading shows.
            Ok(0) => return Ok((file, digester.finish(), Seen::of(&opened))),
            Ok(read) => digester.add(&piece[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(named(error)),
        }
    }
}

fn refuse_open_to_all(path: &Path, mode: u32) -> Result<(), String> {
    if mode & WORLD_WRITABLE != 0 {
        return Err(format!("{} can be written by everyone on this machine; `chmod o-w` it", path.display()));
    }
    for folder in path.ancestors().skip(1) {
        let mode = fs::metadata(folder).map_err(|error| format!("{}: {error}", folder.display()))?.mode();
        if mode & WORLD_WRITABLE != 0 && mode & STICKY == 0 {
            let (path, folder) = (path.display(), folder.display());
            return Err(format!("everyone on this machine can replace {path}, because everyone can write to {folder}; `chmod o-w` it"));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
