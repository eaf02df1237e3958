//! Turns YAML files into the values of the core; one module for each file.
//!
//! There are two stages. First, each file is read as written, and defaults are filled in
//! ([`risk_rules`], [`interrupt_triggers`], [`approval_policies`], [`runbooks`], [`playbooks`],
//! [`notifications`], [`sign_in`]); then [`policy`] resolves and checks what they say together.
//! Problems are collected on the way, so that all of them are reported at once, each with file,
//! line and key. A configuration with a single problem is not used at all.

mod address;
mod agent_tools;
mod approval_policies;
mod baseline;
mod channels;
mod confinement;
mod document;
mod facts;
mod freezes;
mod grants;
mod interrupt_triggers;
mod mail_address;
pub mod manifests;
mod names;
mod notifications;
mod placeholders;
mod playbooks;
mod policy;
mod positions;
mod problem;
mod quotas;
mod retry;
mod risk_rules;
mod runbooks;
mod shipped;
mod sign_in;
mod source;
mod unread;
mod value;
mod weaknesses;
mod webhooks;
mod words;

#[cfg(test)]
mod tests;

pub use problem::Problem;
pub use shipped::shipped;

use crate::domain::grant::GrantLimits;
use crate::domain::hold::Freeze;
use crate::domain::notice::Notifications;
use crate::domain::policy::Policy;
use crate::domain::policy::quota::Quotas;
use crate::domain::policy::sign_in::{OpenIdSettings, SignInSettings};
use crate::domain::request::Actions;
use crate::domain::request::playbook::Playbook;
use crate::domain::request::runbook::Runbook;
use crate::domain::request::webhook::Webhook;
use crate::domain::risk::Rules;
use crate::domain::task::digest::{self, Digest};
use crate::domain::tools::ToolRules;
use approval_policies::ApprovalPolicies;
use serde_json::{Value, json};
use shipped::Shipped;
use source::Source;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// A valid configuration.
#[derive(Debug, Clone)]
pub struct Configuration {
    pub rules: Rules,
    pub policy: Policy,
    /// How much agents may request.
    pub quotas: Quotas,
    /// Which standing grants people may give.
    pub grants: GrantLimits,
    /// When nothing starts, by name.
    pub freezes: Vec<Freeze>,
    pub runbooks: BTreeMap<String, Runbook>,
    pub webhooks: BTreeMap<String, Webhook>,
    pub playbooks: BTreeMap<String, Playbook>,
    pub notifications: Notifications,
    /// How people sign in to the inbox, apart from their tokens.
    pub sign_in: SignInSettings,
    /// How tool calls of coding agents are interpreted.
    pub tools: ToolRules,
    /// The digest of `document`: equal values have the same version, however they are written.
    pub version: Digest,
    /// The values of all files with defaults filled in, as canonical JSON.
    pub document: String,
    /// Remarks for the operator, although nothing is wrong.
    pub notes: Vec<String>,
    /// The position of each rule, by the path of its keys: its file, relative to the folder of the
    /// configuration, and its line.
    pub positions: BTreeMap<String, String>,
    /// Settings that are weaker than in the shipped configuration, or that let a requester do more
    /// than it seems.
    pub weaknesses: Vec<String>,
}

impl Configuration {
    /// What parkbrake itself can do.
    pub fn actions(&self) -> Actions<'_> {
        Actions { runbooks: &self.runbooks, webhooks: &self.webhooks, playbooks: &self.playbooks }
    }

    /// The environment variables from which runbooks, webhooks and channels read values.
    pub fn variables(&self) -> BTreeSet<String> {
        fn collect(value: &Value, found: &mut BTreeSet<String>) {
            match value {
                Value::Object(fields) => {
                    found.extend(fields.get("from_env").and_then(Value::as_str).map(str::to_owned));
                    fields.values().for_each(|value| collect(value, found));
                }
                Value::Array(values) => values.iter().for_each(|value| collect(value, found)),
                _ => {}
            }
        }
        let mut found = BTreeSet::new();
        // The document contains every value of every file.
        collect(&serde_json::from_str(&self.document).unwrap_or_default(), &mut found);
        found
    }
}

