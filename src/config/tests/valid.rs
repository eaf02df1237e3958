//! Configurations that load, and their values.

use super::*;
use crate::config::shipped;
use crate::domain::policy::PrincipalKind;
use crate::domain::risk::baseline::Baseline;
use crate::domain::risk::level::Level;
use serde_json::json;
use std::time::Duration;

/// The minimal rules: only levels and triggers.
pub const MINIMAL: &str = r#"risk_levels:
  low:
    auto_approve: true
    notify: false
  medium:
    auto_approve: false
    notify: true
    approvers: ["team_lead"]
  high:
    auto_approve: false
    notify: true
    approvers: ["team_lead", "tech_lead"]
    escalate_after: "30m"
  critical:
    auto_approve: false
    notify: true
    approvers: ["tech_lead", "cto"]
    escalate_after: "15m"
    require_justification: true

triggers:
  delete_production: "critical"
  deploy_production: "high"
  modify_infrastructure: "high"
  security_finding_critical: "critical"
  security_finding_high: "high"
  cost_above_threshold: "medium"
  data_export: "high"
"#;

/// The documented examples, word for word.
const CONTRACT: [(&str, &str); 4] = [
    (
        RULES,
        r#"risk_levels:
  low:      { auto_approve: true,  notify: false }
  medium:   { auto_approve: false, notify: true, approvers: [team_lead] }
  high:     { auto_approve: false, notify: true, approvers: [team_lead, tech_lead], escalate_after: 30m }
  critical: { auto_approve: false, notify: true, approvers: [tech_lead, cto], escalate_after: 15m, require_justification: true }
operations:                                     # name: other spellings of it
  { read: [get, list], plan: [], test: [], build: [], deploy: [release, rollout], modify: [update, change, patch],
    delete: [destroy, remove, drop], restart: [], scale: [], data_export: [export] }
resource_types: { code: [], service: [], database: [db], infrastructure: [infra] }
environments: { production: [prod, prd, live], staging: [stage], development: [dev] }   # the most dangerous first
resources:                                      # what things really are, whatever the requester says
  - { match: "db-prod-*", environment: production, resource_type: database }
unrecognized: critical                          # a word that is on none of these lists
unregistered: medium                            # a resource is named and no entry of `resources` matches it: at least this level
low_risk:                                       # where no trigger matches, only these are low …
  - { operations: [read, plan] }
  - { operations: [test, build, deploy, restart, scale], environments: [staging, development] }
otherwise: medium                               # … and everything else is this
"#,
    ),
    (
        TRIGGERS,
        r#"triggers:
  delete_production: "critical"                 # a name that parkbrake knows: its condition is built in
  deploy_production: "high"
  modify_infrastructure: "high"
  security_finding_critical: "critical"
  security_finding_high: "high"
  cost_above_threshold: "medium"                # estimated_cost > 100
  cost_far_above_threshold: "high"              # estimated_cost > 1000
  data_export: "high"
  friday_freeze: { when: 'operation == "deploy" && now.getDayOfWeek() == 5', level: high }   # your own, in CEL
"#,
    ),
    (
        APPROVALS,
        r#"people:
  alice: { roles: [team_lead], email: alice@example.com, slack: U01, linear: … }
  tom:   { roles: [tech_lead] }
  cora:  { roles: [cto, admin] }
agents:
  deploy-bot: { on_behalf_of: tom }             # tom may not approve what deploy-bot asks for
policies:                                       # per level; what is left out takes the default
  critical: { required: 2, distinct_roles: true, expire_after: 24h, on_expiry: reject }
separation_of_duties: true                      # default
escalation:                                     # who is asked next, beyond the level's own approvers
  high:     [ { after: 30m, to: [cto] } ]
  critical: [ { after: 15m, to: [cto] }, { after: 1h, to: [admin] } ]
remind_every: 30m
"#,
    ),
    (
        RUNBOOKS,
        r#"runbooks:
  deploy-service:
    operation: deploy                             # required: what it really does
    environment: production                       # required for whatever is no read
    resource: "{{ service }}"                     # or name an argument
    command: [support/runbooks/deploy.sh, "{{ service }}", "{{ version }}"]      # an argv, never a shell
    args: { service: { pattern: "[a-z][a-z0-9-]{0,62}" }, version: { pattern: "[0-9A-Za-z.+-]{1,64}" } }
    timeout: 10m
    idempotent: false                             # true: may be run again with the same key after a crash
    env: { DEPLOY_TOKEN: { from_env: DEPLOY_TOKEN } }
    working_dir: .
webhooks:
  ci-trigger: { url: "https://ci.example.com/run", secret: { from_env: CI_SECRET }, timeout: 30s, idempotent: true }
"#,
    ),
];

