//! The configuration that comes with parkbrake, compiled in, so that these files are the one place
//! for every default.

use crate::config::source::{SHIPPED, Source};
use std::path::Path;

/// The path of each file below the configuration's folder.
pub const RISK_RULES: &str = "hitl/risk-assessment-rules.yaml";
pub const INTERRUPT_TRIGGERS: &str = "hitl/interrupt-triggers.yaml";
pub const APPROVAL_POLICIES: &str = "hitl/approval-policies.yaml";
pub const RUNBOOKS: &str = "runbooks.yaml";
pub const AGENT_TOOLS: &str = "hitl/agent-tools.yaml";
pub const PLAYBOOKS: &str = "playbooks.yaml";
pub const NOTIFICATIONS: &str = "notifications.yaml";
pub const SIGN_IN: &str = "sign-in.yaml";

/// Every file that is read.
pub const READ: [&str; 8] = [RISK_RULES, INTERRUPT_TRIGGERS, APPROVAL_POLICIES, AGENT_TOOLS, RUNBOOKS, PLAYBOOKS, NOTIFICATIONS, SIGN_IN];

const RISK_RULES_TEXT: &str = include_str!("../../config/hitl/risk-assessment-rules.yaml");
const INTERRUPT_TRIGGERS_TEXT: &str = include_str!("../../config/hitl/interrupt-triggers.yaml");
const AGENT_TOOLS_TEXT: &str = include_str!("../../config/hitl/agent-tools.yaml");

/// The shipped files: path below the configuration's folder, and contents.
pub fn shipped() -> &'static [(&'static str, &'static str)] {
    &[
        (RISK_RULES, RISK_RULES_TEXT),
        (INTERRUPT_TRIGGERS, INTERRUPT_TRIGGERS_TEXT),
        (APPROVAL_POLICIES, include_str!("../../config/hitl/approval-policies.yaml")),
        (AGENT_TOOLS, AGENT_TOOLS_TEXT),
        (RUNBOOKS, include_str!("../../config/runbooks.yaml")),
        (PLAYBOOKS, include_str!("../../config/playbooks.yaml")),
    ]
}

/// The files whose values apply unless the operator's files set them.
pub struct Shipped {
    pub risk_rules: Source,
    pub interrupt_triggers: Source,
    pub agent_tools: Source,
}

impl Shipped {
    /// Reads them.
    ///
    /// # Panics
    /// Never with the files that are compiled in; a test reads them.
    pub fn read() -> Self {
        let source = |name: &str, text: &str| {
            Source::of(Path::new(&format!("{SHIPPED}{name}")), text.to_owned()).expect("the files that are compiled in are valid")
        };
        Self {
            risk_rules: source(RISK_RULES, RISK_RULES_TEXT),
            interrupt_triggers: source(INTERRUPT_TRIGGERS, INTERRUPT_TRIGGERS_TEXT),
            agent_tools: source(AGENT_TOOLS, AGENT_TOOLS_TEXT),
        }
    }
}
