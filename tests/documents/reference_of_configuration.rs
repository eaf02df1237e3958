//! `support/docs/CONFIGURATION.md`: every key of every file, as the loader knows it.
//!
//! The loader itself reports the keys: an unknown key is put into each mapping of
//! `tests/fixtures/configuration`, and the error lists the known ones. Each key is left out once,
//! which shows whether it is required; and a value is a default if writing it changes nothing. The
//! texts are those of `src/config/reference.yaml`.

use crate::reference::{cell, hold};
use crate::{read, root};
use parkbrake::config::{self, Problem};
use serde_yaml::{Mapping, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

const SAMPLE: &str = "tests/fixtures/configuration";
const UNKNOWN: &str = "zzz";
const LEVELS: [&str; 4] = ["low", "medium", "high", "critical"];

/// One step down into a file.
#[derive(Clone)]
enum Step {
    Key(String),
    Item(usize),
}

type Position = Vec<Step>;

/// A position in the loader's notation: `escalation.high[0].to`.
fn path(position: &[Step]) -> String {
    let mut path = String::new();
    for step in position {
        match step {
            Step::Key(key) if path.is_empty() => path.push_str(key),
            Step::Key(key) => path.extend([".", key]),
            Step::Item(at) => write!(path, "[{at}]").expect("text"),
        }
    }
    path
}

/// Whether a pattern such as `escalation.*[]` matches this position.
fn fits(pattern: &str, position: &[Step]) -> bool {
    let wanted: Vec<&str> = pattern
        .split('.')
        .flat_map(|part| [part.trim_end_matches("[]"), if part.ends_with("[]") { "[]" } else { "" }])
        .filter(|part| !part.is_empty())
        .collect();
    wanted.len() == position.len()
        && wanted.iter().zip(position).all(|(wanted, step)| match step {
            Step::Key(key) => wanted == key || *wanted == "*",
            Step::Item(_) => *wanted == "[]",
        })
}

fn at<'v>(value: &'v mut Value, position: &[Step]) -> &'v mut Value {
    position.iter().fold(value, |value, step| match step {
        Step::Key(key) => value.get_mut(key.as_str()).expect("the key"),
        Step::Item(at) => value.get_mut(*at).expect("the item"),
    })
}

/// Every mapping, outer ones first. `{ from_env: NAME }` counts as a value.
fn mappings(value: &Value, position: &Position, found: &mut Vec<(Position, Mapping)>) {
    let below = |step| [position.clone(), vec![step]].concat();
    match value {
        Value::Mapping(mapping) if mapping.contains_key("from_env") => {}
        Value::Mapping(mapping) => {
            found.push((position.clone(), mapping.clone()));
            for (key, value) in mapping {
                mappings(value, &below(Step::Key(key.as_str().expect("text").to_owned())), found);
            }
        }
        Value::Sequence(items) => items.iter().enumerate().for_each(|(at, value)| mappings(value, &below(Step::Item(at)), found)),
        _ => {}
    }
}

/// The sample, written again for each try.
struct Sample {
    files: BTreeMap<String, Value>,
    folder: tempfile::TempDir,
    version: String,
}

