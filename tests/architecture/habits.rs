//! Files that people and tools of a repository rely on: workflows, templates and scripts that are
//! named somewhere.

use crate::source::{files, read, root};
use regex::Regex;
use serde_yaml::Value;
use std::collections::BTreeSet;
use std::fs;

/// Scripts without a twin of the same name, and what replaces the twin.
const LONE_SCRIPTS: &[(&str, &str)] = &[("show.ps1", "lib.jq")];

#[track_caller]
fn workflows() -> Vec<(String, String, Value)> {
    let found = files(&root().join(".github/workflows"), "yml").into_iter().map(|path| {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let text = fs::read_to_string(&path).expect("a workflow");
        let value = serde_yaml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        (name, text, value)
    });
    found.collect()
}

#[test]
fn the_workflows_name_what_they_use_by_commit_and_may_write_nothing_by_default() {
    let pinned = Regex::new(r"^actions/[a-z-]+@[0-9a-f]{40}$").expect("a pattern");
    let workflows = workflows();
    assert!(workflows.len() >= 2, "the workflows are found");
    for (name, _, workflow) in &workflows {
        assert_eq!(workflow["permissions"]["contents"], "read", "{name}: begin with `permissions: contents: read`");
        for (job, body) in workflow["jobs"].as_mapping().expect("jobs") {
            let job = job.as_str().expect("a name");
            assert!(body["timeout-minutes"].is_number(), "{name}: give the job {job} a `timeout-minutes`");
            for step in body["steps"].as_sequence().expect("steps") {
                let Some(used) = step["uses"].as_str() else { continue };
                assert!(pinned.is_match(used), "{name}: the job {job} uses {used}: name an action of `actions` by its commit");
            }
        }
    }
}

/// The paths of this repository that a text names, as far as they can be recognized.
fn paths_in(text: &str) -> Vec<String> {
    let path = Regex::new(r"(?:^|[\s`(])((?:\.ci|\.config|\.github|config|migrations|src|support|tests)/[A-Za-z0-9_./-]*[A-Za-z0-9_-])")
        .expect("a pattern");
    path.captures_iter(text).map(|found| found[1].to_owned()).collect()
}

#[test]
fn paths_named_by_workflows_and_the_contributor_guide_exist() {
    let mut texts: Vec<(String, String)> = workflows().into_iter().map(|(name, text, _)| (name, text)).collect();
    texts.push(("CONTRIBUTING.md".to_owned(), read("CONTRIBUTING.md")));
    texts.push((".ci/run".to_owned(), read(".ci/run")));
    for (name, text) in texts {
        let named = paths_in(&text);
        assert!(!named.is_empty(), "{name} names files");
        for path in named {
            assert!(root().join(&path).exists(), "{name} names {path}, which is not there");
        }
    }
}

#[test]
fn tasks_named_by_the_guides_exist() {
    let tasks: Value = serde_yaml::from_str(&read("Taskfile.yml")).expect("the Taskfile");
    let named = Regex::new(r"`task ([a-z:-]+)").expect("a pattern");
    for page in ["CONTRIBUTING.md", "README.md", "tests/README.md"] {
        for found in named.captures_iter(&read(page)) {
            assert!(tasks["tasks"].get(&found[1]).is_some(), "{page} names `task {}`, which Taskfile.yml does not have", &found[1]);
        }
    }
}

#[test]
fn every_script_has_its_twin() {
    let folder = root().join("support/scripts/workflow");
    let names: BTreeSet<String> = fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.expect("an entry").file_name().into_string().expect("a name"))
        .collect();
    assert!(
        !names.is_empty() || !root().join("Taskfile.yml").exists(),
        "the Taskfile calls the scripts of support/scripts/workflow, and there are none"
    );
    for name in &names {
        let twin = match (name.strip_suffix(".sh"), name.strip_suffix(".ps1")) {
            (Some(stem), _) => format!("{stem}.ps1"),
            (_, Some(stem)) => format!("{stem}.sh"),
            _ => continue,
        };
        let twin = LONE_SCRIPTS.iter().find(|(lone, _)| lone == name).map_or(twin, |(_, instead)| (*instead).to_owned());
        assert!(
            names.contains(&twin),
            "support/scripts/workflow/{name} has no twin {twin}: Windows runs the .ps1 and everything else the .sh, so write both"
        );
    }
}
