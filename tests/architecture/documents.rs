//! The documents are accurate: every call, problem, setting, metric, module and test that they name
//! exists, and the other way round.

use crate::CONCEPTS;
use crate::pages::pages;
use crate::source::{files, read, root, sources};
use axum::http::StatusCode;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;

#[test]
fn every_problem_has_its_heading() {
    let codes = codes();
    let page = read("support/docs/API.md");
    let (_, problems) = page.split_once("\n## Problems\n").expect("API.md has a heading `## Problems`");
    let headings: BTreeMap<&str, &str> = problems
        .split("\n### ")
        .skip(1)
        .map(|section| section.split_once('\n').unwrap_or((section, "")))
        .map(|(code, text)| (code.trim(), text.trim()))
        .collect();
    for (code, status) in &codes {
        let text = headings.get(code.as_str());
        let text = text.unwrap_or_else(|| panic!("src/http/problem.rs has the code `{code}`: write `### {code}` into support/docs/API.md, with its status, when it comes and what to do"));
        assert!(text.starts_with(&format!("{status}")), "`### {code}` of support/docs/API.md has to begin with its status, {status}");
    }
    for code in headings.keys() {
        assert!(codes.contains_key(*code), "support/docs/API.md has `### {code}`, which src/http/problem.rs does not know: take it out");
    }
}