impl Sample {
    #[track_caller]
    fn read(names: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("hitl")).expect("a folder");
        let files: BTreeMap<String, Value> = names
            .iter()
            .map(|name| ((*name).to_owned(), serde_yaml::from_str(&read(&format!("{SAMPLE}/{name}"))).expect("YAML")))
            .collect();
        for name in names {
            std::fs::write(folder.path().join(name), read(&format!("{SAMPLE}/{name}"))).expect("a file");
        }
        std::fs::write(folder.path().join("message.txt"), read(&format!("{SAMPLE}/message.txt"))).expect("a file");
        let loaded = config::load(folder.path(), Path::new("/srv")).unwrap_or_else(|problems| panic!("{SAMPLE}: {problems:?}"));
        Self { files, folder, version: loaded.version.to_string() }
    }

    /// The loader's result after one file was changed: the version, or the problems.
    fn with(&self, file: &str, change: impl FnOnce(&mut Value)) -> Result<String, Vec<Problem>> {
        let mut value = self.files[file].clone();
        change(&mut value);
        let target = self.folder.path().join(file);
        std::fs::write(&target, serde_yaml::to_string(&value).expect("YAML")).expect("a file");
        let answer = config::load(self.folder.path(), Path::new("/srv")).map(|loaded| loaded.version.to_string());
        std::fs::write(&target, serde_yaml::to_string(&self.files[file]).expect("YAML")).expect("a file");
        answer
    }

    fn with_key(&self, file: &str, position: &[Step], key: &str, value: Option<&Value>) -> Result<String, Vec<Problem>> {
        self.with(file, |root| {
            let mapping = at(root, position).as_mapping_mut().expect("a mapping");
            match value {
                Some(value) => drop(mapping.insert(key.into(), value.clone())),
                None => drop(mapping.shift_remove(key)),
            }
        })
    }

    /// The keys that the loader knows at a position; `None` if any key is allowed.
    fn known(&self, file: &str, position: &[Step]) -> Option<Vec<String>> {
        let path = path(&[position, &[Step::Key(UNKNOWN.to_owned())]].concat());
        let problems = self.with_key(file, position, UNKNOWN, Some(&UNKNOWN.into())).err()?;
        let said = problems.into_iter().find(|problem| problem.key == path)?.detail;
        let known = said.strip_prefix("is not a known key; known are: ")?;
        Some(known.split(", ").map(str::to_owned).collect())
    }
}

/// The reference's entry for one key.
struct Key {
    name: String,
    says: String,
    default: Option<Value>,
    left_out: Option<String>,
    takes: Option<String>,
    one_of: Vec<Value>,
}

impl Key {
    #[track_caller]
    fn read(name: &Value, value: &Value) -> Self {
        let text = |key: &str| value.get(key).and_then(Value::as_str).map(str::to_owned);
        let fields = ["says", "default", "left_out", "takes", "one_of"];
        let unknown = value.as_mapping().into_iter().flat_map(Mapping::keys).find(|key| !fields.contains(&key.as_str().expect("text")));
        assert!(unknown.is_none(), "{name:?}: {unknown:?} is none of {fields:?}");
        Self {
            name: name.as_str().expect("a name").to_owned(),
            says: value.as_str().map(str::to_owned).or_else(|| text("says")).unwrap_or_else(|| panic!("{name:?} says nothing")),
            default: value.get("default").cloned(),
            left_out: text("left_out"),
            takes: text("takes"),
            one_of: value.get("one_of").and_then(Value::as_sequence).cloned().unwrap_or_default(),
        }
    }
}

struct Section {
    patterns: Vec<String>,
    title: Option<String>,
    about: Option<String>,
    keys: Vec<Key>,
}

fn sections(file: &Value) -> Vec<Section> {
    let section = |value: &Value| Section {
        patterns: value["at"]
            .as_sequence()
            .expect("patterns")
            .iter()
            .map(|pattern| pattern.as_str().expect("a pattern").to_owned())
            .collect(),
        title: value.get("title").and_then(Value::as_str).map(str::to_owned),
        about: value.get("about").and_then(Value::as_str).map(str::to_owned),
        keys: value["keys"].as_mapping().expect("keys").iter().map(|(name, key)| Key::read(name, key)).collect(),
    };
    file["sections"].as_sequence().expect("sections").iter().map(section).collect()
}

/// A value as it is written in a file.
fn written(value: &Value) -> String {
    match value {
        Value::Sequence(items) => format!("[{}]", items.iter().map(written).collect::<Vec<_>>().join(", ")),
        other => serde_yaml::to_string(other).expect("YAML").trim().to_owned(),
    }
}

/// The type of a value that the loader has accepted.
fn kind(value: &Value) -> String {
    let is_duration = |text: &str| {
        text.len() > 1 && text[..text.len() - 1].bytes().all(|byte| byte.is_ascii_digit()) && text.ends_with(['s', 'm', 'h', 'd'])
    };
    let text = match value {
        Value::Bool(_) => "`true` or `false`",
        Value::Number(_) => "a whole number",
        Value::Sequence(items) if items.iter().all(|item| LEVELS.contains(&item.as_str().unwrap_or_default())) => "a list of levels",
        Value::Sequence(_) => "a list",
        Value::Mapping(mapping) if mapping.contains_key("from_env") => "`{ from_env: NAME }`",
        Value::Mapping(_) => "a mapping",
        Value::String(text) if LEVELS.contains(&text.as_str()) => "a level",
        Value::String(text) if is_duration(text) => "a duration",
        _ => "text",
    };
    text.to_owned()
}

