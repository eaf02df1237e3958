//! Configurations for tests: the shipped rules with the test's own people, runbooks and times.

use std::path::Path;
use tempfile::TempDir;

/// A folder with a configuration.
pub struct Config {
    folder: TempDir,
}

/// People of every role, two agents of the same person, and quotas that limit no test.
const PEOPLE: &str = "
people:
  alice: { roles: [team_lead] }
  tom:   { roles: [tech_lead] }
  tess:  { roles: [tech_lead] }
  cora:  { roles: [cto, admin] }
  nora:  { roles: [auditor] }
agents:
  deploy-bot: { on_behalf_of: tom }
  other-bot:  { on_behalf_of: tom }
  lone-bot:   {}
quotas: { submits_per_minute: 1000000, pending: 1000000 }
";

/// The rules of a configuration by default.
pub const RULES: &str = "
risk_levels:
  low:      { auto_approve: true,  notify: false }
  medium:   { auto_approve: false, notify: true, approvers: [team_lead] }
  high:     { auto_approve: false, notify: true, approvers: [team_lead, tech_lead] }
  critical: { auto_approve: false, notify: true, approvers: [tech_lead, cto], require_justification: true }
triggers:
  delete_production: critical
  deploy_production: high
  modify_infrastructure: high
  security_finding_critical: critical
  security_finding_high: high
  cost_above_threshold: medium
  cost_far_above_threshold: high
  data_export: high
";

impl Config {
    /// The minimal rules, and people of every role.
    pub fn new() -> Self {
        let config = Self { folder: tempfile::tempdir().expect("a folder") };
        config.with_rules(RULES).with_policies("")
    }

    /// Replaces the levels.
    pub fn with_rules(self, rules: &str) -> Self {
        self.write("hitl/risk-assessment-rules.yaml", rules)
    }

    /// Adds policies to the people.
    pub fn with_policies(self, policies: &str) -> Self {
        self.write("hitl/approval-policies.yaml", &format!("{PEOPLE}{policies}"))
    }

    /// Adds runbooks.
    pub fn with_runbooks(self, runbooks: &str) -> Self {
        self.write("runbooks.yaml", runbooks)
    }

    /// Writes any file.
    pub fn write(self, name: &str, text: &str) -> Self {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        std::fs::write(path, text).expect("a file");
        self
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }
}
