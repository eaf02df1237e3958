//! The version: equal values have the same version, different values a different one.

use super::*;
use std::collections::BTreeMap;

fn version(files: &[(&str, &str)]) -> String {
    valid(files).version.to_string()
}

#[test]
fn the_same_values_have_the_same_version_however_they_are_written() {
    let written = "agents: { bot: { on_behalf_of: tom } }\npolicies: { high: { expire_after: 2h } }\n";
    let plain = version(&[(APPROVALS, &format!("{PEOPLE}{written}"))]);
    let defaults = r#"# Another order, block style, quotes, and what could have been left out.
remind_every: "1800s"
separation_of_duties: true
policies:
  high: { on_expiry: reject, "required": 1, expire_after: 120m, require_digest: false, distinct_roles: false }
  medium: { required: 1, on_expiry: hold }
agents:
  "bot":
    on_behalf_of: tom
people:
  cora: { roles: [admin, cto] }
  tom: { roles: ["tech_lead"] }
  alice:
    roles:
      - team_lead
"#;
    assert_eq!(version(&[(APPROVALS, defaults)]), plain);
    let shipped: BTreeMap<_, _> = crate::config::shipped().iter().copied().collect();
    assert_eq!(version(&[(APPROVALS, defaults), (RULES, shipped[RULES]), (TRIGGERS, shipped[TRIGGERS])]), plain);
    // Triggers may be in either file, and the order of keys matters only for environments.
    let (levels, rest) = shipped[RULES].split_at(shipped[RULES].find("operations:").unwrap());
    let turned = format!("{}\n{rest}\n{levels}", shipped[TRIGGERS]);
    assert_eq!(version(&[(APPROVALS, defaults), (RULES, &turned)]), plain);
}