/// The row of a key, tried out if the sample has it.
#[track_caller]
fn row(sample: &Sample, file: &str, key: &Key, position: &[Step], value: &Value, without: Result<String, Vec<Problem>>) -> String {
    let name = format!("{file}: {}", path(&[position, &[Step::Key(key.name.clone())]].concat()));
    let own = path(&[position, &[Step::Key(key.name.clone())]].concat());
    let is_required = without.as_ref().is_err_and(|problems| {
        problems
            .iter()
            .any(|problem| (problem.key == own && problem.detail.starts_with("is missing")) || problem.detail.starts_with("has no `type`"))
    });
    let left_out = match (&key.default, &key.left_out) {
        (Some(default), None) => {
            let without = without.unwrap_or_else(|problems| panic!("{name} cannot be left out: {problems:?}"));
            let with = sample.with_key(file, position, &key.name, Some(default)).unwrap_or_else(|problems| panic!("{name}: {problems:?}"));
            assert_eq!(with, without, "{name}: {} is not what holds where it is left out", written(default));
            assert_ne!(sample.version, without, "{name}: {SAMPLE} has to say something else than the default");
            format!("`{}`", written(default))
        }
        // Some are required only together with others, and the texts say so.
        (None, Some(words)) if !is_required || words.contains("needed") => words.clone(),
        (None, None) if is_required => "required".to_owned(),
        (None, None) => panic!("{name} may be left out: say in src/config/reference.yaml what holds then"),
        _ => panic!("{name}: it has to be written, or has a default and `left_out`; keep one"),
    };
    if !key.one_of.is_empty() {
        let problems = sample.with_key(file, position, &key.name, Some(&UNKNOWN.into())).expect_err("no such word");
        let said = problems.into_iter().find(|problem| problem.key == own).unwrap_or_else(|| panic!("{name} takes any word")).detail;
        for word in &key.one_of {
            assert!(said.contains(word.as_str().expect("a word")), "{name}: the loader names {word:?}: {said}");
        }
    }
    let words: Vec<String> = key.one_of.iter().map(|word| format!("`{}`", written(word))).collect();
    let takes = key.takes.clone().unwrap_or_else(|| if words.is_empty() { kind(value) } else { words.join(", ") });
    format!("| `{}` | {} | {} | {} |\n", key.name, cell(&takes), cell(&left_out), cell(&key.says))
}

/// Prose, wrapped at 100 columns.
fn wrapped(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("a line");
        match line.chars().count() + word.chars().count() {
            _ if line.is_empty() => line.push_str(word),
            ..100 => line.extend([" ", word]),
            _ => lines.push(word.to_owned()),
        }
    }
    lines.join("\n")
}

const HEAD: &str = "# Configuration