#[test]
fn the_guide_of_the_api_names_what_is_served() {
    let page = read("support/docs/API.md");
    let call = Regex::new("`(GET|POST|PUT|PATCH|DELETE) (/[^` ?]*)[^`]*`").expect("a pattern");
    let named: BTreeSet<String> = call.captures_iter(&page).map(|found| format!("{} {}", &found[1], &found[2])).collect();
    let route = Regex::new(r#"\.route\("([^"]+)",((?:\s*\.?(?:get|post|put|patch|delete)\([a-z_:]+\))+)"#).expect("a pattern");
    let method = Regex::new(r"\b(get|post|put|patch|delete)\(").expect("a pattern");
    let router = read("src/web/mod.rs");
    let pages: BTreeSet<String> = route
        .captures_iter(&router)
        .flat_map(|found| {
            let methods: Vec<String> = method.captures_iter(&found[2]).map(|found| found[1].to_uppercase()).collect();
            methods.into_iter().map(move |method| format!("{method} {}", &found[1])).collect::<Vec<_>>()
        })
        .collect();
    assert_eq!(
        router.matches(".route(").count(),
        route.find_iter(&router).count(),
        "a route of src/web is written in a way that this test does not read"
    );
    let document = parkbrake::app::description();
    let paths = document.value()["paths"].as_object().expect("paths");
    let calls: BTreeSet<String> = paths
        .iter()
        .flat_map(|(path, item)| item.as_object().expect("calls").keys().map(move |method| format!("{} {path}", method.to_uppercase())))
        .collect();
    let gone: Vec<_> = named.iter().filter(|call| !calls.contains(*call) && !pages.contains(*call)).collect();
    assert!(gone.is_empty(), "support/docs/API.md names {gone:?}, which nobody serves: take it out");
    let unnamed: Vec<_> = calls.union(&pages).filter(|call| !named.contains(*call)).collect();
    assert!(unnamed.is_empty(), "the server serves {unnamed:?}: say in support/docs/API.md what it is for, as `METHOD /path`");
}

#[test]
fn the_operator_guide_lists_every_metric() {
    let page = read("support/docs/OPERATIONS.md");
    let metrics = Regex::new(r#"registry\.register\(\s*"([a-z_]+)"(?:[^;]*)?;"#).expect("a pattern");
    let source = read("src/actors/metrics.rs");
    let names: BTreeSet<String> = metrics.captures_iter(&source).map(|found| format!("parkbrake_{}", &found[1])).collect();
    assert_eq!(names.len(), source.matches("registry.register(").count(), "a metric is registered in a way that this test does not read");
    for name in &names {
        let known = Regex::new(&format!(r"`{name}(_total|_bucket)?[`{{]")).expect("a pattern");
        assert!(known.is_match(&page), "src/actors/metrics.rs counts `{name}`: add it to the metrics of support/docs/OPERATIONS.md");
    }
    for found in Regex::new(r"\bparkbrake_[a-z_]+").expect("a pattern").find_iter(&page) {
        let base = found.as_str();
        let known = names.iter().any(|name| ["", "_total", "_bucket", "_sum", "_count"].iter().any(|end| format!("{name}{end}") == base));
        // Roles and databases in the examples of the page are not metrics.
        assert!(
            known || base == "parkbrake_owner",
            "support/docs/OPERATIONS.md names the metric `{base}`, which nothing counts: take it out"
        );
    }
}

#[test]
fn the_code_map_lists_every_module() {
    let page = read("support/docs/ARCHITECTURE.md");
    let (_, map) = page.split_once("\n## Code map\n").expect("ARCHITECTURE.md has a heading `## Code map`");
    let map = map.split("\n## ").next().unwrap_or_default();
    let rooms = map.lines().filter_map(|line| line.strip_prefix("| `")?.split(" |").next());
    let listed: BTreeSet<String> = rooms.flat_map(|names| names.split(", ")).map(|name| name.trim_matches('`').to_owned()).collect();
    let mut rooms: BTreeSet<String> = BTreeSet::from(["lib.rs".to_owned()]);
    for file in sources() {
        let parts: Vec<&str> = file.name.split('/').collect();
        match parts[..] {
            [one] if !sources().iter().any(|file| file.name.starts_with(&format!("{}/", one.trim_end_matches(".rs")))) => {
                rooms.insert(one.to_owned());
            }
            [_] => {}
            ["domain", concept, _, ..] if CONCEPTS.contains(&concept) => {
                rooms.insert(format!("domain/{concept}"));
            }
            [room, ..] => {
                rooms.insert(room.to_owned());
            }
            [] => {}
        }
    }
    let new: Vec<_> = rooms.difference(&listed).collect();
    assert!(new.is_empty(), "{new:?} in src is new: add a line for it to the code map of support/docs/ARCHITECTURE.md");
    let gone: Vec<_> = listed.difference(&rooms).collect();
    assert!(gone.is_empty(), "the code map of support/docs/ARCHITECTURE.md has {gone:?}, which is not in src: take the line out");
}

/// The page is for newcomers; more detail belongs in the headers of the files.
#[test]
fn the_architecture_page_is_short() {
    let words = read("support/docs/ARCHITECTURE.md").split_whitespace().count();
    assert!(words <= 5_500, "support/docs/ARCHITECTURE.md has {words} words: let the headers of the files say what is theirs");
}

#[test]
fn links_of_the_documents_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    for name in pages(root()) {
        let (document, text) = (root().join(&name), without_code(&read(&name)));
        for found in link.captures_iter(&text).map(|found| found[1].to_owned()).filter(|target| !target.contains("://")) {
            let (file, anchor) = found.split_once('#').unwrap_or((&found, ""));
            let target = if file.is_empty() { document.clone() } else { document.parent().expect("a folder").join(file) };
            assert!(target.exists(), "{name} links to `{found}`, and there is no such file: correct the link");
            if !anchor.is_empty() {
                let headings = anchors(&fs::read_to_string(&target).expect("a document"));
                assert!(headings.contains(anchor), "{name} links to `{found}`, and there is no such heading: correct the link");
            }
        }
    }
}

/// The codes of the API with their statuses, according to `Code::facts`.
#[track_caller]
fn codes() -> BTreeMap<String, u16> {
    let fact = Regex::new(r#"StatusCode::([A-Z_]+), "([a-z-]+)","#).expect("a pattern");
    let text = read("src/http/problem.rs");
    let codes: BTreeMap<String, u16> = fact.captures_iter(&text).map(|found| (found[2].to_owned(), number(&found[1]))).collect();
    let variants = text.split_once("pub enum Code {").and_then(|(_, rest)| rest.split_once('}')).expect("the codes").0;
    assert_eq!(
        codes.len(),
        variants.matches(',').count(),
        "a code of src/http/problem.rs is written in a way that this test does not read"
    );
    codes
}

/// The number of a status, by its name in the source.
#[track_caller]
fn number(name: &str) -> u16 {
    let named =
        |status: &StatusCode| status.canonical_reason().is_some_and(|reason| reason.to_uppercase().replace([' ', '-'], "_") == name);
    let all = (400..600).filter_map(|number| StatusCode::from_u16(number).ok());
    all.into_iter().find(named).unwrap_or_else(|| panic!("{name} is no status")).as_u16()
}

/// The anchors of a document's headings, as the viewer creates them.
fn anchors(text: &str) -> BTreeSet<String> {
    let headings = text.lines().filter_map(|line| line.trim_start_matches('#').strip_prefix(' ').filter(|_| line.starts_with('#')));
    headings
        .map(|heading| {
            let kept = heading.trim().to_lowercase();
            kept.chars()
                .filter(|letter| letter.is_alphanumeric() || "-_ ".contains(*letter))
                .map(|letter| if letter == ' ' { '-' } else { letter })
                .collect()
        })
        .collect()
}

/// The most words that the glossary explains.
const LONGEST_GLOSSARY: usize = 30;

#[test]
fn the_glossary_is_short_and_no_page_or_comment_has_a_word_that_it_avoids() {
    let page = read("support/docs/ARCHITECTURE.md");
    let (_, section) = page.split_once("\n## Words\n").expect("ARCHITECTURE.md has a heading `## Words`");
    let section = section.split("\n## ").next().unwrap_or_default();
    let (explained, avoided) = section.split_once("\n| not | but |\n").expect("the words that the pages avoid");
    let words = explained.lines().filter(|line| line.starts_with("| ")).count() - 1;
    assert!((20..=LONGEST_GLOSSARY).contains(&words), "the glossary of ARCHITECTURE.md explains {words} words, at most {LONGEST_GLOSSARY}");
    let quoted = Regex::new("`([^`]+)`").expect("a pattern");
    let cells = avoided.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next());
    let rows: Vec<String> = cells.map(|cell| format!("`{cell}")).collect();
    let avoided: Vec<&str> =
        rows.iter().flat_map(|cell| quoted.captures_iter(cell)).map(|found| found.get(1).expect("a word").as_str()).collect();
    assert!(avoided.len() > 10, "the table of avoided words is read: {avoided:?}");
    let code_or_address = Regex::new(r"`[^`]*`|\]\([^)]*\)").expect("a pattern");
    let whole = Regex::new(&format!(r"(?:^|.{{0,40}}[^\w-])(?:{})(?:[^\w-]|$)", avoided.join("|"))).expect("a pattern");
    let pages = pages(root()).into_iter().map(|name| (without_code(&read(&name)), name));
    for (text, name) in pages.chain(comments()) {
        let prose = code_or_address.replace_all(&text, "`").split_whitespace().collect::<Vec<_>>().join(" ").to_lowercase();
        let found = whole.find(&prose).map(|found| found.as_str());
        assert_eq!(found, None, "{name} has a word that the glossary of ARCHITECTURE.md avoids");
    }
}

/// The comments of each file of `src`.
fn comments() -> impl Iterator<Item = (String, String)> {
    let comment = |line: &str| line.trim_start().strip_prefix("//").map(|words| words.trim_start_matches(['/', '!']).to_owned());
    sources().iter().map(move |file| {
        let words: Vec<String> = file.text.lines().filter_map(comment).collect();
        (words.join("\n"), format!("src/{}", file.name))
    })
}

/// A document without its code, in which brackets mean something else.
fn without_code(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let _ = writeln!(prose, "{line}");
        }
    }
    prose
}

