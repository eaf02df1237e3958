//! The PowerShell scripts: each has to parse, and to do what its bash twin does.
//!
//! They are not run here, because PowerShell is not installed on the machines that run these tests;
//! the bash scripts are run (`scripts`). So each pair is compared by static properties: calls,
//! parameters, environment variables, the fields that are sent, and, for output, the facts, labels,
//! colors and hidden characters.

use parkbrake::domain::text::is_invisible;
use regex::Regex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use tree_sitter::{Node, Parser, Tree};

const PAIRS: [&str; 4] = ["list-pending", "approve", "reject", "status"];

type Set = BTreeSet<String>;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("support/scripts/workflow")
}

/// A file without comment lines.
#[track_caller]
fn read(name: &str) -> String {
    let text = std::fs::read_to_string(folder().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    text.lines().filter(|line| !line.trim_start().starts_with('#')).fold(String::new(), |text, line| text + line + "\n")
}

fn parse(text: &str) -> Tree {
    let mut parser = Parser::new();
    parser.set_language(&tree_sitter_powershell::LANGUAGE.into()).expect("the grammar fits the library");
    parser.parse(text, None).expect("a tree")
}

/// Every node, parents first.
fn nodes(tree: &Tree) -> Vec<Node<'_>> {
    let mut found = vec![tree.root_node()];
    let mut at = 0;
    while let Some(node) = found.get(at).copied() {
        found.extend((0..node.child_count()).filter_map(|index| node.child(index)));
        at += 1;
    }
    found
}

/// The first captured group of every match in a text.
fn all(pattern: &str, text: &str) -> Set {
    let pattern = Regex::new(pattern).expect("a valid pattern");
    pattern.captures_iter(text).filter_map(|found| found.iter().skip(1).flatten().next().map(|group| group.as_str().to_owned())).collect()
}

/// `WorkflowId` or `workflow_id` as `workflow-id`.
fn kebab(name: &str) -> String {
    let mut kebab = String::new();
    for character in name.chars() {
        if character.is_ascii_uppercase() && !kebab.is_empty() {
            kebab.push('-');
        }
        kebab.push(if character == '_' { '-' } else { character.to_ascii_lowercase() });
    }
    kebab
}

/// The static properties of one script of a pair.
#[derive(Debug, PartialEq, Eq)]
struct Script {
    /// `POST /workflows/{workflow-id}/approve`
    calls: Set,
    parameters: Set,
    environment: Set,
    /// Fields of queries and bodies.
    fields: Set,
}

