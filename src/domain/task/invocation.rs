//! A command that is ready to run, and the files on this machine that belong to it.
//!
//! An approval covers the argument vector and also the bytes that would run: the document has the
//! real paths and digests of the program and of the files that its runbook lists. So a script that
//! is edited after it was shown is a different command, which [`Invocation::difference`] detects.

use crate::domain::duration;
use crate::domain::task::confinement::{Limits, Sandbox};
use crate::domain::task::digest::Digest;
use crate::domain::task::precondition::Precondition;
use crate::domain::task::retry::Retry;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

/// The timeout of a probe or a precondition.
pub const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// One command: an argument vector, never a shell line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invocation {
    pub command: Vec<String>,
    /// The program of `command`, as found on the machine. `None` before it is resolved, and in
    /// documents of versions that did not resolve it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<Artifact>,
    /// The files that the runbook lists.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<Artifact>,
    pub working_dir: PathBuf,
    /// The account that it runs as, `USER` or `USER:GROUP`; `None` is the server's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// The variables to pass on, as `NAME` or `NAME=SOURCE`; their values are read when it runs and
    /// are never stored.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// After this time the whole process tree is killed.
    #[serde(with = "duration::text")]
    pub timeout: Duration,
    /// Whether it may be run again, with the same key, after a crash.
    pub idempotent: bool,
    /// Limits how many such commands run at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<Concurrency>,
    /// The limits that its runbook sets.
    #[serde(default, skip_serializing_if = "Limits::is_empty")]
    pub limits: Limits,
    /// The sandbox that it runs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sandbox: Option<Sandbox>,
    /// Whether programs that it starts may gain privileges that it does not have, as with `sudo`.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub new_privileges: bool,
    /// How failed attempts are retried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// The command that finds out whether an attempt of unknown outcome happened; empty if there is
    /// none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub probe: Vec<String>,
    /// The command whose output has to be unchanged right before the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub precondition: Option<Precondition>,
}

/// How many commands with the same key run at once, whatever their runbooks. The others wait in
/// order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Concurrency {
    pub key: String,
    /// At least 1.
    pub limit: u32,
}

impl fmt::Display for Concurrency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at once with the key {:?}", self.limit, self.key)
    }
}

/// A file on the machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Artifact {
    /// Before it is resolved: as in the runbook. Afterwards: its real path, without symbolic links.
    pub path: PathBuf,
    /// The digest of its content; `None` before it is resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Digest>,
}

impl Artifact {
    /// An unresolved file.
    pub fn named(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), digest: None }
    }
}

impl Invocation {
    /// A command that inspects something for this one. It runs in the same way, for at most
    /// [`LOOK_TIMEOUT`]. Its program is unresolved.
    pub fn looking(&self, command: &[String]) -> Self {
        Self {
            command: command.to_vec(),
            probe: Vec::new(),
            precondition: None,
            program: None,
            retry: None,
            timeout: LOOK_TIMEOUT,
            ..self.clone()
        }
    }

    /// How the command differs now from this approved one; `None` if it does not.
    pub fn difference(&self, now: &Self) -> Option<String> {
        if self.command != now.command {
            return Some(format!("its command is {:?} now, and {:?} was approved", now.command, self.command));
        }
        let shown = |path: &PathBuf| path.display().to_string();
        if self.working_dir != now.working_dir {
            let (now, approved) = (shown(&now.working_dir), shown(&self.working_dir));
            return Some(format!("its folder is {now} now, and {approved} was approved"));
        }
        let Some((approved, found)) = self.program.as_ref().zip(now.program.as_ref()) else {
            return Some("its document does not say which program was approved; it was submitted to an earlier version".to_owned());
        };
        if let Some(difference) = approved.difference("its program", found) {
            return Some(difference);
        }
        let paths = |files: &[Artifact]| files.iter().map(|file| shown(&file.path)).collect::<Vec<_>>();
        let (approved, found) = (paths(&self.files), paths(&now.files));
        if approved != found {
            return Some(format!("its files are {found:?} now, and {approved:?} were approved"));
        }
        if let Some(difference) = self.files.iter().zip(&now.files).find_map(|(approved, found)| approved.difference("its file", found)) {
            return Some(difference);
        }
        let limit = |limit: &Option<Concurrency>| limit.as_ref().map_or_else(|| "unlimited".to_owned(), Concurrency::to_string);
        let sandbox = |sandbox: &Option<Sandbox>| sandbox.as_ref().map_or_else(|| "none".to_owned(), Sandbox::to_string);
        let looks = |looks: &Option<Precondition>| looks.as_ref().map_or_else(|| "none".to_owned(), |looks| format!("{:?}", looks.command));
        let tries = |retry: Option<Retry>| retry.map_or_else(|| "one attempt".to_owned(), |retry| retry.to_string());
        let rest = [
            (
                "its account",
                self.user.as_deref().unwrap_or("the server's").to_owned(),
                now.user.as_deref().unwrap_or("the server's").to_owned(),
            ),
            ("the list of its variables", self.env.join(" "), now.env.join(" ")),
            ("its timeout", duration::show(self.timeout).to_string(), duration::show(now.timeout).to_string()),
            ("`idempotent`", self.idempotent.to_string(), now.idempotent.to_string()),
            ("`concurrency`", limit(&self.concurrency), limit(&now.concurrency)),
            ("`limits`", self.limits.to_string(), now.limits.to_string()),
            ("`sandbox`", sandbox(&self.sandbox), sandbox(&now.sandbox)),
            ("`new_privileges`", self.new_privileges.to_string(), now.new_privileges.to_string()),
            ("`retry`", tries(self.retry), tries(now.retry)),
            ("`probe`", format!("{:?}", self.probe), format!("{:?}", now.probe)),
            ("`precondition`", looks(&self.precondition), looks(&now.precondition)),
        ];
        let changed = rest.into_iter().find(|(_, approved, found)| approved != found);
        changed.map(|(what, approved, found)| format!("{what} is `{found}` now, and `{approved}` was approved"))
    }
}