/// Reads the configuration in a folder. A relative `working_dir` of a runbook is resolved against
/// `base`.
///
/// # Errors
/// All problems, in the order of the files and their lines.
pub fn load(dir: &Path, base: &Path) -> Result<Configuration, Vec<Problem>> {
    if !dir.is_dir() {
        // Otherwise a misspelled path would look like a folder without any of the files.
        let detail = "is not a folder; name the one that holds the configuration with --config".to_owned();
        return Err(vec![Problem { file: dir.to_owned(), line: None, key: String::new(), detail }]);
    }
    let mut problems = unread::problems(dir, &shipped::READ);
    let files = Files::open(dir, &mut problems);
    let shipped = Shipped::read();
    let configuration = resolve(&files, &shipped, dir, base, &mut problems);
    problems.extend(files.into_problems());
    problems.extend(shipped.risk_rules.into_problems());
    problems.extend(shipped.interrupt_triggers.into_problems());
    problems.extend(shipped.agent_tools.into_problems());
    configuration.filter(|_| problems.is_empty()).ok_or(problems)
}

/// The files as they were read.
struct Files {
    risk_rules: Opened,
    interrupt_triggers: Opened,
    approval_policies: Opened,
    agent_tools: Opened,
    runbooks: Opened,
    playbooks: Opened,
    notifications: Opened,
    sign_in: Opened,
}

/// A file, or `None` if there is none.
type Opened = Result<Option<Source>, Unreadable>;

/// A file that exists, but whose values are unknown. Its problem has been noted; what depends on
/// its values is not checked, because problems would be reported in the wrong file.
struct Unreadable;

impl Files {
    fn open(dir: &Path, problems: &mut Vec<Problem>) -> Self {
        let mut open = |name: &str| Source::read(&dir.join(name)).map_err(|problem| problems.push(problem)).map_err(|()| Unreadable);
        Self {
            risk_rules: open(shipped::RISK_RULES),
            interrupt_triggers: open(shipped::INTERRUPT_TRIGGERS),
            approval_policies: open(shipped::APPROVAL_POLICIES),
            agent_tools: open(shipped::AGENT_TOOLS),
            runbooks: open(shipped::RUNBOOKS),
            playbooks: open(shipped::PLAYBOOKS),
            notifications: open(shipped::NOTIFICATIONS),
            sign_in: open(shipped::SIGN_IN),
        }
    }

    /// The files that define who decides what, and what runs.
    fn of_rules(&self) -> impl Iterator<Item = &Source> {
        let files = [&self.interrupt_triggers, &self.risk_rules, &self.approval_policies, &self.runbooks];
        files.into_iter().filter_map(|file| known(file).flatten())
    }

    fn into_problems(self) -> Vec<Problem> {
        let of_people = [self.risk_rules, self.interrupt_triggers, self.approval_policies];
        let files = of_people.into_iter().chain([self.agent_tools, self.runbooks, self.playbooks, self.notifications, self.sign_in]);
        files.into_iter().flatten().flatten().flat_map(Source::into_problems).collect()
    }
}

