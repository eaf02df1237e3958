//! The environment of a run: variables that are passed on by name, and nothing else.
//!
//! The server's own environment holds the database's address and the secrets of all runbooks. A run
//! must not get all of them, so it starts from an empty environment and gets `PATH`, `HOME` and
//! `LANG`, the variables that its configuration names, and four of parkbrake's own, which no
//! configuration can override.

use crate::execution::account::Account;
use crate::execution::artifacts::search_path;
use crate::execution::output::Secrets;
use crate::execution::redactions::Redactions;
use crate::execution::run::{ATTEMPT, Run, WORKFLOW_ID};
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt as _;
use std::sync::Arc;

/// The digest of the document that was approved.
const DIGEST: &str = "PARKBRAKE_DIGEST";
/// The same for every attempt at one step, so that the called service can tell a repetition from a
/// new order.
const IDEMPOTENCY_KEY: &str = "PARKBRAKE_IDEMPOTENCY_KEY";

/// Passed on if the server has them, in addition to `PATH`.
const PASSED_ON: [&str; 2] = ["HOME", "LANG"];

/// All variables of one run. It has no `Debug`: some of the values are secrets.
pub struct Environment {
    pub variables: Vec<(OsString, OsString)>,
    /// The values that its output must not show: every secret of the server, and the values of the
    /// configured variables.
    pub secrets: Arc<Secrets>,
}

/// A configured variable that the server cannot pass on.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{source_name}` is not set in the server's environment, and the runbook's `{name}` is read from it: set it and restart parkbrake")]
pub struct Missing {
    name: String,
    source_name: String,
}

impl Environment {
    /// Sets the variables that differ for a run under an account of its own.
    pub fn at_home(&mut self, account: &Account) {
        self.variables.retain(|(name, _)| name != "HOME");
        self.variables.push(("HOME".into(), account.home.clone().into_os_string()));
    }

    /// The environment of this run, with the values that `read` finds now.
    ///
    /// # Errors
    /// The first configured variable that is not set.
    pub fn of(run: &Run<'_>, redactions: &Redactions, read: impl Fn(&str) -> Option<OsString>) -> Result<Self, Missing> {
        let mut variables: Vec<(OsString, OsString)> = PASSED_ON.into_iter().filter_map(|name| Some((name.into(), read(name)?))).collect();
        // Without relative folders, just as the program itself was looked up.
        variables.push(("PATH".into(), search_path(read("PATH").as_deref())));
        let mut secrets = Vec::new();
        for entry in &run.invocation.env {
            let (name, source) = entry.split_once('=').unwrap_or((entry, entry));
            let value = read(source).ok_or_else(|| Missing { name: name.to_owned(), source_name: source.to_owned() })?;
            secrets.push(value.clone().into_vec());
            variables.push((name.into(), value));
        }
        variables.extend([
            (WORKFLOW_ID.into(), run.workflow_id.to_string().into()),
            (ATTEMPT.into(), run.attempt.number.to_string().into()),
            (DIGEST.into(), run.digest.as_str().into()),
            (IDEMPOTENCY_KEY.into(), run.attempt.idempotency_key(run.workflow_id).into()),
        ]);
        Ok(Self { variables, secrets: Arc::new(Secrets::new(redactions.clone(), secrets)) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::task::confinement::Limits;
    use crate::domain::task::digest::Digest;
    use crate::domain::task::invocation::Invocation;
    use crate::domain::workflow::AttemptId;
    use std::collections::BTreeMap;
    use std::time::Duration;
    use uuid::Uuid;

    fn environment(entries: &[&str], server: &[(&str, &str)]) -> Result<BTreeMap<String, String>, Missing> {
        let invocation = Invocation {
            command: vec!["true".to_owned()],
            program: None,
            files: Vec::new(),
            working_dir: "/".into(),
            user: None,
            env: entries.iter().map(ToString::to_string).collect(),
            timeout: Duration::from_secs(1),
            idempotent: false,
            concurrency: None,
            limits: Limits::default(),
            sandbox: None,
            new_privileges: false,
            retry: None,
            probe: Vec::new(),
            precondition: None,
        };
        let run =
            Run { workflow_id: Uuid::nil(), attempt: AttemptId { step: 1, number: 2 }, digest: &Digest::of(b""), invocation: &invocation };
        let read = |wanted: &str| server.iter().find(|(name, _)| *name == wanted).map(|(_, value)| value.into());
        let text = |text: OsString| text.into_string().unwrap();
        Ok(Environment::of(&run, &Redactions::default(), read)?
            .variables
            .into_iter()
            .map(|(name, value)| (text(name), text(value)))
            .collect())
    }

    #[test]
    fn only_what_is_named_is_passed_on() {
        let server = [("PATH", "/bin"), ("DATABASE_URL", "postgres://secret"), ("TOKEN", "t"), ("OTHER", "o")];
        let names: Vec<_> = environment(&["TOKEN", "ALIAS=OTHER"], &server).unwrap().into_iter().collect();
        let pairs: Vec<_> = names.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        let nil = "00000000-0000-0000-0000-000000000000";
        let digest = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let expected = [
            ("ALIAS", "o"),
            ("PARKBRAKE_ATTEMPT", "2"),
            ("PARKBRAKE_DIGEST", digest),
            ("PARKBRAKE_IDEMPOTENCY_KEY", nil),
            ("PARKBRAKE_WORKFLOW_ID", nil),
            ("PATH", "/bin"),
            ("TOKEN", "t"),
        ];
        assert_eq!(pairs, expected);
    }

    #[test]
    fn no_configuration_overrides_parkbrakes_own_variables() {
        let given = environment(&["PARKBRAKE_ATTEMPT=TOKEN"], &[("TOKEN", "99")]).unwrap();
        assert_eq!(given["PARKBRAKE_ATTEMPT"], "2");
    }

    #[test]
    fn a_missing_variable_is_named_with_its_source() {
        let missing = environment(&["TOKEN=DEPLOY_TOKEN"], &[("PATH", "/bin")]).unwrap_err().to_string();
        assert!(missing.starts_with("`DEPLOY_TOKEN` is not set in the server's environment, and the runbook's `TOKEN`"), "{missing}");
    }
}
