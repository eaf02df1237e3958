//! PLACEHOLDER
use crate::domain::{digest::Digest, policy::Policy, risk::Rules, runbook::Runbook};
use std::collections::BTreeMap;
#[derive(Debug, Clone)]
pub struct Configuration {
    pub rules: Rules,
    pub policy: Policy,
    pub runbooks: BTreeMap<String, Runbook>,
    pub version: Digest,
    pub document: String,
    pub notes: Vec<String>,
}