#[test]
fn the_shipped_configuration_is_valid_and_needs_no_note() {
    let loaded = load(&repository().join("config"), &repository()).unwrap();
    assert_eq!(loaded.notes, Vec::<String>::new());
    assert!(loaded.runbooks.contains_key("deploy-service") && loaded.runbooks["disk-usage"].idempotent);
    assert_eq!(loaded.playbooks["release-service"].steps.len(), 2);
    assert_eq!(valid(shipped()).version, loaded.version, "what is compiled in is what lies in the folder");
    let critical = &loaded.policy.level(Level::Critical).terms;
    assert_eq!((critical.required, critical.distinct_roles, critical.require_justification), (2, true, true));
    assert_eq!(critical.expire_after, Some(Duration::from_secs(86_400)));
}

#[cfg(unix)]
#[test]
fn the_shipped_runbooks_can_be_run() {
    use std::os::unix::fs::PermissionsExt as _;
    let no_args = json!({});
    let deploy = json!({"service": "api", "version": "1.4.2"});
    for (name, args) in [("deploy-service", &deploy), ("disk-usage", &no_args)] {
        let configuration = load(&repository().join("config"), &repository()).unwrap();
        let (invocation, _) = configuration.runbooks[name].resolve(args.as_object().unwrap()).unwrap();
        let program = invocation.working_dir.join(&invocation.command[0]);
        let mode = std::fs::metadata(&program).unwrap_or_else(|error| panic!("{}: {error}", program.display())).permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{} is executable", program.display());
    }
}

#[test]
fn minimal_rules_work_with_the_shipped_triggers() {
    let shipped_triggers = shipped().iter().find(|(name, _)| *name == TRIGGERS).expect("they are shipped").1;
    valid(&[(RULES, MINIMAL), (TRIGGERS, shipped_triggers), (APPROVALS, PEOPLE)]);
}

#[test]
fn the_minimal_rules_load_unchanged() {
    let loaded = valid(&[(RULES, MINIMAL), (APPROVALS, PEOPLE)]);
    let names: Vec<_> = loaded.rules.triggers.iter().map(|trigger| trigger.name.as_str()).collect();
    assert_eq!(names.len(), 7, "the triggers of the file hold, and no other: {names:?}");
    assert_eq!(loaded.rules.operations.resolve(" Destroy "), Some("delete"), "the shipped words hold");
    assert_eq!(loaded.rules.resources.len(), 1);
    assert_eq!(loaded.rules.unrecognized, Level::Critical);
    assert_eq!((loaded.rules.unregistered, &loaded.rules.baseline), (None, &Baseline::LOW), "what the rules leave out does not apply");
    let notes = loaded.notes.join("\n");
    for words in
        ["everything that no trigger matches is low and runs at once", "`low_risk`", "is whatever the requester says", "`unregistered`"]
    {
        assert!(notes.contains(words), "{words}: {notes}");
    }
    let critical = loaded.policy.level(Level::Critical);
    assert_eq!((critical.terms.required, critical.terms.expire_after), (1, None), "no policies are written, so the plain defaults hold");
    let step = &critical.terms.escalation[0];
    assert_eq!((step.after, step.to.as_slice()), (Duration::from_secs(900), ["admin".to_owned()].as_slice()));
    let high = &loaded.policy.level(Level::High).terms;
    assert_eq!(high.escalation[0].to, ["tech_lead", "cto"], "the approvers of the next higher level");
    assert_eq!(loaded.policy.level(Level::High).remind_every, Duration::from_secs(1_800));
}

#[test]
fn the_documented_examples_load_unchanged() {
    let loaded = valid(&CONTRACT);
    assert!(loaded.rules.triggers.iter().any(|trigger| trigger.name == "friday_freeze"));
    let bot = loaded.policy.principal("deploy-bot").unwrap();
    assert_eq!((bot.kind, bot.on_behalf_of.as_deref()), (PrincipalKind::Agent, Some("tom")));
    assert_eq!(loaded.runbooks["deploy-service"].working_dir, Path::new("/srv/base"));
    let critical: Vec<_> = loaded.policy.level(Level::Critical).terms.escalation.iter().map(|step| step.to.join(" ")).collect();
    assert_eq!(critical, ["cto", "admin"], "a chain replaces escalate_after");
    let notes = loaded.notes.join("\n");
    assert!(notes.contains("a critical task that tom or deploy-bot on their behalf submits"), "{notes}");
    let call = &loaded.webhooks["ci-trigger"].call;
    assert_eq!((call.url.as_str(), call.secret.as_deref(), call.idempotent), ("https://ci.example.com/run", Some("CI_SECRET"), true));
}

