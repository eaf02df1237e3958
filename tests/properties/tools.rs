//! How tool calls of coding agents are interpreted with the shipped configuration.
//!
//! There are two corpora in `tests/fixtures/agent-tools`: an ordinary day needs no approvals, and
//! nothing harmful runs without one.

use chrono::DateTime;
use parkbrake::config::{self, Configuration};
use parkbrake::domain::risk::level::Level;
use parkbrake::domain::tools::{Client, Judged, ToolCall};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::LazyLock;

static CONFIGURATION: LazyLock<Configuration> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    config::load(&root.join("config"), root).expect("the shipped configuration is valid")
});

const EVERYDAY: &str = include_str!("../fixtures/agent-tools/everyday.txt");
const DANGEROUS: &str = include_str!("../fixtures/agent-tools/dangerous.txt");

fn commands(corpus: &str) -> Vec<String> {
    corpus.lines().filter(|line| !line.starts_with('#') && !line.is_empty()).map(|line| line.replace('⏎', "\n")).collect()
}

fn judged(tool: &str, input: Value) -> (Judged, String) {
    let call = ToolCall {
        client: Client::ClaudeCode,
        session_id: "session".to_owned(),
        tool_use_id: "use".to_owned(),
        tool_name: tool.to_owned(),
        tool_input: input,
        cwd: "/home/dev/app".to_owned(),
        repo: None,
        permission_mode: None,
    };
    let reading = CONFIGURATION.tools.read(&call);
    let because: Vec<&str> = reading.because().collect();
    (reading.judge(&CONFIGURATION.rules, "agent", DateTime::UNIX_EPOCH), because.join("; "))
}

fn level(command: &str) -> Level {
    judged("Bash", json!({ "command": command })).0.assessment.level
}

#[test]
fn everyday_commands_need_no_approval() {
    let commands = commands(EVERYDAY);
    assert!(commands.len() >= 1_000, "{} commands", commands.len());
    let asked: Vec<String> = commands
        .iter()
        .map(|command| (command, judged("Bash", json!({ "command": command }))))
        .filter(|(_, (judged, _))| judged.assessment.level > Level::Low)
        .map(|(command, (judged, because))| format!("{command}\n    {}: {because}", judged.assessment.level))
        .collect();
    let share = 100 - 100 * asked.len() / commands.len();
    assert!(asked.len() * 100 <= commands.len() * 5, "only {share} of 100 need nobody:\n{}", asked.join("\n"));
}

#[test]
fn no_harmful_command_is_low() {
    let commands = commands(DANGEROUS);
    assert!(commands.len() >= 1_300, "{} commands", commands.len());
    let low: Vec<String> = commands
        .iter()
        .map(|command| (command, judged("Bash", json!({ "command": command }))))
        .filter(|(_, (judged, _))| judged.assessment.level == Level::Low)
        .map(|(command, (_, because))| format!("{command}\n    {because}"))
        .collect();
    assert!(low.is_empty(), "{} of {} would run unseen:\n{}", low.len(), commands.len(), low.join("\n"));
}

#[test]
fn commands_too_long_or_too_deep_are_unmatched() {
    for command in [
        "(".repeat(100_000),
        "$(".repeat(50_000),
        "`".repeat(100_000),
        "{ ".repeat(50_000),
        "if ".repeat(30_000),
        "a".repeat(100_000),
        "ls;".repeat(40_000),
        "ls; ".repeat(5_000),
        format!("{}ls{}", "( ".repeat(5_000), " )".repeat(5_000)),
        format!("echo {}ls{}", "$(echo ".repeat(2_000), ")".repeat(2_000)),
        format!("{} ls", "sudo ".repeat(5_000)),
        format!("{} ls", "nice ".repeat(5_000)),
        format!("xargs {}", "-n 1 ".repeat(5_000)),
        format!("ls {}", "x ".repeat(30_000)),
        format!("cat {}", "{a,b}".repeat(5_000)),
        format!("cat {}", "*a".repeat(20_000)),
        format!("cat {}", "../".repeat(20_000)),
        "<<a ".repeat(3_000),
        "\"$(\"".repeat(3_000),
        "ls\u{0}".to_owned(),
    ] {
        let (_, because) = judged("Bash", json!({ "command": command }));
        assert!(!because.is_empty());
    }
    assert!(
        level(&"(".repeat(100_000)) > Level::Low && level(&"ls;".repeat(40_000)) > Level::Low && level(&"ls; ".repeat(5_000)) > Level::Low
    );
}

