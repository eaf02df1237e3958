//! Refused configurations and their messages: file, line and key, what is wrong, what to do.

use super::*;

/// The start of a valid rules file: the four levels in lines 1 to 5.
pub const LEVELS: &str = "risk_levels:
  low: { auto_approve: true }
  medium: { auto_approve: false, approvers: [team_lead] }
  high: { auto_approve: false, approvers: [team_lead, tech_lead], escalate_after: 30m }
  critical: { auto_approve: false, approvers: [tech_lead, cto] }
";

/// Each row has a file, its text, and its one problem: the beginning of the message, and words in
/// it. The people of [`PEOPLE`] are added if the row is about another file.
pub fn refuses(file: &str, rows: &[(&str, &str, &str)]) {
    for (text, start, words) in rows {
        let mut files = vec![(file, *text)];
        if file != APPROVALS {
            files.push((APPROVALS, PEOPLE));
        }
        let problems = invalid(&files);
        assert_eq!(problems.len(), 1, "{text}\n{}", problems.join("\n"));
        let expected = format!("{file}{start}");
        assert!(problems[0].starts_with(&expected), "{text}\n{}\nexpected: {expected}", problems[0]);
        assert!(problems[0].contains(words), "{text}\n{}\nexpected: {words}", problems[0]);
    }
}

fn levels(from: &str, to: &str) -> String {
    assert!(LEVELS.contains(from), "{from}");
    LEVELS.replace(from, to)
}

#[test]
fn invalid_yaml_is_refused() {
    refuses(
        RULES,
        &[
            ("", ": is empty", "remove the file"),
            ("# only a comment\n", ": is empty", "remove the file"),
            ("a: [", ":", "is not valid YAML"),
            ("resources:\n\t- x", ":2: is indented with a tab", "spaces"),
            ("unrecognized: high\n---\nunrecognized: low\n", ": is not valid YAML", "more than one document"),
            ("unrecognized: !level high\n", ":1: unrecognized: is tagged `!level`", "has to be text"),
            ("unrecognized: high\n1: x\n", ":2: has a key that is the number 1", "in quotes"),
            (&"# x\n".repeat(300_000), ": is larger than 1048576 bytes", ""),
            (&format!("resources:\n  {}", "[".repeat(50)), ":2: is nested more than 32 deep", ""),
            (&format!("a: &a [{}]\nb: [{}]", "x, ".repeat(2_000), "*a, ".repeat(2_000)), ":1: holds more than 20000 values", "alias"),
            ("- a\n", ":1: is a list, but has to be a mapping of risk_levels", ""),
        ],
    );
    refuses(NOTIFICATIONS, &[("routes: []\nroutes: []\n", ":2: routes: appears twice", "keep one"), ("a: {\n", ":", "not valid YAML")]);
    let dir = folder(&[(APPROVALS, PEOPLE)]);
    std::fs::write(dir.path().join(RULES), b"a: 1\nb: \xff\n").unwrap();
    std::fs::create_dir(dir.path().join(RUNBOOKS)).unwrap();
    let problems: Vec<_> = load(dir.path(), dir.path()).unwrap_err().iter().map(ToString::to_string).collect();
    assert!(problems[0].ends_with(&format!("{RULES}:2: is not UTF-8 text; save it in that encoding")), "{problems:?}");
    assert!(problems[1].contains("runbooks.yaml: is not a regular file"), "{problems:?}");
}

