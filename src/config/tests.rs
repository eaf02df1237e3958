//! Configurations as an operator would write them, valid and invalid.

mod agent_tools;
mod docs;
mod freezes;
mod invalid;
mod invalid_people;
mod invalid_runbooks;
mod matrix;
mod notifications;
mod playbooks;
mod sign_in;
mod unread;
mod valid;
mod version;
mod weaknesses;

use super::{Configuration, load};
use std::path::{Path, PathBuf};

const RULES: &str = "hitl/risk-assessment-rules.yaml";
const TRIGGERS: &str = "hitl/interrupt-triggers.yaml";
const APPROVALS: &str = "hitl/approval-policies.yaml";
const RUNBOOKS: &str = "runbooks.yaml";
const PLAYBOOKS: &str = "playbooks.yaml";
const TOOLS: &str = "hitl/agent-tools.yaml";
const NOTIFICATIONS: &str = "notifications.yaml";
const SIGN_IN: &str = "sign-in.yaml";

/// People that satisfy the shipped levels, in one line.
const PEOPLE: &str = "people: { alice: { roles: [team_lead] }, tom: { roles: [tech_lead] }, cora: { roles: [cto, admin] } }\n";

/// A folder with these files.
fn folder(files: &[(&str, &str)]) -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("hitl")).unwrap();
    for (name, text) in files {
        std::fs::write(dir.path().join(name), text).unwrap();
    }
    dir
}

/// The problems of these files, as an operator reads them, without the folder.
fn loaded(files: &[(&str, &str)]) -> Result<Configuration, Vec<String>> {
    let dir = folder(files);
    let folder = format!("{}/", dir.path().display());
    let shown = |problems: Vec<super::Problem>| problems.iter().map(|problem| problem.to_string().replace(&folder, "")).collect();
    load(dir.path(), Path::new("/srv/base")).map_err(shown)
}

/// A valid configuration; if it is not, the test shows its problems.
#[track_caller]
fn valid(files: &[(&str, &str)]) -> Configuration {
    loaded(files).unwrap_or_else(|problems| panic!("{}", problems.join("\n")))
}

/// The problems of an invalid configuration.
#[track_caller]
fn invalid(files: &[(&str, &str)]) -> Vec<String> {
    match loaded(files) {
        Ok(_) => panic!("the configuration is valid"),
        Err(problems) => problems,
    }
}

fn repository() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}
