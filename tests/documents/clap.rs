//! The parkbrake commands in the documents, parsed by the program's own parser, and the options of
//! scripts.

use crate::blocks::blocks;
use crate::{GENERATED, documents, read};
use clap::CommandFactory as _;
use clap::error::ErrorKind;
use parkbrake::cli::Cli;
use regex::Regex;

/// Text that looks like a command but is a line of the log.
const NO_COMMANDS: [&str; 1] = ["parkbrake is ready"];

/// The words of a command, as a shell splits them. Placeholders are kept; of `a|b` the first is
/// taken, and brackets around optional parts are removed.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), String::new(), None);
    for character in text.chars().chain([' ']) {
        match (quote, character) {
            (Some(open), close) if open == close => quote = None,
            (None, '\'' | '"') => quote = Some(character),
            (None, '[' | ']') => {}
            (None, ' ') => {
                let first = word.split('|').next().unwrap_or_default().to_owned();
                words.extend(Some(first).filter(|word| !word.is_empty() && word != "…" && word != "\\"));
                word.clear();
            }
            _ => word.push(character),
        }
    }
    words
}

/// The commands of a page: those in its blocks, and those in its sentences.
fn commands(page: &str) -> Vec<(String, bool)> {
    let in_block =
        Regex::new(r"(?m)(?:^|\$\(|&& |\|\| |sudo )(parkbrake (?:[^|;&>#\n\x22']|\x22[^\x22]*\x22|'[^']*')*)").expect("a pattern");
    let inline = Regex::new(r"`(parkbrake [^`]+)`").expect("a pattern");
    let scripts = blocks(page).into_iter().filter(|block| ["sh", "bash", "text"].contains(&block.language.as_str()));
    let mut found: Vec<(String, bool)> = Vec::new();
    for block in scripts {
        let text = block.text.replace("\\\n", " ");
        found.extend(in_block.captures_iter(&text).map(|found| (found[1].trim_end_matches([')', ' ']).to_owned(), true)));
    }
    // A command may continue on the next line of a paragraph.
    let prose = page.replace("\n   ", " ").replace("\n  ", " ").replace('\n', " ").replace("\\|", "|");
    found.extend(inline.captures_iter(&prose).map(|found| (found[1].to_owned(), false)));
    found
}

#[test]
fn every_command_that_a_document_names_is_one() {
    let mut seen = 0;
    for name in documents().into_iter().filter(|name| !GENERATED.iter().any(|generated| name.ends_with(generated))) {
        for (command, is_whole) in commands(&read(&name)) {
            if NO_COMMANDS.iter().any(|start| command.starts_with(start)) {
                continue;
            }
            // In a sentence another program may follow; in a block the pattern has cut it off.
            let command_line = if is_whole { &command } else { command.split(" && ").next().unwrap_or_default() };
            if let Err(error) = Cli::command().try_get_matches_from(words(command_line)) {
                let about_values = matches!(
                    error.kind(),
                    ErrorKind::ValueValidation
                        | ErrorKind::InvalidValue
                        | ErrorKind::DisplayHelp
                        | ErrorKind::DisplayVersion
                        | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
                );
                // A sentence may name a command without its arguments.
                let is_named = matches!(error.kind(), ErrorKind::MissingRequiredArgument | ErrorKind::MissingSubcommand);
                assert!(about_values || (is_named && !is_whole), "{name}: `{command}`: {error}");
            }
            seen += 1;
        }
    }
    assert!(seen > 80, "the documents name commands: {seen}");
}

#[test]
fn the_documented_options_of_scripts_exist() {
    let option = Regex::new(r"--([a-z][a-z-]+)").expect("a pattern");
    let script = Regex::new(r"`([a-z-]+\.sh) ([^`]+)`").expect("a pattern");
    let mut seen = 0;
    for found in script.captures_iter(&read("support/docs/INBOX.md")) {
        let text = read(&format!("support/scripts/workflow/{}", &found[1]));
        let usage = text.lines().find_map(|line| line.strip_prefix("usage=")).expect("its usage");
        for option in option.find_iter(&found[2]).map(|option| option.as_str()) {
            assert!(
                usage.contains(&format!("{option} ")) || usage.contains(&format!("{option}]")),
                "{} has no {option}: {usage}",
                &found[1]
            );
            seen += 1;
        }
    }
    assert!(seen > 8, "INBOX.md names options of scripts: {seen}");
    let benchmark = read("support/bench/main.rs");
    let commands = blocks(&read("support/bench/README.md")).into_iter().filter(|block| block.not_run.is_none()).map(|block| block.text);
    for found in option.captures_iter(&commands.collect::<String>()) {
        let field = found[1].replace('-', "_");
        assert!(benchmark.contains(&format!("pub {field}: ")), "the benchmark has no option --{}", &found[1]);
    }
}