#[test]
fn calls_naming_too_much_to_check_are_unmatched() {
    let wild = format!("*{}", "a*".repeat(15));
    let patch = (0..500).map(|n| format!("*** Add File: src/{n}.rs\n+x\n")).collect::<String>();
    for (tool, input) in [
        ("Bash", json!({ "command": format!("cat {}", vec![wild.as_str(); 1_900].join(" ")) })),
        ("Bash", json!({ "command": format!("cat {}", "{a,b}{c,d}{e,f}*".repeat(200)) })),
        ("Bash", json!({ "command": format!("cat '{}'", "a ".repeat(20_000)) })),
        ("Bash", json!({ "command": format!("cd a; cd b; cd c; cat {}", vec!["x=y:z"; 500].join(" ")) })),
        ("Read", json!({ "file_path": "a ".repeat(20_000) })),
        ("apply_patch", json!({ "command": format!("*** Begin Patch\n{patch}*** End Patch") })),
    ] {
        let (judged, because) = judged(tool, input);
        assert!(!judged.is_matched && judged.assessment.level > Level::Low, "{}", because.chars().take(200).collect::<String>());
    }
}

#[test]
fn tools_that_are_no_shell_are_read_by_their_name_and_their_files() {
    let low = |tool: &str, input: Value| judged(tool, input).0.assessment.level == Level::Low;
    for (tool, input) in [
        ("Read", json!({ "file_path": "/home/dev/app/src/lib.rs" })),
        ("Read", json!({ "file_path": "/etc/hosts" })),
        ("Grep", json!({ "pattern": "TODO", "path": "src" })),
        ("Glob", json!({ "pattern": "**/*.rs" })),
        ("LS", json!({ "path": "/home/dev/app" })),
        ("Edit", json!({ "file_path": "/home/dev/app/src/lib.rs", "old_string": "a", "new_string": "b" })),
        ("Write", json!({ "file_path": "src/new.rs", "content": "x" })),
        ("Write", json!({ "file_path": "/tmp/x.txt", "content": "x" })),
        ("NotebookEdit", json!({ "notebook_path": "/home/dev/app/x.ipynb", "new_source": "" })),
        ("WebFetch", json!({ "url": "https://docs.rs/serde", "prompt": "" })),
        ("WebSearch", json!({ "query": "rust" })),
        ("Task", json!({ "description": "x", "prompt": "y" })),
        ("TodoWrite", json!({ "todos": [] })),
        ("apply_patch", json!({ "command": "*** Begin Patch\n*** Update File: src/lib.rs\n@@\n-a\n+b\n*** End Patch" })),
        ("shell", json!({ "command": ["bash", "-lc", "cargo test"] })),
        ("shell", json!({ "command": ["git", "status"], "workdir": "/home/dev/app" })),
    ] {
        assert!(low(tool, input.clone()), "{tool} {input}: {:?}", judged(tool, input.clone()));
    }
    for (tool, input) in [
        ("Read", json!({ "file_path": "/home/dev/.ssh/id_rsa" })),
        ("Read", json!({ "file_path": ".env" })),
        ("Grep", json!({ "pattern": ".", "path": "/home/dev/.aws/credentials" })),
        ("Edit", json!({ "file_path": "/etc/hosts" })),
        ("Write", json!({ "file_path": "/home/dev/.bashrc", "content": "x" })),
        ("Write", json!({ "file_path": "/home/dev/app/.git/hooks/pre-commit", "content": "x" })),
        ("Write", json!({ "file_path": "/home/dev/app/../other/x", "content": "x" })),
        ("Write", json!({ "file_path": ".github/workflows/ci.yml", "content": "x" })),
        ("Write", json!({ "file_path": ".claude/settings.json", "content": "x" })),
        ("Write", json!({ "file_path": ".woodpecker.yml", "content": "x" })),
        ("Write", json!({ "file_path": ".devcontainer.json", "content": "x" })),
        ("Edit", json!({ "file_path": ".github/CODEOWNERS" })),
        ("Edit", json!({ "file_path": ".teamcity/settings.kts" })),
        ("Write", json!({ "file_path": "sub/.dir-locals.el", "content": "x" })),
        ("Write", json!({ "content": "x" })),
        ("WebFetch", json!({ "url": "http://169.254.169.254/latest/meta-data" })),
        ("WebFetch", json!({ "url": "file:///etc/passwd" })),
        ("apply_patch", json!({ "command": "*** Begin Patch\n*** Add File: ../x\n+b\n*** End Patch" })),
        ("apply_patch", json!({ "command": "*** Begin Patch\n*** Update File: src/a\n*** Move to: /etc/x\n*** End Patch" })),
        ("apply_patch", json!({ "command": "rm -rf /" })),
        ("shell", json!({ "command": ["bash", "-lc", "rm -rf /"] })),
        ("shell", json!({ "command": ["cargo", "test"], "workdir": "/srv/prod/app" })),
        ("mcp__github__merge_pull_request", json!({})),
        ("bash", json!({ "command": "ls" })),
        ("read", json!({ "file_path": "src/lib.rs" })),
        ("SomethingNew", json!({})),
        ("Bash", json!({})),
        ("Bash", json!({ "command": "" })),
        ("Bash", json!({ "command": 7 })),
    ] {
        assert!(!low(tool, input.clone()), "{tool} {input}: {:?}", judged(tool, input.clone()));
    }
}