#[test]
fn somebody_is_away_to_the_end_of_the_last_day_or_until_a_time_by_the_clock_of_the_place() {
    let until = |away: &str| {
        let people = PEOPLE.replace("tom: { roles", &format!("tom: {{ away: {away}, roles"));
        let loaded = valid(&[(APPROVALS, &format!("{people}allow_cover: true\n"))]);
        let away = loaded.policy.people()["tom"].away.clone().unwrap();
        (away.until.to_rfc3339(), away.cover)
    };
    let cora = |until: &str| (until.to_owned(), "cora".to_owned());
    assert_eq!(until("{ until: 2027-01-02, cover: cora }"), cora("2027-01-03T00:00:00+00:00"));
    assert_eq!(until("{ until: 2027-01-02, cover: cora, time_zone: Europe/Berlin }"), cora("2027-01-02T23:00:00+00:00"));
    assert_eq!(until("{ until: '2027-01-02T08:00', cover: cora, time_zone: Europe/Berlin }"), cora("2027-01-02T07:00:00+00:00"));
}

#[test]
fn a_folder_with_people_alone_has_the_shipped_rules() {
    let loaded = valid(&[(APPROVALS, PEOPLE)]);
    assert!(loaded.runbooks.is_empty());
    assert_eq!(loaded.rules.triggers.len(), 15);
    assert_eq!(loaded.rules.unregistered, Some(Level::Medium));
    assert_eq!((loaded.rules.baseline.low_risk.len(), loaded.rules.baseline.otherwise), (2, Level::Medium));
    assert_eq!(loaded.policy.level(Level::Low).terms.approvers, Vec::<String>::new());
}

#[test]
fn without_people_every_level_has_to_approve_itself() {
    let all = "{ low: {auto_approve: true}, medium: {auto_approve: true}, high: {auto_approve: true}, critical: {auto_approve: true} }";
    let loaded = valid(&[(RULES, &format!("risk_levels: {all}\n"))]);
    assert_eq!(loaded.notes, ["every level approves itself, so nothing ever waits for a human"]);
    let problems = invalid(&[]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("hitl/approval-policies.yaml: is missing, so nobody could approve"), "{problems:?}");
    let problems = load(Path::new("no/such/folder"), Path::new(".")).unwrap_err();
    assert_eq!(problems[0].to_string(), "no/such/folder: is not a folder; name the one that holds the configuration with --config");
}

#[test]
fn an_empty_registry_stays_empty_and_an_absent_one_is_the_shipped_one() {
    assert!(valid(&[(RULES, "resources: []\n"), (APPROVALS, PEOPLE)]).rules.resources.is_empty());
    assert_eq!(valid(&[(RULES, "unrecognized: high\n"), (APPROVALS, PEOPLE)]).rules.resources.len(), 1);
}

#[test]
fn low_risk_accepts_every_spelling_of_a_word() {
    let rules = "low_risk: [ { operations: [list, plan] }, { operations: [release], environments: [dev, stage], resource_types: [db] } ]\notherwise: high\nunregistered: critical\n";
    let rules = valid(&[(RULES, rules), (APPROVALS, PEOPLE)]).rules;
    assert_eq!((rules.unregistered, rules.baseline.otherwise), (Some(Level::Critical), Level::High));
    let [anywhere, there] = rules.baseline.low_risk.as_slice() else { panic!("{:?}", rules.baseline) };
    assert_eq!((anywhere.operations.join(" ").as_str(), &anywhere.environments), ("plan read", &None));
    assert_eq!(there.environments.as_deref(), Some(["development".to_owned(), "staging".to_owned()].as_slice()));
    assert_eq!(there.resource_types.as_deref(), Some(["database".to_owned()].as_slice()));
    let strict = valid(&[(RULES, "otherwise: medium\n"), (APPROVALS, PEOPLE)]).rules;
    assert_eq!((strict.baseline.low_risk.len(), strict.baseline.otherwise), (0, Level::Medium), "nothing is low");
}

