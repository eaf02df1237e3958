//! Examples in the documents: JSON can be parsed, scripts can be read by their shell, and
//! configuration loads.

use crate::{blocks, documents, read, root};
use parkbrake::config;
use regex::Regex;
use serde_json::Value;
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn every_block_of_json_can_be_parsed() {
    let mut seen = 0;
    for name in documents() {
        for block in blocks(&read(&name)).iter().filter(|block| block.language == "json") {
            // A part of an object stands without its braces.
            let text = if block.text.starts_with('"') { format!("{{{}}}", block.text) } else { block.text.clone() };
            serde_json::from_str::<Value>(&text).unwrap_or_else(|error| panic!("{name}, line {}: {error}", block.line));
            seen += 1;
        }
    }
    assert!(seen > 5, "the documents have JSON");
}

#[test]
fn every_script_can_be_read_by_its_shell() {
    let mut seen = 0;
    for name in documents() {
        for block in blocks(&read(&name)).iter().filter(|block| ["sh", "bash"].contains(&block.language.as_str())) {
            let mut shell =
                Command::new("bash").args(["-n", "/dev/stdin"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("bash");
            std::io::Write::write_all(&mut shell.stdin.take().expect("its input"), block.text.as_bytes()).expect("it reads");
            let ended = shell.wait_with_output().expect("it ends");
            assert!(ended.status.success(), "{name}, line {}: {}", block.line, String::from_utf8_lossy(&ended.stderr));
            seen += 1;
        }
    }
    assert!(seen > 10, "the documents have scripts");
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder").map(|entry| entry.expect("an entry")) {
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).expect("a copy");
        }
    }
}

/// Those of RISK_ASSESSMENT.md and AGENT_TOOLS.md are loaded where their files are read, in
/// `src/config/tests`.
#[test]
fn every_example_of_notifications_loads() {
    let mut seen = 0;
    for block in blocks(&read("support/docs/NOTIFICATIONS.md")).iter().filter(|block| block.language == "yaml") {
        // The buttons are shown by themselves, as they stand below a channel.
        let above =
            if block.text.starts_with(' ') { "channels:\n  ops:\n    type: slack\n    webhook_url: { from_env: HOOK }\n" } else { "" };
        let folder = tempfile::tempdir().expect("a folder");
        copy(&root().join("config"), folder.path());
        std::fs::write(folder.path().join("notifications.yaml"), format!("{above}{}", block.text)).expect("a file");
        if let Err(problems) = config::load(folder.path(), root()) {
            let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
            panic!("NOTIFICATIONS.md, line {}: {}", block.line, said.join("; "));
        }
        seen += 1;
    }
    assert!(seen >= 6, "the page has examples");
}

/// Every key that a file of configuration may have stands in a document, or in the head of the
/// shipped file that has it.
#[test]
fn every_key_of_the_configuration_is_described() {
    let list = Regex::new(r#"(?s)(?:KEYS: \[&str; \d+\] =\s*|fields\(&)\[([^\]]*)\]"#).expect("a pattern");
    let word = Regex::new(r#""([a-z_]+)""#).expect("a pattern");
    let shipped = ["config/runbooks.yaml", "config/hitl/agent-tools.yaml"].map(read).concat();
    let pages: String = ["RISK_ASSESSMENT", "NOTIFICATIONS", "OPERATIONS", "AGENT_TOOLS", "HITL_INTEGRATION", "API", "CONFIGURATION"]
        .map(|page| read(&format!("support/docs/{page}.md")))
        .concat()
        + &shipped;
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("src/config")).expect("the sources") {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|end| end != "rs") {
            continue;
        }
        let source = std::fs::read_to_string(&path).expect("a source");
        for key in
            list.captures_iter(&source).flat_map(|found| word.captures_iter(&found[1]).map(|key| key[1].to_owned()).collect::<Vec<_>>())
        {
            let said = Regex::new(&format!(r"(?m)[`{{,. ]{key}[`:.,]|^#?\s*-? ?{key}(:|  )")).expect("a pattern");
            assert!(said.is_match(&pages), "{} reads the key `{key}`, which no document describes", path.display());
            seen += 1;
        }
    }
    assert!(seen > 60, "the keys are found: {seen}");
}
