//! Stored events must remain readable forever: the fixtures of every schema are read, and the
//! events of the current version have not changed.

use parkbrake::domain::workflow::{Event, SCHEMA};
use regex::Regex;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// The folder of the current schema.
const CURRENT: &str = "3";

fn folder(schema: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events").join(schema)
}

/// The fixtures of one schema: the event's name, the file's name and the text.
fn fixtures(schema: &str) -> Vec<(String, String, String)> {
    let files = std::fs::read_dir(folder(schema)).unwrap().map(|entry| entry.unwrap().path());
    let read = |path: PathBuf| {
        let file = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let name = file.split('-').next().unwrap().to_owned();
        (name, format!("{schema}/{file}.json"), std::fs::read_to_string(&path).unwrap().trim_end().to_owned())
    };
    files.map(read).collect()
}

/// The names that `Event::name` returns, parsed from its source: the type itself cannot list them.
fn all_names() -> BTreeSet<String> {
    let source = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/domain/workflow/events.rs")).unwrap();
    let body = source.split("pub fn name(&self)").nth(1).unwrap().split("\n    }\n").next().unwrap();
    Regex::new(r#"=> "([a-z_]+)""#).unwrap().captures_iter(body).map(|found| found[1].to_owned()).collect()
}

#[test]
fn events_of_every_schema_are_read() {
    for schema in ["1", "2", CURRENT] {
        for (name, file, text) in fixtures(schema) {
            let event = Event::from_stored(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert_eq!(event.name(), name, "{file}");
        }
    }
}

#[test]
fn current_events_are_written_back_byte_for_byte() {
    for (_, file, text) in fixtures(CURRENT) {
        let event = Event::from_stored(&text).unwrap();
        assert_eq!(event.to_stored(), text, "{file}");
    }
}

#[test]
fn the_current_folder_is_that_of_the_schema_that_is_written() {
    assert_eq!(CURRENT, SCHEMA.to_string());
}

#[test]
fn every_event_has_a_fixture() {
    let covered: BTreeSet<String> = fixtures(CURRENT).into_iter().map(|(name, ..)| name).collect();
    let missing: Vec<_> = all_names().difference(&covered).cloned().collect();
    assert!(all_names().len() > 10 && missing.is_empty(), "no fixture in tests/fixtures/events/{CURRENT} for {missing:?}");
}