#[test]
fn hold_never_expires() {
    let held = format!("{PEOPLE}policies: {{ high: {{ expire_after: 1h, on_expiry: hold, require_digest: true }} }}\n");
    let terms = &valid(&[(APPROVALS, &held)]).policy.level(Level::High).terms.clone();
    assert_eq!((terms.expire_after, terms.require_digest), (None, true));
    let rejected =
        format!("{PEOPLE}policies: {{ high: {{ expire_after: 1h }} }}\nescalation: {{ high: [ {{ after: 5m, to: [cto] }} ] }}\n");
    assert_eq!(valid(&[(APPROVALS, &rejected)]).policy.level(Level::High).terms.expire_after, Some(Duration::from_secs(3_600)));
}

#[test]
fn surprising_settings_are_noted() {
    let people = "people:\n  ann: { roles: [team_lead, tech_lead, chef], email: one@example.com }\n  bob: { roles: [cto], email: ONE@example.com }\nseparation_of_duties: false\n";
    let order = "environments: { development: [], production: [], staging: [] }\n";
    let loaded = valid(&[
        (APPROVALS, people),
        (RULES, order),
        (NOTIFICATIONS, "channels: { ops: { type: slack, webhook_url: { from_env: OPS } } }\n"),
    ]);
    let notes = loaded.notes.join("\n");
    for words in [
        "nobody has the role admin",
        "separation_of_duties is off",
        "the role chef is asked at no level",
        "ann and bob have the same email address",
        "`development` is listed before `production`",
        "the channel ops is named by no route",
    ] {
        assert!(notes.contains(words), "{words}: {notes}");
    }
}

#[test]
fn a_runbook_without_optional_keys_has_the_defaults() {
    let text = "runbooks: { look: { operation: list, command: [bin/look, \"--of={{ what }}\"], args: { what: { pattern: a|b } }, working_dir: sub } }\n";
    let loaded = valid(&[(APPROVALS, PEOPLE), (RUNBOOKS, text)]);
    let look = &loaded.runbooks["look"];
    assert_eq!((look.timeout, look.idempotent, look.working_dir.as_path()), (Duration::from_secs(600), false, Path::new("/srv/base/sub")));
    let (invocation, facts) = look.resolve(json!({"what": "a"}).as_object().unwrap()).unwrap();
    assert_eq!((invocation.command.join(" ").as_str(), facts.operation.as_deref()), ("bin/look --of=a", Some("list")));
}

#[test]
fn a_runbooks_limits_and_sandbox_are_in_the_document_only_if_set() {
    let runbook = |rest: &str| {
        let text = format!("runbooks: {{ look: {{ operation: list, command: [bin/look]{rest} }} }}\n");
        valid(&[(APPROVALS, PEOPLE), (RUNBOOKS, &text)])
    };
    let invocation = |loaded: &Configuration| loaded.runbooks["look"].resolve(&serde_json::Map::new()).unwrap().0;
    let plain = runbook("");
    let document = serde_json::to_value(invocation(&plain)).unwrap();
    for key in ["limits", "sandbox", "new_privileges"] {
        assert!(document.get(key).is_none() && plain.document.to_string().find(&format!("\"{key}\"")).is_none(), "{key}");
    }
    let said = ", limits: { cpu: 90s, memory: 2048MiB, processes: 64, open_files: 256, file_size: 1TiB }, sandbox: { network: false, write: [out] }";
    let confined = runbook(said);
    assert_ne!(confined.version, plain.version);
    let document = serde_json::to_value(invocation(&confined)).unwrap();
    assert_eq!(document["limits"], json!({"cpu": "90s", "memory": "2GiB", "processes": 64, "open_files": 256, "file_size": "1TiB"}));
    assert_eq!(document["sandbox"], json!({"network": false, "write": ["out"]}));
    assert!(invocation(&runbook(", new_privileges: true")).new_privileges);
}

#[test]
fn an_agent_has_its_own_quotas_and_the_common_ones_otherwise() {
    let written = "quotas: { submits_per_minute: 60 }\nagents: { bot: { quotas: { burst: 7, pending: 3 } }, other: {} }\n";
    let loaded = valid(&[(APPROVALS, &format!("{PEOPLE}{written}"))]);
    let quota = |name: &str| {
        let quota = loaded.quotas.of(name);
        (quota.submits_per_minute, quota.burst, quota.pending)
    };
    assert_eq!(quota("bot"), (60, 7, 3));
    assert_eq!(quota("other"), (60, 60, 1_000));
    assert_eq!(quota("nobody"), (60, 60, 1_000));
    let plain = valid(&[(APPROVALS, PEOPLE)]).quotas.of("bot");
    assert_eq!((plain.submits_per_minute, plain.burst, plain.pending), (6_000, 6_000, 1_000));
}