/// `METHOD "/path/$variable?query"` as a call.
fn call(method: &str, path: &str) -> String {
    let path = path.split('?').next().unwrap_or_default();
    let variable = Regex::new(r"\$(\w+)").expect("a valid pattern");
    format!("{method} {}", variable.replace_all(path, |found: &regex::Captures<'_>| format!("{{{}}}", kebab(&found[1]))))
}

fn bash(text: &str) -> Script {
    let calls = Regex::new(r#"(?m)^\s*api (\w+) "([^"]+)""#).expect("a valid pattern");
    Script {
        calls: calls.captures_iter(text).map(|found| call(&found[1], &found[2])).collect(),
        parameters: all(r"(?m)^\s+--([a-z-]+)\)", text),
        environment: environment_of_bash(text),
        fields: all(r"\{([a-z_]+): |&([a-z_]+)=\$", text),
    }
}

/// The variables read from outside: names in capitals, which no variable of ours has.
fn environment_of_bash(text: &str) -> Set {
    all(r"\$\{([A-Z][A-Z0-9_]+)\b", text).into_iter().filter(|name| name != "BASH_SOURCE" && name != "BASH_REMATCH").collect()
}

fn powershell(text: &str) -> Script {
    let tree = parse(text);
    let nodes = nodes(&tree);
    let of = |node: &Node<'_>| text[node.byte_range()].to_owned();
    let call_pattern = Regex::new(r#"(?s)^Invoke-Parkbrake -Method (\w+) -Path "([^"]+)""#).expect("a valid pattern");
    let commands = nodes.iter().filter(|node| node.kind() == "command").map(of);
    let calls = commands.filter_map(|command| call_pattern.captures(&command).map(|found| call(&found[1], &found[2]))).collect();
    let parameters = nodes.iter().filter(|node| node.kind() == "script_parameter" && inside(**node, "param_block"));
    let variable = Regex::new(r"\$(\w+)").expect("a valid pattern");
    let parameters = parameters.map(|node| kebab(&variable.captures(&of(node)).expect("a name")[1])).collect();
    Script {
        calls,
        parameters,
        environment: environment_of_powershell(text),
        fields: all(r"\{ ([a-z_]+) = |\$fields\['([a-z_]+)'\] = |&([a-z_]+)=\$", text),
    }
}

fn environment_of_powershell(text: &str) -> Set {
    all(r"\$env:(\w+)", text)
}

fn inside(mut node: Node<'_>, kind: &str) -> bool {
    while let Some(parent) = node.parent() {
        if parent.kind() == kind {
            return true;
        }
        node = parent;
    }
    false
}

#[test]
fn every_powershell_script_parses() {
    let mut names = Vec::new();
    let story = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/powershell");
    for entry in [folder(), story].iter().flat_map(|folder| std::fs::read_dir(folder).expect("the folder")) {
        let path = entry.expect("an entry").path();
        if path.extension().is_none_or(|extension| extension != "ps1") {
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("a script");
        let tree = parse(&text);
        for node in nodes(&tree) {
            let start = node.start_position();
            let at = format!("{}:{}:{}", path.display(), start.row + 1, start.column + 1);
            assert!(!node.is_error() && !node.is_missing(), "{at}: cannot be parsed: {}", &text[node.byte_range()]);
        }
        names.push(path.file_stem().expect("a name").to_string_lossy().into_owned());
    }
    assert!(PAIRS.iter().chain(&["story"]).all(|pair| names.iter().any(|name| name == pair)), "{names:?}");
    assert!(nodes(&parse("if ($x { }")).iter().any(|node| node.is_error() || node.is_missing()), "what is broken is noticed");
}

#[test]
fn each_script_pair_makes_the_same_calls() {
    for pair in PAIRS {
        let twins = [bash(&read(&format!("{pair}.sh"))), powershell(&read(&format!("{pair}.ps1")))];
        let [mut one, other] = twins;
        // One reads it in each script, the other in its library.
        assert!(one.environment.remove("REMOTE"), "{pair}.sh reads REMOTE");
        assert_eq!(one, other, "{pair}.sh (left) and {pair}.ps1 (right)");
        assert!(!one.calls.is_empty() && one.parameters.contains("remote"), "{pair}: {one:?}");
    }
}

#[test]
fn the_libraries_read_the_same_environment() {
    let mut one = environment_of_bash(&read("lib.sh"));
    let mut other = environment_of_powershell(&(read("lib.ps1") + &read("show.ps1")));
    assert!(other.remove("REMOTE") && other.remove("USERPROFILE"), "Windows calls HOME so");
    assert_eq!(one, other, "lib.sh (left) and lib.ps1 with show.ps1 (right)");
    for name in ["PARKBRAKE_URL", "PARKBRAKE_REMOTE_URL", "PARKBRAKE_TOKEN", "PARKBRAKE_AS", "PARKBRAKE_DEV_HOME", "NO_COLOR"] {
        assert!(one.remove(name), "{name}");
    }
}

#[test]
fn lib_jq_and_show_ps1_show_the_same() {
    let (one, other) = (read("lib.jq"), read("show.ps1"));
    let labels = |pattern, text| all(pattern, text);
    assert_eq!(labels(r#"facts\("([a-z ]+)""#, &one), labels(r"Write-Fact '([a-z ]+)'", &other), "labels");
    // The scripts themselves show the answers of the two changing calls.
    let powershell = other.clone() + &PAIRS.map(|pair| read(&format!("{pair}.ps1"))).concat();
    let facts = |pattern: &str, text: &str, ours: &[&str]| {
        let chains = all(pattern, text);
        let names: Set = chains.iter().flat_map(|chain| chain.split('.')).map(str::to_owned).collect();
        names.into_iter().filter(|name| !name.is_empty() && !ours.contains(&name.as_str())).collect::<Set>()
    };
    assert_eq!(
        facts(r"(?m)(?:^|[\s(|\[{,;])((?:\.[a-z_]+)+)", &one, &["key", "value", "first", "last", "workflow"]),
        facts(r"\$\w+((?:\.[a-z_]+)+)", &powershell, &["next_cursor", "workflow"]),
        "facts"
    );
    let colors = |text: &str| {
        let pair = Regex::new(r#"\b([a-z_]+)(?:: | = )["']([0-9]+(?:;[0-9]+)?)["']"#).expect("a valid pattern");
        pair.captures_iter(text).map(|found| format!("{} {}", &found[1], &found[2])).collect::<Set>()
    };
    assert_eq!(colors(&one), colors(&other), "colors");
    assert!(colors(&one).contains("critical 1;35"));
}

#[test]
fn lib_jq_and_show_ps1_hide_what_the_domain_hides() {
    let list = |name: &str| all(r#"["']((?:[0-9A-F]{4,6}(?:-[0-9A-F]{4,6})? ?){5,})["']"#, &read(name)).pop_first().expect("the list");
    assert_eq!(list("lib.jq"), list("show.ps1"));
    let code = |hex: &str| u32::from_str_radix(hex, 16).expect("a number");
    let list = list("lib.jq");
    let ranges: Vec<(u32, u32)> =
        list.split(' ').map(|range| range.split_once('-').unwrap_or((range, range))).map(|(a, b)| (code(a), code(b))).collect();
    for character in '\0'..=char::MAX {
        let listed = ranges.iter().any(|(first, last)| (*first..=*last).contains(&u32::from(character)));
        assert_eq!(listed, is_invisible(character), "U+{:04X}", u32::from(character));
    }
}