#[test]
fn inconsistent_levels_are_refused() {
    refuses(
        RULES,
        &[
            (
                &levels("  medium: { auto_approve: false, approvers: [team_lead] }\n", ""),
                ":1: risk_levels.medium: is missing",
                "all four levels",
            ),
            (&levels("risk_levels:\n", "risk_levels:\n  sever: {}\n"), ":2: risk_levels.sever: is not a known key", "low, medium, high"),
            (&levels("auto_approve: true", "auto_approve: yes"), ":2: risk_levels.low.auto_approve: is the text `yes`", "true or false"),
            (&levels("auto_approve: true", "notify: true"), ":2: risk_levels.low.auto_approve: is missing", "write true"),
            (
                &levels("auto_approve: true", "auto_approve: true, approvers: [cto]"),
                ":2: risk_levels.low.approvers: has no effect",
                "leave it out",
            ),
            (
                &levels("auto_approve: true", "auto_approve: true, auto_approve: true"),
                ":2: risk_levels.low.auto_approve: appears twice",
                "",
            ),
            (&levels("false, approvers: [team_lead] }", "false }"), ":3: risk_levels.medium.approvers: is missing", "[team_lead]"),
            (&levels("[team_lead] }", "[] }"), ":3: risk_levels.medium.approvers: names no role", "at least one"),
            (&levels("[team_lead] }", "[team_lead, team_lead] }"), ":3: risk_levels.medium.approvers[1]: names `team_lead` a second", ""),
            (&levels("[team_lead] }", "team_lead }"), ":3: risk_levels.medium.approvers: is the text `team_lead`", "a list of roles"),
            (&levels("[team_lead] }", "[Team Lead] }"), ":3: risk_levels.medium.approvers[0]: `Team Lead` cannot be used", "a-z"),
            (
                &levels("[team_lead] }", "[team_leed] }"),
                ":3: risk_levels.medium.approvers[0]: `team_leed` is a role that nobody has",
                "cto",
            ),
            (&levels("30m", "30"), ":4: risk_levels.high.escalate_after: is the number 30", "30s, 15m"),
            (&levels("30m", "1h30m"), ":4: risk_levels.high.escalate_after: `1h30m` is not a duration", ""),
            (&levels("30m }", "30m, notify: }"), ":4: risk_levels.high.notify: is empty", "leave the key out"),
            (&levels("30m }", "30m, require_justification: 1 }"), ":4: risk_levels.high.require_justification: is the number 1", ""),
            (
                &levels("false, approvers: [tech_lead, cto]", "true"),
                ":5: risk_levels.critical: approves itself, but medium",
                "has to ask too",
            ),
            (&format!("{LEVELS}unrecognized: low\n"), ":6: unrecognized: is low, which approves itself", "a level that asks"),
            (&format!("{LEVELS}unrecognized: severe\n"), ":6: unrecognized: is `severe`", "low, medium, high or critical"),
            (&format!("{LEVELS}unregistered: severe\n"), ":6: unregistered: is `severe`", "low, medium, high or critical"),
            (&format!("{LEVELS}low_risk: [ {{ operations: [read] }} ]\n"), ":1: otherwise: is missing", "that low_risk does not list"),
            (
                &format!("{LEVELS}low_risk: [ {{ operations: [read] }} ]\notherwise: low\n"),
                ":7: otherwise: is low, so that low_risk has no effect",
                "a higher level",
            ),
            (&format!("{LEVELS}otherwise: high\nlow_risk: [ {{ environments: [dev] }} ]\n"), ":7: low_risk[0].operations: is missing", ""),
            (&format!("{LEVELS}otherwise: high\nlow_risk: [ {{ operations: [] }} ]\n"), ":7: low_risk[0].operations: is empty", ""),
            (
                &format!("{LEVELS}otherwise: high\nlow_risk: [ {{ operations: [fly] }} ]\n"),
                ":7: low_risk[0].operations[0]: `fly` is not one of the words",
                "deploy",
            ),
            (
                &format!("{LEVELS}otherwise: high\nlow_risk: [ {{ operations: [read, get] }} ]\n"),
                ":7: low_risk[0].operations[1]: names `read` a second time",
                "",
            ),
            (
                &format!("{LEVELS}otherwise: high\nlow_risk: [ {{ operations: [read], environments: [moon] }} ]\n"),
                ":7: low_risk[0].environments[0]: `moon` is not one of the words",
                "staging",
            ),
            (
                &format!("{LEVELS}otherwise: high\nlow_risk: [ {{ operations: [read], types: [db] }} ]\n"),
                ":7: low_risk[0].types: is not a known key",
                "resource_types",
            ),
            (&format!("{LEVELS}recources: []\n"), ":6: recources: is not a known key", "resources"),
        ],
    );
}