impl Artifact {
    fn difference(&self, what: &str, now: &Self) -> Option<String> {
        let (approved, found) = (self.path.display(), now.path.display());
        if self.path != now.path {
            return Some(format!("{what} is {found} now, and {approved} was approved"));
        }
        let digest = |artifact: &Self| artifact.digest.as_ref().map_or_else(|| "no digest".to_owned(), Digest::to_string);
        let (approved, now) = (digest(self), digest(now));
        (approved != now).then(|| format!("the content of {what} {found} is {now} now, and {approved} was approved"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Change = fn(&mut Invocation);

    fn approved() -> Invocation {
        let artifact = |path: &str| Artifact { path: path.into(), digest: Some(Digest::of(path.as_bytes())) };
        Invocation {
            command: vec!["deploy.sh".to_owned(), "api".to_owned()],
            program: Some(artifact("/srv/deploy.sh")),
            files: vec![artifact("/srv/api.yaml")],
            working_dir: "/srv".into(),
            user: None,
            env: vec!["TOKEN".to_owned()],
            timeout: Duration::from_secs(60),
            idempotent: false,
            concurrency: None,
            limits: Limits::default(),
            sandbox: None,
            new_privileges: false,
            retry: None,
            probe: Vec::new(),
            precondition: None,
        }
    }

    #[test]
    fn the_same_command_has_no_difference() {
        assert_eq!(approved().difference(&approved()), None);
    }

    #[test]
    fn every_part_of_a_command_makes_a_difference() {
        let changes: [(&str, Change); 20] = [
            ("its command", |now| now.command[1] = "db".to_owned()),
            ("its command", |now| now.command.push(String::new())),
            ("its folder is /tmp now", |now| now.working_dir = "/tmp".into()),
            ("which program was approved", |now| now.program = None),
            ("its program is /bin/sh now", |now| now.program.as_mut().unwrap().path = "/bin/sh".into()),
            ("the content of its program /srv/deploy.sh", |now| now.program.as_mut().unwrap().digest = Some(Digest::of(b""))),
            ("its files are", |now| now.files.clear()),
            ("the content of its file /srv/api.yaml is no digest now", |now| now.files[0].digest = None),
            ("its account is `deploy` now", |now| now.user = Some("deploy".to_owned())),
            ("its variables is `TOKEN OTHER` now", |now| now.env.push("OTHER".to_owned())),
            ("its timeout is `1h` now", |now| now.timeout = Duration::from_secs(3_600)),
            ("`idempotent` is `true` now", |now| now.idempotent = true),
            ("`probe` is `[\"look\"]`", |now| now.probe = vec!["look".to_owned()]),
            ("`precondition` is `[\"look\"]`", |now| now.precondition = Some(Precondition::new(vec!["look".to_owned()]))),
            ("`retry` is `up to 3 attempts", |now| now.retry = Some(Retry { attempts: 3, backoff: Duration::from_secs(30) })),
            ("`concurrency` is `1 at once", |now| now.concurrency = Some(Concurrency { key: "api".to_owned(), limit: 1 })),
            ("`limits` is `processes 5` now", |now| now.limits.processes = Some(5)),
            ("`limits` is `cpu 1m` now", |now| now.limits.cpu = Some(Duration::from_secs(60))),
            ("`sandbox` is `no network, writes /srv` now", |now| {
                now.sandbox = Some(Sandbox { network: false, write: vec!["/srv".into()] });
            }),
            ("`new_privileges` is `true` now", |now| now.new_privileges = true),
        ];
        for (words, change) in changes {
            let mut now = approved();
            change(&mut now);
            let difference = approved().difference(&now).unwrap_or_default();
            assert!(difference.contains(words), "{words}: {difference}");
            assert!(now.difference(&approved()).is_some(), "{words}");
        }
    }

    #[test]
    fn an_invocation_of_an_earlier_version_always_differs() {
        let old = Invocation { program: None, ..approved() };
        assert!(old.difference(&approved()).unwrap().contains("earlier version"));
        assert!(old.difference(&old).is_some());
    }
}
