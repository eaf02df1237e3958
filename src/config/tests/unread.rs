//! Files that parkbrake does not read are problems, and settings weaker than the shipped ones are
//! reported.

use super::*;

/// The problems of a valid configuration with one more file in it.
fn with_file(path: &str) -> Vec<String> {
    let dir = folder(&[(APPROVALS, PEOPLE)]);
    let file = dir.path().join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, "triggers: {}\n").unwrap();
    match load(dir.path(), Path::new("/srv/base")) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(|problem| problem.to_string().replace(&format!("{}/", dir.path().display()), "")).collect(),
    }
}

#[test]
fn a_file_that_nothing_reads_is_refused_with_the_name_that_was_probably_meant() {
    for (path, meant) in [
        ("hitl/interrupt-triggers.yml", "hitl/interrupt-triggers.yaml"),
        ("hitl/interrupt_triggers.yaml", "hitl/interrupt-triggers.yaml"),
        ("hitl/InterruptTriggers.yaml", "hitl/interrupt-triggers.yaml"),
        ("hitl/interupt-triggers.yaml", "hitl/interrupt-triggers.yaml"),
        ("hitl/interrupt-triggers", "hitl/interrupt-triggers.yaml"),
        ("hitl/interrupt-triggers.json", "hitl/interrupt-triggers.yaml"),
        ("hitl/interrupt-triggers.yaml.txt", "hitl/interrupt-triggers.yaml"),
        ("interrupt-triggers.yaml", "hitl/interrupt-triggers.yaml"),
        ("HITL/interrupt-triggers.yaml", "hitl/interrupt-triggers.yaml"),
        ("hitl/hitl/risk-assessment-rules.yaml", "hitl/risk-assessment-rules.yaml"),
        ("risk-assessment-rules.YAML", "hitl/risk-assessment-rules.yaml"),
        ("notifications.yml", "notifications.yaml"),
        ("hitl/notifications.yaml", "notifications.yaml"),
        ("notification.yaml", "notifications.yaml"),
        ("sign_in.yaml", "sign-in.yaml"),
        ("hitl/sign-in.yml", "sign-in.yaml"),
        ("runbooks.yml", "runbooks.yaml"),
        ("runbook.yaml", "runbooks.yaml"),
        ("hitl/approval-policy.yml", "move it out of the folder"),
        ("more/people.yaml", "move it out of the folder"),
        ("hitl/agent_tools.yaml", "hitl/agent-tools.yaml"),
        ("agent-tools.yml", "hitl/agent-tools.yaml"),
        ("hitl/playbooks.yaml", "playbooks.yaml"),
        ("playbook.yaml", "playbooks.yaml"),
    ] {
        let problems = with_file(path);
        assert!(problems.len() == 1 && problems[0].starts_with(path) && problems[0].contains(meant), "{path}: {problems:?}");
    }
}

#[test]
fn files_that_are_no_configuration_are_ignored() {
    for path in
        ["README.md", "mail.txt", "slack.json", ".git/config.yaml", "hitl/.runbooks.yaml.swp", "runbooks.yaml.example", "runbooks.yaml~"]
    {
        assert_eq!(with_file(path), Vec::<String>::new(), "{path}");
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_and_pipes_are_refused() {
    let dir = folder(&[(APPROVALS, PEOPLE)]);
    // A mounted volume has this layout: the files are links into a hidden folder.
    std::fs::create_dir(dir.path().join("..data")).unwrap();
    std::fs::write(dir.path().join("..data/runbooks.yaml"), "runbooks: {}\n").unwrap();
    std::os::unix::fs::symlink("..data/runbooks.yaml", dir.path().join("runbooks.yaml")).unwrap();
    // The target of a link that is read is not reported.
    std::fs::write(dir.path().join("hitl/rules.yaml"), std::fs::read_to_string(repository().join("config").join(RULES)).unwrap()).unwrap();
    std::os::unix::fs::symlink("rules.yaml", dir.path().join(RULES)).unwrap();
    load(dir.path(), Path::new("/srv/base")).unwrap();
    let made = std::process::Command::new("mkfifo").arg(dir.path().join(TRIGGERS)).status().unwrap();
    assert!(made.success());
    let problems = load(dir.path(), Path::new("/srv/base")).unwrap_err();
    assert!(problems[0].to_string().contains("is not a regular file"), "{problems:?}");
}