#[test]
fn another_value_has_another_version() {
    let file = |name: &'static str, text: &str| (name, text.to_owned());
    let approvals = |more: &str| file(APPROVALS, &format!("{PEOPLE}{more}"));
    let runbook = |more: &str| file(RUNBOOKS, &format!("runbooks: {{ look: {{ operation: read, command: [look] {more} }} }}\n"));
    let changes = [
        vec![approvals("")],
        vec![approvals("remind_every: 31m\n")],
        vec![approvals("separation_of_duties: false\n")],
        vec![approvals("allow_cover: true\n")],
        vec![file(
            APPROVALS,
            &format!("{}allow_cover: true\n", PEOPLE.replace("[team_lead]", "[team_lead], away: { until: 2027-01-02, cover: tom }")),
        )],
        vec![file(
            APPROVALS,
            &format!("{}allow_cover: true\n", PEOPLE.replace("[team_lead]", "[team_lead], away: { until: 2027-01-03, cover: tom }")),
        )],
        vec![file(
            APPROVALS,
            &format!("{}allow_cover: true\n", PEOPLE.replace("[team_lead]", "[team_lead], away: { until: 2027-01-03, cover: cora }")),
        )],
        vec![approvals("quotas: { pending: 7 }\n")],
        vec![approvals("agents: { bot: { quotas: { pending: 7 } } }\n")],
        vec![approvals("grants: { most_uses: 7 }\n")],
        vec![approvals("grants: { propose_after: 7 }\n")],
        vec![approvals("agents: { bot: {} }\n")],
        vec![approvals("agents: { bot: { on_behalf_of: tom } }\n")],
        vec![approvals("policies: { high: { required: 2 } }\n")],
        vec![approvals("policies: { high: { expire_after: 2h } }\n")],
        vec![approvals("policies: { high: { expire_after: 2h, on_expiry: hold } }\n")],
        vec![file(APPROVALS, &PEOPLE.replace("[team_lead]", "[team_lead], notify: { levels: [high] }"))],
        vec![file(APPROVALS, &PEOPLE.replace("[team_lead]", "[team_lead], notify: { quiet: { hours: '22:00-07:00', time_zone: UTC } }"))],
        vec![file(
            APPROVALS,
            &PEOPLE.replace("[team_lead]", "[team_lead], notify: { quiet: { hours: '22:00-07:00', time_zone: UTC, except: [] } }"),
        )],
        vec![approvals("policies: { high: { goal: 1h } }\n")],
        vec![approvals("policies: { high: { goal: 1h, remind: [50%] } }\n")],
        vec![approvals("policies: { high: { goal: 1h, remind: [50%, 90%] } }\n")],
        vec![approvals("policies: { high: { require_digest: true } }\n")],
        vec![approvals("policies: { high: { distinct_roles: true } }\n")],
        vec![approvals("escalation: { high: [ { after: 1h, to: [cto] } ] }\n")],
        vec![approvals("escalation: { high: [ { after: 2h, to: [cto] } ] }\n")],
        vec![file(APPROVALS, &PEOPLE.replace("[team_lead]", "[team_lead, cto]"))],
        vec![approvals(""), file(RULES, "unrecognized: high\n")],
        vec![approvals(""), file(RULES, "resources: []\n")],
        vec![approvals(""), file(RULES, "unregistered: high\n")],
        vec![approvals(""), file(RULES, "unregistered: medium\n")],
        vec![approvals(""), file(RULES, "otherwise: medium\n")],
        vec![approvals(""), file(RULES, "otherwise: high\n")],
        vec![approvals(""), file(RULES, "low_risk: [ { operations: [read] } ]\notherwise: high\n")],
        vec![approvals(""), file(RULES, "low_risk: [ { operations: [read], environments: [staging] } ]\notherwise: high\n")],
        vec![approvals(""), file(RULES, "low_risk: [ { operations: [read], resource_types: [code] } ]\notherwise: high\n")],
        vec![approvals(""), file(RULES, "resources: [ { match: \"*\", environment: production } ]\n")],
        vec![approvals(""), file(RULES, "environments: { production: [], development: [], staging: [] }\n")],
        vec![approvals(""), file(RULES, "environments: { production: [], staging: [], development: [] }\n")],
        vec![approvals(""), file(TRIGGERS, "triggers: { data_export: high }\n")],
        vec![approvals(""), file(TRIGGERS, "triggers: { data_export: critical }\n")],
        vec![approvals(""), file(TRIGGERS, "triggers: { mine: { when: 'estimated_cost > 5.0', level: high } }\n")],
        vec![approvals(""), file(TRIGGERS, "triggers: { mine: { when: 'estimated_cost > 6.0', level: high } }\n")],
        vec![approvals(""), runbook("")],
        vec![approvals(""), runbook(", timeout: 1m")],
        vec![approvals(""), runbook(", idempotent: true")],
        vec![approvals(""), runbook(", environment: staging")],
        vec![approvals(""), runbook(", working_dir: elsewhere")],
        vec![approvals(""), runbook(", env: { A: { from_env: B } }")],
        vec![approvals(""), file(RUNBOOKS, "webhooks: { w: { url: \"https://a.example\" } }\n")],
    ];
    let mut seen: BTreeMap<String, usize> = BTreeMap::new();
    for (at, files) in changes.iter().enumerate() {
        let files: Vec<_> = files.iter().map(|(name, text)| (*name, text.as_str())).collect();
        if let Some(before) = seen.insert(version(&files), at) {
            panic!("{:?} and {:?} have one version", changes[before], changes[at]);
        }
    }
}

#[test]
fn the_version_is_the_digest_of_the_document() {
    let loaded = valid(&[(APPROVALS, PEOPLE)]);
    assert_eq!(crate::domain::task::digest::Digest::of(loaded.document.as_bytes()), loaded.version);
    assert_eq!(loaded.rules.version, loaded.version);
    let document: serde_json::Value = serde_json::from_str(&loaded.document).unwrap();
    assert_eq!(document["approval_policies"]["people"]["tom"]["roles"][0], "tech_lead");
    assert_eq!(document["risk_assessment_rules"]["environments"][0]["name"], "production");
}