#[test]
fn empty_or_ambiguous_words_and_resources_are_refused() {
    refuses(
        RULES,
        &[
            (
                "environments: { production: [], stage: [stage] }\nresources: []\n",
                ":1: environments.stage[0]: `stage` already stands for `stage`",
                "",
            ),
            (
                "resource_types: { infrastructure: [x], database: [x] }\n",
                ":1: resource_types.database[0]: `x` already stands for `infrastructure`",
                "",
            ),
            ("environments:\n  production: [dev]\n  dev: []\n", ":2: environments.production[0]: `dev` already stands for `dev`", ""),
            ("environments: { production: [PRD] }\n", ":1: environments.production[0]: `PRD` cannot be used", "lower case"),
            ("environments: { production: [], Dev: [] }\n", ":1: environments.Dev: `Dev` cannot be used", "lower case"),
            ("environments: { production: [no, true] }\n", ":1: environments.production[1]: is the boolean true", "put it in quotes"),
            ("resources: [ { match: a } ]\n", ":1: resources[0]: says nothing", ""),
            ("resources:\n  - environment: production\n", ":2: resources[0].match: is missing", ""),
            ("resources:\n  - match: \" \"\n    environment: production\n", ":2: resources[0].match: matches no resource", ""),
            (
                "resources:\n  - { match: a, environment: moon }\n",
                ":2: resources[0].environment: `moon` is not one of the words",
                "production, staging",
            ),
            ("resources:\n  - { match: a, resource_type: moon }\n", ":2: resources[0].resource_type: `moon` is not one", "database"),
            (
                "resources:\n  - { match: Db-*, environment: prod }\n  - match: \"db-* \"\n    resource_type: db\n",
                ":3: resources[1].match: `db-*` is matched at ",
                "one entry",
            ),
        ],
    );
}

#[test]
fn an_empty_word_list_is_refused_with_the_triggers_that_need_it() {
    let problems = invalid(&[(RULES, "resource_types: {}\nresources: []\n"), (APPROVALS, PEOPLE)]);
    assert!(problems[0].starts_with("hitl/risk-assessment-rules.yaml:1: resource_types: names no word"), "{problems:?}");
    assert!(problems[1].starts_with("(shipped) hitl/interrupt-triggers.yaml:"), "{problems:?}");
    assert!(
        problems[1].contains("triggers.modify_infrastructure: can never match, because `infrastructure` is not a word"),
        "{problems:?}"
    );
}

#[test]
fn triggers_that_cannot_work_as_written_are_refused() {
    refuses(
        TRIGGERS,
        &[
            ("trigger: {}\n", ":1: trigger: is not a known key", "triggers"),
            ("triggers: {}\n", ":1: triggers: names no trigger", "run without review"),
            (
                "triggers:\n  delete_prod: critical\n",
                ":2: triggers.delete_prod: is not a trigger that parkbrake knows",
                "delete_production",
            ),
            ("triggers:\n  data_export: severe\n", ":2: triggers.data_export: is `severe`", "critical"),
            (
                "triggers:\n  data_export: { level: high }\n",
                ":2: triggers.data_export: is a trigger whose condition is built in",
                "only its level",
            ),
            ("triggers:\n  data_export: high\n  \"data_export\": low\n", ":3: triggers.data_export: appears twice", ""),
            ("triggers:\n  mine: { level: high }\n", ":2: triggers.mine.when: is missing", "CEL"),
            ("triggers:\n  mine:\n    when: 'true'\n", ":2: triggers.mine.level: is missing", ""),
            ("triggers:\n  mine:\n    level: high\n    when: 'operation =='\n", ":4: triggers.mine.when: is not valid CEL", ""),
            (
                "triggers:\n  mine:\n    level: high\n    when: 'enviroment == \"x\"'\n",
                ":4: triggers.mine.when: uses `enviroment`",
                "environment",
            ),
            ("triggers:\n  mine:\n    level: high\n    when: true\n", ":4: triggers.mine.when: is the boolean true", "quotes"),
            ("triggers:\n  mine: { when: estimated_cost, level: high }\n", ":2: triggers.mine.when: has the result", ""),
            (
                "triggers:\n  late: { when: 'has(metadata.x) && now.getHours(\"Europe/Berlim\") >= 18', level: medium }\n",
                ":2: triggers.late.when: can never be evaluated",
                "unknown time zone Europe/Berlim",
            ),
            (
                "triggers:\n  dear: { when: 'estimated_cost * 12 > 300.0', level: medium }\n",
                ":2: triggers.dear.when: can never be evaluated",
                "double",
            ),
            (
                "triggers:\n  prod: { when: 'environment == \"prod\"', level: medium }\n",
                ":2: triggers.prod.when: compares environment with `prod`, which never matches",
                "write `production`",
            ),
            (
                "triggers:\n  fly: { when: 'operation in [\"read\", \"fly\"]', level: medium }\n",
                ":2: triggers.fly.when: compares operation with `fly`, which never matches",
                "data_export, delete",
            ),
            (
                "triggers:\n  bad: { when: 'security_findings.exists(f, f.severity == \"HIGH\")', level: high }\n",
                ":2: triggers.bad.when: compares severity with `HIGH`",
                "write `high`",
            ),
            (
                "triggers:\n  slow: { when: 'metadata.a.exists(x, metadata.a.exists(y, x == y))', level: high }\n",
                ":2: triggers.slow.when: runs a loop inside a loop",
                "several triggers",
            ),
            (
                "triggers:\n  not_low_risk: { when: 'true', level: high }\n",
                ":2: triggers.not_low_risk: has a name that parkbrake gives",
                "",
            ),
            ("triggers:\n  Mine: { when: 'true', level: high }\n", ":2: triggers.Mine: `Mine` cannot be used", "a-z"),
            ("triggers:\n  unsaid_x: { when: 'true', level: high }\n", ":2: triggers.unsaid_x: has a name that parkbrake gives", ""),
            ("triggers:\n  mine: { when: 'true', level: high, who: x }\n", ":2: triggers.mine.who: is not a known key", "when, level"),
        ],
    );
    refuses(RULES, &[("triggers: { mine: high }\n", ":1: triggers.mine: is not a trigger", "")]);
}