fn resolve(files: &Files, shipped: &Shipped, dir: &Path, base: &Path, problems: &mut Vec<Problem>) -> Option<Configuration> {
    let approvals = known(&files.approval_policies)
        .map(|file| file.map_or_else(ApprovalPolicies::default, |file| approval_policies::read(&file.root())));
    let rules = known(&files.risk_rules)?.unwrap_or(&shipped.risk_rules);
    let rules = risk_rules::read(&rules.root(), &shipped.risk_rules.root());
    let shipped_rules = risk_rules::read(&shipped.risk_rules.root(), &shipped.risk_rules.root());
    let shipped_triggers = interrupt_triggers::read(None, &shipped.interrupt_triggers.root(), &shipped_rules).into_domain();
    let triggers = known(&files.interrupt_triggers).map(|file| {
        let file = file.map(Source::root);
        interrupt_triggers::read(file.as_ref(), &shipped.interrupt_triggers.root(), &rules)
    });
    let runbooks =
        known(&files.runbooks).map(|file| file.map_or_else(runbooks::Runbooks::default, |file| runbooks::read(&file.root(), &rules, base)));
    let playbooks = known(&files.playbooks).zip(runbooks.as_ref());
    let playbooks = playbooks
        .map(|(file, runbooks)| file.map_or_else(playbooks::Playbooks::default, |file| playbooks::read(&file.root(), &rules, runbooks)));
    let tools = known(&files.agent_tools).map(|file| {
        let file = file.map(Source::root);
        (agent_tools::read(file.as_ref(), &shipped.agent_tools.root(), &rules), file)
    });
    let notifications = known(&files.notifications).map(|file| {
        let file = file.map(Source::root);
        (file.as_ref().map_or_else(Notifications::default, |file| notifications::read(file, dir)), file)
    });

    let sign_in = known(&files.sign_in).map(|file| file.map_or_else(sign_in::SignIn::default, |file| sign_in::read(&file.root())));

    let approvals = approvals?;
    if known(&files.approval_policies)?.is_none() && rules.asks_somebody() {
        problems.push(nobody(dir.join(shipped::APPROVAL_POLICIES)));
    }
    let mut notes = Vec::new();
    let separation_of_duties = approvals.separation_of_duties;
    let freezes = approvals.freezes.as_ref().map(|at| freezes::read(at, &rules, &approvals)).unwrap_or_default();
    let policy = policy::resolve(&rules, &approvals, &mut notes)?;
    let (triggers, runbooks, playbooks, (tools, tools_file)) = (triggers?, runbooks?, playbooks?, tools?);
    let (notifications, notifications_file) = notifications?;
    if let Some(file) = notifications_file {
        notifications::check_agents(&file, &notifications, &policy);
    }
    let sign_in = sign_in::resolve(sign_in?, &notifications, &policy);
    let policy = policy.with_group_roles(sign_in.openid.as_ref().and_then(OpenIdSettings::group_roles));
    notes.extend(rules.notes());
    notes.extend(notifications::notes(&notifications, &policy));

    // Everything, notifications too: decisions depended on who was asked and how.
    let mut approval_policies = approvals.document();
    approval_policies["freezes"] = freezes::document(&freezes);
    if let Some(grants) = grants::document(&approvals.grants) {
        approval_policies["grants"] = grants;
    }
    let mut document = json!({
        "risk_assessment_rules": rules.document(),
        "interrupt_triggers": triggers.document(),
        "approval_policies": approval_policies,
        "runbooks": runbooks.document(),
        "notifications": notifications::document(&notifications),
        "agent_tools": agent_tools::document(&tools),
    });
    if let Some(playbooks) = playbooks.document() {
        document["playbooks"] = playbooks;
    }
    if let Some(sign_in) = sign_in::document(&sign_in) {
        document["sign_in"] = sign_in;
    }
    let document = digest::canonical(&document);
    let version = Digest::of(&document);
    let rules = rules.into_domain(triggers.into_domain(), version.clone());
    if let Some(file) = tools_file {
        agent_tools::check_unmatched(&file, &tools, &rules, &policy);
    }
    let (runbooks, webhooks) = runbooks.into_domain();
    let weaknesses = weaknesses::find(&weaknesses::Compared {
        triggers: &rules.triggers,
        shipped_triggers: &shipped_triggers,
        unrecognized: rules.unrecognized,
        policy: &policy,
        runbooks: &runbooks,
        webhooks: &webhooks,
        notifications: &notifications,
        separation_of_duties,
    });
    let (quotas, grants) = (approvals.quotas, approvals.grants);
    Some(Configuration {
        rules,
        policy,
        quotas,
        grants,
        freezes,
        runbooks,
        webhooks,
        playbooks: playbooks.into_domain(),
        notifications,
        sign_in,
        tools,
        version,
        document: String::from_utf8(document).ok()?,
        notes,
        positions: positions::of(files.of_rules().chain([&shipped.risk_rules, &shipped.interrupt_triggers]), dir),
        weaknesses,
    })
}

/// A file whose values are known; one that does not exist counts too.
fn known(file: &Opened) -> Option<Option<&Source>> {
    file.as_ref().ok().map(Option::as_ref)
}

fn nobody(file: PathBuf) -> Problem {
    let detail = "is missing, so nobody could approve anything; write it, with `people` and their roles, or let every level approve itself";
    Problem { file, line: None, key: String::new(), detail: detail.to_owned() }
}
