//! A private PostgreSQL cluster from the machine's own programs, for `parkbrake dev` and for tests.
//!
//! Trying parkbrake, or testing it, must need nothing but an installed PostgreSQL: no service, no
//! password, no port, no container. And it must leave nothing behind:
//!
//! 1. The cluster listens only on a Unix socket, in a folder that only its user can enter, so that
//!    it is safe to trust whoever reaches it.
//! 2. The server runs under a watchdog, which stops it when its owner has ended, for whatever
//!    reason.
//! 3. A lock shows whether a server still works in the folder: its processes inherit the lock, and
//!    the kernel releases it with the last of them. Numbers in files, which a crash leaves behind,
//!    decide nothing.

mod account;
mod cluster;
mod folder;
mod programs;
#[cfg(test)]
mod tests;
mod watchdog;
mod wire;

pub use cluster::{Cluster, Options};
pub use programs::{NotFound, Programs};

use std::io;
use std::path::PathBuf;

/// Why there is no cluster.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("could not use {path}: {source}")]
    Folder { path: PathBuf, source: io::Error },
    #[error("{0} is neither a cluster of parkbrake nor an empty folder of this user: choose one that is, or that does not exist")]
    Foreign(PathBuf),
    #[error("{0} is in use by a PostgreSQL that does not end: stop the parkbrake that runs it, or choose another folder")]
    InUse(PathBuf),
    #[error("{0} is not a folder that only the user of PostgreSQL can enter: remove it and try again")]
    NotPrivate(PathBuf),
    #[error(
        "PostgreSQL does not run as root, and the user that it would run as (number {user}) cannot enter {folder}: \
         make it passable (chmod o+x), or choose another folder"
    )]
    Unreachable { folder: PathBuf, user: u32 },
    #[error("PostgreSQL does not run as root, and there is no user `postgres` or `nobody` to run it as: run parkbrake as another user")]
    NoAccount,
    #[error("could not start {program}: {source}")]
    Program { program: PathBuf, source: io::Error },
    #[error("initdb could not make a cluster in {folder}; it said:\n{log}")]
    Initdb { folder: PathBuf, log: String },
    #[error("PostgreSQL did not start in {folder}; its log says:\n{log}")]
    NotReady { folder: PathBuf, log: String },
    #[error("PostgreSQL in {0} was told to stop but still runs: it waits for its clients or its disk; see its log there")]
    NotStopped(PathBuf),
    #[error("`{0}` cannot be the name of a database here: use at most 63 of a-z, 0-9 and _")]
    Name(String),
    #[error("could not create database `{name}`: {source}")]
    Create { name: String, source: wire::Failure },
}
