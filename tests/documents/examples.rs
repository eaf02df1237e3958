//! Examples in the documents: JSON, YAML and Python parse, shells can parse the scripts, and
//! configuration loads.

use crate::{Block, blocks, documents, read, root};
use parkbrake::config;
use serde_yaml::{Mapping, Value};
use std::path::Path;
use std::process::{Command, Stdio};

#[test]
fn every_block_of_json_can_be_parsed() {
    let mut seen = 0;
    for name in documents() {
        for block in blocks(&read(&name)).iter().filter(|block| block.language == "json") {
            // A part of an object has no braces.
            let text = if block.text.starts_with('"') { format!("{{{}}}", block.text) } else { block.text.clone() };
            serde_json::from_str::<serde_json::Value>(&text).unwrap_or_else(|error| panic!("{name}, line {}: {error}", block.line));
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

#[test]
fn every_block_of_yaml_can_be_parsed() {
    let mut seen = 0;
    for name in documents() {
        for block in blocks(&read(&name)).iter().filter(|block| block.language == "yaml") {
            serde_yaml::from_str::<Value>(&block.text).unwrap_or_else(|error| panic!("{name}, line {}: {error}", block.line));
            seen += 1;
        }
    }
    assert!(seen > 20, "the documents have YAML: {seen}");
}

#[test]
fn every_block_of_python_can_be_parsed() {
    let mut seen = 0;
    for name in documents() {
        for block in blocks(&read(&name)).iter().filter(|block| block.language == "python") {
            let parse = "import ast, sys; ast.parse(sys.argv[1])";
            let parsed = Command::new("python3").args(["-c", parse, &block.text]).output().expect("python3");
            assert!(parsed.status.success(), "{name}, line {}: {}", block.line, String::from_utf8_lossy(&parsed.stderr));
            seen += 1;
        }
    }
    assert_eq!(seen, 3);
}

/// The steps of a workflow file of GitHub.
fn steps(text: &str) -> Vec<Value> {
    let file: Value = serde_yaml::from_str(text).expect("YAML");
    let steps = if file.is_sequence() { &file } else { &file["jobs"]["deploy"]["steps"] };
    steps.as_sequence().expect("steps").clone()
}

/// Steps that use the composite actions give only inputs that the actions have, and all that they
/// require.
#[test]
fn the_steps_for_github_fit_the_actions() {
    const ACTION: &str = "./support/github-action";
    let mut seen = 0;
    for name in ["support/docs/INTEGRATIONS.md", "support/github-action/README.md"] {
        for step in blocks(&read(name)).iter().filter(|block| block.text.contains(ACTION)).flat_map(|block| steps(&block.text)) {
            let Some(folder) = step["uses"].as_str().filter(|uses| uses.starts_with(ACTION)) else { continue };
            let action: Value = serde_yaml::from_str(&read(&format!("{folder}/action.yml"))).expect("an action");
            let inputs = action["inputs"].as_mapping().expect("inputs");
            let given = step["with"].as_mapping().expect("what it is given");
            for input in given.keys() {
                assert!(inputs.contains_key(input), "{name}: {folder} has no input {input:?}");
            }
            for (input, meaning) in inputs {
                let needed = meaning["required"].as_bool() == Some(true);
                assert!(!needed || given.contains_key(input), "{name}: {folder} needs the input {input:?}");
            }
            seen += 1;
        }
    }
    assert_eq!(seen, 4);
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

/// The examples of RISK_ASSESSMENT.md and AGENT_TOOLS.md are loaded by the tests of their files, in
/// `src/config/tests`.
#[test]
fn every_example_of_notifications_loads() {
    let mut seen = 0;
    let page = read("support/docs/NOTIFICATIONS.md");
    for block in blocks(&page).iter().filter(|block| block.language == "yaml" && block.not_run.is_none()) {
        // The buttons are shown on their own, as they appear below a channel.
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

/// The files of an example: each begins with a comment that names it.
#[track_caller]
fn files(text: &str) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for line in text.lines() {
        match (line.strip_prefix("# ").filter(|name| name.ends_with(".yaml")), found.last_mut()) {
            (Some(name), _) => found.push((name.to_owned(), String::new())),
            (None, Some((_, file))) => file.extend([line, "\n"]),
            (None, None) => panic!("an example begins with the name of its file: {text}"),
        }
    }
    found
}

/// An example is inserted into a complete configuration.
#[test]
fn every_example_of_a_file_loads() {
    let mut seen = 0;
    for name in ["support/docs/INTEGRATIONS.md", "support/docs/OPERATIONS.md"] {
        let is_file = |block: &&Block| block.language == "yaml" && block.not_run.is_none() && block.text.starts_with("# ");
        for block in blocks(&read(name)).iter().filter(is_file) {
            let folder = tempfile::tempdir().expect("a folder");
            copy(&root().join("tests/fixtures/configuration"), folder.path());
            for (file, text) in files(&block.text) {
                let path = folder.path().join(file);
                let mut whole: Mapping =
                    serde_yaml::from_str(&std::fs::read_to_string(&path).expect("a file of the configuration")).expect("YAML");
                let example: Mapping = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}, line {}: {error}", block.line));
                for (key, value) in example {
                    match (whole.get_mut(&key).and_then(Value::as_mapping_mut), value) {
                        (Some(there), Value::Mapping(more)) => there.extend(more),
                        (_, value) => drop(whole.insert(key, value)),
                    }
                }
                std::fs::write(path, serde_yaml::to_string(&whole).expect("YAML")).expect("a file");
                seen += 1;
            }
            if let Err(problems) = config::load(folder.path(), root()) {
                let said: Vec<String> = problems.iter().map(ToString::to_string).collect();
                panic!("{name}, line {}: {}", block.line, said.join("; "));
            }
        }
    }
    assert!(seen >= 4, "the pages have examples: {seen}");
}