#[test]
fn folders_contexts_and_names_determine_the_target() {
    let facts = |command: &str| judged("Bash", json!({ "command": command })).0;
    assert_eq!(facts("cd /srv/prod/app && cargo build").facts.environment.as_deref(), Some("production"));
    assert_eq!(facts("kubectl --context staging delete pod x").facts.environment.as_deref(), Some("staging"));
    assert_eq!(facts("kubectl --context prod delete pod x").assessment.level, Level::Critical);
    assert_eq!(facts("AWS_PROFILE=prod aws s3 rm s3://x").assessment.level, Level::Critical);
    assert_eq!(facts("ssh db-prod-1 uptime").facts.resource.as_deref(), Some("db-prod-1"));
    assert_eq!(facts("NODE_ENV=production npm run build").assessment.level, Level::Low);
}

/// Every way in which a shell can end one command and begin another without a blank between them.
const JOINTS: [&str; 13] = [
    "({});ls",
    "ls;{}",
    "{};ls",
    "{}&&ls",
    "{}||ls",
    "{}|cat",
    "{}&ls",
    "{ {};}",
    "$({})",
    "`{}`",
    "{}>/dev/null",
    "ls\n{}\nls",
    "if true;then {};fi",
];

/// With `another_part_never_lowers_the_level`, which joins any two commands with blanks.
#[test]
fn no_joint_between_commands_lowers_the_level() {
    let known: Vec<String> = commands(DANGEROUS).into_iter().filter(|command| !command.contains('\n')).collect();
    // One joint for each command takes a thirteenth of the time of all, and varies both.
    let lowered = known.iter().zip(JOINTS.iter().cycle()).filter_map(|(command, joint)| {
        let joined = joint.replace("{}", command);
        let (alone, together) = (level(command), level(&joined));
        (together < alone).then(|| format!("{joined:?} is {together}, and {command:?} alone {alone}"))
    });
    assert_eq!(lowered.collect::<Vec<_>>(), [""; 0]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Adding something to a command never makes it less dangerous.
    #[test]
    fn another_part_never_lowers_the_level(first in command(), second in command(), join in 0_usize..8) {
        let joined = match join {
            0 => format!("{first}; {second}"),
            1 => format!("{first} && {second}"),
            2 => format!("{first} || {second}"),
            3 => format!("{first} | {second}"),
            4 => format!("{first} $({second})"),
            5 => format!("{second}; {first}"),
            6 => format!("({first}); {second}"),
            _ => format!("{first}\n{second}"),
        };
        let before = level(&first);
        prop_assert!(level(&joined) >= before, "{joined:?} is {}, and {first:?} alone {before}", level(&joined));
    }

    /// Any input is interpreted as something, with bounded work.
    #[test]
    fn every_text_gets_a_classification(text in "[ -~\n]{0,200}") {
        let (judged, because) = judged("Bash", json!({ "command": text }));
        prop_assert!(!because.is_empty() && !judged.facts.operation.is_empty());
    }

    /// An unlisted program never runs without an approval, whatever its name and arguments are.
    #[test]
    fn an_unknown_program_is_never_low(name in "[a-z]{9,12}", rest in "[ -~]{0,40}") {
        let command = format!("{name} {rest}");
        prop_assert!(level(&command) > Level::Low, "{command:?}");
    }
}

/// A command of one of the corpora, on one line.
fn command() -> impl Strategy<Value = String> {
    let all: Vec<String> = commands(EVERYDAY).into_iter().chain(commands(DANGEROUS)).filter(|command| !command.contains('\n')).collect();
    proptest::sample::select(all)
}