Every key of every file, written by `task docs` from the loader and the words of
`src/config/reference.yaml`. The configuration is one folder (`--config`, `PARKBRAKE_CONFIG`, by
default `config`). Every file is read strictly, and a server reads the folder once, when it starts;
[what `parkbrake check` refuses](RISK_ASSESSMENT.md#what-parkbrake-check-refuses) says what is an
error. Settings of the server process are flags and variables:
[OPERATIONS.md](OPERATIONS.md#settings).

A duration is a whole number and one unit (`30s`, `15m`, `2h`, `3d`), a size likewise (`64KiB`,
`2GiB`). A level is `low`, `medium`, `high` or `critical`. A word or a spelling is written as it is
compared: in ASCII lower case, without white space at its ends. A secret is never written into a
file: `{ from_env: NAME }` names the variable of the server's environment that holds it. In the
names of the mappings, `*` is a name of your own or a level, and `[]` an item of a list.
";

#[test]
fn the_reference_of_the_configuration_is_what_the_loader_knows() {
    let reference: Vec<Value> = serde_yaml::from_str(&read("src/config/reference.yaml")).expect("YAML");
    let names: Vec<&str> = reference.iter().map(|file| file["file"].as_str().expect("a name")).collect();
    let sample = Sample::read(&names);
    let mut page = String::from(HEAD);
    for file in &reference {
        let name = file["file"].as_str().expect("a name");
        let (sections, mut found) = (sections(file), Vec::new());
        mappings(&sample.files[name], &Vec::new(), &mut found);
        let mut positions: Vec<Vec<(Position, Mapping)>> = sections.iter().map(|_| Vec::new()).collect();
        let mut tried = BTreeSet::new();
        for (position, mapping) in found {
            let of = sections.iter().position(|section| section.patterns.iter().any(|pattern| fits(pattern, &position)));
            let pattern = of.and_then(|of| sections[of].patterns.iter().find(|pattern| fits(pattern, &position)));
            if pattern.is_none_or(|pattern| tried.insert((name, pattern.clone()))) {
                let known = sample.known(name, &position);
                match (of, known) {
                    (Some(of), Some(known)) => {
                        let described: BTreeSet<_> = sections[of].keys.iter().map(|key| key.name.clone()).collect();
                        assert_eq!(
                            known.into_iter().collect::<BTreeSet<_>>(),
                            described,
                            "{name}: {}: the loader's keys, and src/config/reference.yaml",
                            path(&position)
                        );
                    }
                    (None, Some(known)) => {
                        assert_eq!(known, LEVELS, "{name}: {} is not described in src/config/reference.yaml", path(&position))
                    }
                    (Some(_), None) => panic!("{name}: {}: the loader takes any key there", path(&position)),
                    (None, None) => {}
                }
            }
            if let Some(of) = of {
                positions[of].push((position, mapping));
            }
        }
        let _ = write!(page, "\n## {name}\n\n{}\n", wrapped(file["about"].as_str().expect("words")));
        for (section, positions) in sections.iter().zip(positions) {
            let title = section
                .title
                .clone()
                .unwrap_or_else(|| section.patterns.iter().map(|pattern| format!("`{pattern}`")).collect::<Vec<_>>().join(", "));
            if title != "``" {
                let _ = write!(page, "\n### {title}\n");
            }
            if let Some(about) = &section.about {
                let _ = write!(page, "\n{}\n", wrapped(about));
            }
            page.push_str("\n| key | takes | left out | what it says |\n|---|---|---|---|\n");
            for key in &section.keys {
                let there: Vec<_> =
                    positions.iter().filter_map(|(position, mapping)| Some((position, mapping.get(key.name.as_str())?))).collect();
                let (first, value) = there.first().unwrap_or_else(|| panic!("{name}: {:?} is nowhere in {SAMPLE}", key.name));
                let mut tried = (*first, *value, sample.with_key(name, first, &key.name, None));
                // It may be required together with other keys, and optional elsewhere.
                for (position, value) in &there[1..] {
                    if tried.2.is_err() {
                        tried = (position, value, sample.with_key(name, position, &key.name, None));
                    }
                }
                page.push_str(&row(&sample, name, key, tried.0, tried.1, tried.2));
            }
        }
    }
    hold("support/docs/CONFIGURATION.md", &page);
}

/// Without this test, a list of keys that no file of the sample reaches would be missing above.
#[test]
fn every_key_that_a_source_names_is_in_the_reference() {
    let list = regex::Regex::new(r#"(?s)(?:KEYS: \[&str; \d+\] =\s*|fields\(&|=> \(&)\[([^\]]*)\]"#).expect("a pattern");
    let word = regex::Regex::new(r#""([a-z_]+)""#).expect("a pattern");
    let reference: Vec<Value> = serde_yaml::from_str(&read("src/config/reference.yaml")).expect("YAML");
    let described: BTreeSet<String> = reference.iter().flat_map(sections).flat_map(|section| section.keys).map(|key| key.name).collect();
    let mut seen = 0;
    for entry in std::fs::read_dir(root().join("src/config")).expect("the sources").map(|entry| entry.expect("an entry").path()) {
        let Some(source) = entry.extension().filter(|end| *end == "rs").and_then(|_| std::fs::read_to_string(&entry).ok()) else {
            continue;
        };
        for keys in list.captures_iter(&source) {
            for key in word.captures_iter(&keys[1]).map(|key| key[1].to_owned()).filter(|key| key != "from_env") {
                assert!(
                    described.contains(&key),
                    "{} reads the key `{key}`, which src/config/reference.yaml does not describe",
                    entry.display()
                );
                seen += 1;
            }
        }
    }
    assert!(seen > 100, "the keys are found: {seen}");
}