#[test]
fn a_trigger_with_a_removed_word_or_in_both_files_is_refused() {
    let rules = "operations: { deploy: [], modify: [], data_export: [] }\n";
    let problems = invalid(&[(RULES, rules), (TRIGGERS, "triggers:\n  delete_production: critical\n"), (APPROVALS, PEOPLE)]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("hitl/interrupt-triggers.yaml:2: triggers.delete_production: can never match"), "{problems:?}");
    assert!(problems[0].contains("`delete` is not a word under `operations`"), "{problems:?}");

    let rules = "triggers:\n  data_export: high\n";
    let problems = invalid(&[(RULES, rules), (TRIGGERS, "triggers:\n  # again\n  data_export: low\n"), (APPROVALS, PEOPLE)]);
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert!(problems[0].starts_with("hitl/interrupt-triggers.yaml:3: triggers.data_export: is also defined at "), "{problems:?}");
    assert!(problems[0].contains("risk-assessment-rules.yaml:2, with another meaning"), "{problems:?}");
}

#[test]
fn all_problems_are_reported_at_once_by_file_and_line() {
    let rules = "unrecognized: nothing\nresources: [ { match: a } ]\n";
    let triggers = "triggers: { a: high, b: high }\n";
    let approvals = format!("remind_every: never\n{PEOPLE}agents: {{ bot: {{ on_behalf_of: nobody }} }}\n");
    let runbooks = "runbooks: { go: { operation: fly, command: [] } }\n";
    let files = [(RULES, rules), (TRIGGERS, triggers), (APPROVALS, &approvals), (RUNBOOKS, runbooks), (NOTIFICATIONS, "a: [")];
    let starts: Vec<_> = invalid(&files).iter().map(|problem| problem.split(": ").take(2).collect::<Vec<_>>().join(" ")).collect();
    let expected = [
        "notifications.yaml:2 is not valid YAML",
        "hitl/risk-assessment-rules.yaml:1 unrecognized",
        "hitl/risk-assessment-rules.yaml:2 resources[0]",
        "hitl/interrupt-triggers.yaml:1 triggers.a",
        "hitl/interrupt-triggers.yaml:1 triggers.b",
        "hitl/approval-policies.yaml:1 remind_every",
        "hitl/approval-policies.yaml:3 agents.bot.on_behalf_of",
        "runbooks.yaml:1 runbooks.go.operation",
        "runbooks.yaml:1 runbooks.go.command",
    ];
    assert_eq!(starts, expected);
}

#[test]
fn a_file_with_too_many_problems_reports_the_first_ones() {
    let triggers: String = (0..80).map(|n| format!("  t{n}: high\n")).collect();
    let problems = invalid(&[(TRIGGERS, &format!("triggers:\n{triggers}")), (APPROVALS, PEOPLE)]);
    assert_eq!(problems.len(), 51);
    assert_eq!(problems[50], "hitl/interrupt-triggers.yaml: has 30 more problems, which are reported once these are fixed");
}