/// Phrases that say that something is missing, or was not tried.
const MISSING: [&str; 8] =
    ["there yet", "not run yet", "were not run", "was not run", "not been run", "never been run", "were not tried", "was not tried"];

/// What is missing is listed once, in README.md, so that no two lists can contradict each other.
/// The other pages link to that list where a reader needs it.
#[test]
fn only_the_readme_lists_missing_features() {
    assert!(read("README.md").contains("\n## What is not there yet\n"));
    let linked = Regex::new(r"\[[^\]]*\]\([^)]*README\.md#what-is-not-there-yet\)").expect("a pattern");
    for name in pages(root()).into_iter().filter(|name| name != "README.md") {
        let text = read(&name);
        let prose = linked.replace_all(&text, "").split_whitespace().collect::<Vec<_>>().join(" ");
        let found = MISSING.iter().find(|phrase| prose.contains(**phrase));
        assert_eq!(found, None, "{name} says that something is missing: say it in README.md, and link there with this phrase");
    }
}

/// `tests/README.md` names each test with its module: the file or the folder that contains it.
#[test]
fn every_test_in_the_fault_table_exists_in_its_module() {
    let page = read("tests/README.md");
    let names = Regex::new("`([a-z0-9_]+)::([a-z0-9_]+)`").unwrap();
    let sources: Vec<(PathBuf, String)> = rust_files().collect();
    let stands = |module: &str, name: &str| {
        sources.iter().any(|(path, text)| {
            let relative = path.strip_prefix(root()).unwrap().with_extension("");
            relative.iter().any(|part| part == module) && text.contains(&format!("fn {name}("))
        })
    };
    let named: Vec<_> = names.captures_iter(&page).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    let missing: Vec<_> = named.iter().filter(|(module, name)| !stands(module, name)).collect();
    assert!(named.len() > 50 && missing.is_empty(), "tests/README.md names tests that are not there: {missing:?}");
}

/// SECURITY.md names the tests that prove its statements.
#[test]
fn every_test_that_security_names_exists() {
    let page = read("SECURITY.md");
    let names = Regex::new("`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap();
    let sources: String = rust_files().map(|(_, text)| text).collect();
    let missing: Vec<_> =
        names.captures_iter(&page).map(|found| found[1].to_owned()).filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "SECURITY.md names tests that do not exist: {missing:?}");
}

/// Every Rust file of `src` and `tests`, with its text.
fn rust_files() -> impl Iterator<Item = (PathBuf, String)> {
    let paths = ["src", "tests"].into_iter().flat_map(|folder| files(&root().join(folder), "rs"));
    paths.map(|path| (path.clone(), fs::read_to_string(path).expect("a source")))
}
