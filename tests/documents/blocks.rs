//! The blocks of the documents: a test runs, loads or compares each, or the block says why none
//! does.
//!
//! A block that no test can run has a line above it that readers do not see:
//! `<!-- not run: why -->`.

use crate::{GENERATED, documents, read};
use std::collections::BTreeMap;

/// A fenced block of a document.
pub struct Block {
    pub language: String,
    pub text: String,
    /// The line where it begins, for messages.
    pub line: usize,
    /// The heading above it.
    pub heading: String,
    /// Why no test runs it.
    pub not_run: Option<String>,
}

/// The blocks of a page. A block in a list loses the indentation of the list.
#[track_caller]
pub fn blocks(page: &str) -> Vec<Block> {
    let (mut found, mut open, mut heading, mut above): (Vec<Block>, Option<(Block, usize)>, String, &str) =
        (Vec::new(), None, String::new(), "");
    for (at, line) in page.lines().enumerate() {
        let bare = line.trim_start();
        match (&mut open, bare.strip_prefix("```")) {
            (None, Some(language)) => {
                let not_run = above.trim().strip_prefix("<!-- not run: ").and_then(|why| why.strip_suffix(" -->")).map(str::to_owned);
                let block =
                    Block { language: language.trim().to_owned(), text: String::new(), line: at + 1, heading: heading.clone(), not_run };
                open = Some((block, line.len() - bare.len()));
            }
            (Some(_), Some(_)) => found.extend(open.take().map(|(block, _)| block)),
            (Some((block, indentation)), None) => {
                let within = line.len() - bare.len();
                block.text.extend([&line[within.min(*indentation)..], "\n"]);
            }
            (None, None) => {
                if let Some(text) = line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')) {
                    text.clone_into(&mut heading);
                }
            }
        }
        above = line;
    }
    assert!(open.is_none(), "a block does not end");
    found
}

/// The test that covers each kind of block, by document and language.
const HELD: &[(&str, &str, &str)] = &[
    ("CHANGELOG.md", "sql", "tests/it/documented_sql.rs"),
    ("README.md", "sh", "commands::the_first_approval_of_the_readme_works_as_written"),
    ("support/bench/README.md", "sh", "clap::the_documented_options_of_scripts_exist"),
    ("support/clients/python/README.md", "python", "examples::every_block_of_python_can_be_parsed"),
    ("support/docs/AGENT_TOOLS.md", "sh", "commands::the_commands_of_agent_tools_explain"),
    ("support/docs/AGENT_TOOLS.md", "yaml", "src/config/tests/agent_tools.rs"),
    ("support/docs/API.md", "bash", "commands::the_api_examples_answer_as_documented"),
    ("support/docs/API.md", "json", "shapes::example_bodies_match_their_schemas"),
    ("support/docs/API.md", "text", "commands::the_api_examples_answer_as_documented"),
    ("support/docs/HITL_INTEGRATION.md", "bash", "tests/scripts/guide.rs"),
    ("support/docs/HITL_INTEGRATION.md", "python", "tests/scripts/guide.rs"),
    ("support/docs/INBOX.md", "text", "tests/scripts/shell.rs"),
    ("support/docs/INTEGRATIONS.md", "bash", "clap::every_command_that_a_document_names_is_one"),
    ("support/docs/INTEGRATIONS.md", "toml", "src/cli/hook/install/requirements.rs"),
    ("support/docs/INTEGRATIONS.md", "yaml", "examples::every_example_of_a_file_loads"),
    ("support/docs/NOTIFICATIONS.md", "json", "src/notify/webhook/tests.rs"),
    ("support/docs/NOTIFICATIONS.md", "yaml", "examples::every_example_of_notifications_loads"),
    ("support/docs/OPERATIONS.md", "sql", "tests/it/roles.rs"),
    ("support/docs/OPERATIONS.md", "text", "clap::every_command_that_a_document_names_is_one"),
    ("support/docs/OPERATIONS.md", "yaml", "examples::every_example_of_a_file_loads"),
    ("support/docs/QUICK_START.md", "sh", "commands::the_quick_start_works_as_written"),
    ("support/docs/RISK_ASSESSMENT.md", "bash", "tests/it/rule_preview.rs"),
    ("support/docs/RISK_ASSESSMENT.md", "json", "shapes::example_bodies_match_their_schemas"),
    ("support/docs/RISK_ASSESSMENT.md", "text", "src/config/tests/docs.rs"),
    ("support/docs/RISK_ASSESSMENT.md", "yaml", "src/config/tests/docs.rs"),
    ("support/github-action/README.md", "yaml", "examples::the_steps_for_github_fit_the_actions"),
];

/// How many blocks no test runs. Whoever has to add one changes this number.
const NOT_RUN: usize = 14;

#[test]
fn every_block_is_tested_or_excepted_with_a_reason() {
    let mut reasons: BTreeMap<String, usize> = BTreeMap::new();
    for name in documents() {
        let short = name.rsplit('/').next().expect("a name");
        for block in blocks(&read(&name)).iter().filter(|_| !GENERATED.contains(&short)) {
            let held = HELD.iter().any(|(document, language, _)| *document == name && *language == block.language);
            match &block.not_run {
                Some(why) => *reasons.entry(why.clone()).or_default() += 1,
                None => assert!(
                    held,
                    "{name}, line {} ({}): no test holds this block; have one run it, or write `<!-- not run: why -->` above it",
                    block.line, block.language
                ),
            }
        }
    }
    let marked: usize = reasons.values().sum();
    assert_eq!(marked, NOT_RUN, "blocks that no test runs: {reasons:#?}");
}

/// The tests of the table exist: in the module of this program, or in the named file.
#[test]
fn the_tests_that_cover_blocks_exist() {
    for (document, _, test) in HELD {
        let exists = match test.split_once("::") {
            Some((module, name)) => read(&format!("tests/documents/{module}.rs")).contains(&format!("fn {name}(")),
            None => read(test).contains("fn "),
        };
        assert!(exists, "{document}: there is no test {test}");
    }
}
