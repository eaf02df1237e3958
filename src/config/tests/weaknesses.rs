//! Weak settings in a valid configuration are reported, each once.

use super::*;

/// The weaknesses of a configuration with people and these files.
fn weaknesses(files: &[(&str, &str)]) -> Vec<String> {
    let people = [(APPROVALS, PEOPLE)];
    let all: Vec<_> = if files.iter().any(|(name, _)| *name == APPROVALS) { files.to_vec() } else { [files, &people].concat() };
    valid(&all).weaknesses
}

#[test]
fn the_shipped_configuration_has_no_weaknesses() {
    let configuration = load(&repository().join("config"), &repository()).unwrap();
    assert_eq!(configuration.weaknesses, Vec::<String>::new());
}

#[test]
fn check_reports_missing_and_lowered_triggers() {
    let found = weaknesses(&[(TRIGGERS, "triggers: { cost_above_threshold: medium }\n")]);
    for absent in ["delete_production", "deploy_production", "modify_infrastructure", "security_finding_critical", "data_export"] {
        assert!(found.iter().any(|weakness| weakness.contains(&format!("the trigger {absent} is left out"))), "{absent}: {found:?}");
    }
    let all = std::fs::read_to_string(repository().join("config").join(TRIGGERS)).unwrap();
    let lowered = all.lines().map(|line| if line.contains("delete_production:") { "  delete_production: low" } else { line });
    let found = weaknesses(&[(TRIGGERS, &lowered.collect::<Vec<_>>().join("\n"))]);
    assert_eq!(found, ["the trigger delete_production is low; the shipped configuration has it at critical"]);
}

#[test]
fn check_reports_self_approval() {
    let found = weaknesses(&[(APPROVALS, &format!("{PEOPLE}separation_of_duties: false\n"))]);
    assert!(found.iter().any(|weakness| weakness.contains("separation_of_duties is off")), "{found:?}");
}

#[test]
fn check_reports_runbooks_that_do_more_than_they_state() {
    let runbook = |keys: &str, command: &str| {
        format!(
            "runbooks:\n  go:\n    environment: production\n    {keys}\n    command: {command}\n    args: {{ v: {{ pattern: \"[a-z]+\" }} }}\n"
        )
    };
    let operation = "operation: deploy";
    for (keys, command, said) in [
        (operation, "[/bin/sh, -c, \"echo {{ v }}\"]", "reads it as code"),
        (operation, "[bash, -lc, \"{{ v }}\"]", "reads it as code"),
        (operation, "[/usr/bin/env, bash, -c, \"echo {{ v }}\"]", "reads it as code"),
        (operation, "[python3, -c, \"print({{ v }})\"]", "reads it as code"),
        (operation, "[perl, -e, \"{{ v }}\"]", "reads it as code"),
        (operation, "[ssh, host, \"restart {{ v }}\"]", "gives it to a shell"),
        ("operation: \"{{ v }}\"", "[go, \"{{ v }}\"]", "choose the operation"),
        ("operation: deploy\n    env: { LD_PRELOAD: { from_env: X } }", "[go, \"{{ v }}\"]", "is given LD_PRELOAD"),
        ("operation: deploy\n    env: { BASH_ENV: { from_env: X } }", "[go, \"{{ v }}\"]", "is given BASH_ENV"),
        ("operation: deploy\n    env: { X: { from_env: DATABASE_URL } }", "[go, \"{{ v }}\"]", "is given DATABASE_URL"),
        ("operation: deploy\n    env: { X: { from_env: PARKBRAKE_SECRET_KEY } }", "[go, \"{{ v }}\"]", "a secret of parkbrake"),
    ] {
        let found = weaknesses(&[(RUNBOOKS, &runbook(keys, command))]);
        assert!(found.len() == 1 && found[0].contains(said), "{command}: {found:?}");
    }
    // The argument is a parameter of the script, not a part of it.
    for command in ["[/bin/sh, -c, \"echo $1\", sh, \"{{ v }}\"]", "[bash, deploy.sh, \"{{ v }}\"]", "[go, -c, \"{{ v }}\"]"] {
        assert_eq!(weaknesses(&[(RUNBOOKS, &runbook(operation, command))]), Vec::<String>::new(), "{command}");
    }
    for (pattern, taken) in [(".*", true), ("(?s).{0,5000}", true), ("[^x]+", true), ("[0-9A-Za-z.+-]{1,64}", false), ("api|web", false)] {
        let text = runbook(operation, "[go, \"{{ v }}\"]").replace("[a-z]+", pattern);
        assert_eq!(weaknesses(&[(RUNBOOKS, &text)]).iter().any(|found| found.contains("nearly any text")), taken, "{pattern}");
    }
}

#[test]
fn check_reports_channel_secrets_passed_to_runbooks() {
    let channels = "channels: { a: { type: webhook, url: \"https://a.example\", secret: { from_env: HOOK } } }\nroutes: [ { levels: [high], channels: [a] } ]\n";
    let runbooks = "runbooks: { go: { operation: deploy, environment: production, command: [go], env: { TOKEN: { from_env: HOOK } } } }\n";
    let found = weaknesses(&[(NOTIFICATIONS, channels), (RUNBOOKS, runbooks)]);
    assert!(found.len() == 1 && found[0].contains("is given HOOK"), "{found:?}");
}
