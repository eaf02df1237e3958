//! The rules of the house, as tests. `support/docs/ARCHITECTURE.md` says why they are as they are; what a rule says when it is
//! broken is what to do about it. What a function may not call at all is in `clippy.toml`.

use axum::http::StatusCode;
use regex::Regex;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// What each module at the top of `src` may use. What it no longer uses has to leave the list, so that the list is the house.
const LAYERS: &[(&str, &[&str])] = &[
    ("main", &["cli"]),
    ("cli", &["app", "config", "domain", "execution", "hardening", "postgres", "secret_key", "settings", "storage", "telemetry"]),
    (
        "app",
        &[
            "actors",
            "agents",
            "api",
            "clock",
            "config",
            "domain",
            "execution",
            "fence",
            "http",
            "machine",
            "mcp",
            "notify",
            "secret_key",
            "service",
            "settings",
            "slack",
            "storage",
            "web",
        ],
    ),
    ("api", &["domain", "http", "identity", "service"]),
    ("agents", &["domain", "http", "identity", "service"]),
    ("web", &["domain", "http", "identity", "service"]),
    ("slack", &["domain", "http", "identity", "service"]),
    ("mcp", &["domain", "http", "identity", "service"]),
    ("http", &["actors", "domain", "identity", "service"]),
    ("service", &["actors", "domain", "identity", "storage", "telemetry"]),
    ("execution", &["actors", "clock", "domain", "hardening", "outbound", "procfs"]),
    ("notify", &["actors", "clock", "domain", "outbound"]),
    ("actors", &["clock", "config", "domain", "fence", "identity", "storage", "telemetry"]),
    ("outbound", &["domain"]),
    ("identity", &["config", "domain", "secret_key", "storage"]),
    ("storage", &["domain", "secret_key"]),
    ("config", &["domain"]),
    ("settings", &["domain"]),
    ("postgres", &["domain"]),
    ("clock", &[]),
    ("fence", &[]),
    ("hardening", &[]),
    ("machine", &["procfs"]),
    ("procfs", &[]),
    ("secret_key", &[]),
    ("telemetry", &[]),
    ("domain", &[]),
];

/// What of the actors each module may see: who uses, and what. The rest of them is nobody's business.
const OF_THE_ACTORS: &[(&str, &[&str])] = &[
    ("http", &["restart::RestartBudget", "restart::RestartPolicy", "restart::Verdict"]),
    (
        "service",
        &[
            "engine::Engine",
            "engine::WorkflowHistory",
            "feed::Listening",
            "feed::News",
            "feed::Told",
            "halting::Drill",
            "halting::DrilledServer",
            "halting::LONGEST_DRILL",
            "ports::Mailer",
            "ports::SignInMail",
            "ports::Undelivered",
            "protocol::AdmittedTask",
            "protocol::CommandOutcome",
            "protocol::Failure",
            "protocol::Submitted",
        ],
    ),
    ("execution", &["ports::CancelSignal", "ports::Executor", "ports::Job", "ports::MayStart", "ports::Work"]),
    ("notify", &["ports::Channel", "ports::Contact", "ports::Mailer", "ports::Notice", "ports::SignInMail", "ports::Undelivered"]),
    (
        "app",
        &["notifier::delivery_worker::Pace", "engine::Engine", "engine::Parts", "root", "root::Root", "root::RootRef", "turns::TurnLimits"],
    ),
];

/// Where each of these crates may be used: the beginnings of paths below `src`.
const HOMES: &[(&str, &[&str])] = &[
    ("sqlx", &["storage/"]),
    ("ractor", &["actors/", "http/server", "app.rs"]),
    ("axum", &["agents/", "api/", "app/router.rs", "http/", "identity/", "mcp/", "slack/", "web/"]),
    ("hyper", &["http/"]),
    ("hyper_util", &["http/"]),
    ("tower_http", &["app/router.rs", "web/"]),
    ("serde_yaml", &["config/"]),
    ("cel", &["domain/risk/expression"]),
    ("chrono_tz", &["config/freezes.rs", "domain/hold/"]),
    ("hmac", &["outbound/", "secret_key.rs", "slack/", "web/"]),
    ("minijinja", &["config/channels.rs", "notify/", "web/"]),
    ("clap", &["cli/", "main.rs", "settings.rs"]),
    ("reqwest", &["cli/", "execution/webhook.rs", "notify/", "outbound/"]),
    ("lettre", &["config/mail_address.rs", "notify/email.rs"]),
    ("nix", &["execution/account.rs"]),
    ("aho_corasick", &["execution/redactions.rs"]),
    ("ureq", &["cli/hook/"]),
    ("rustls_native_certs", &["cli/hook/"]),
    ("rustix", &["execution/", "fence.rs", "hardening.rs", "http/limits.rs", "http/server/", "postgres/", "procfs.rs", "cli/dev_home.rs"]),
    ("rmcp", &["mcp/"]),
    ("prometheus_client", &["actors/metrics.rs"]),
    ("tracing_subscriber", &["telemetry"]),
    ("tree_sitter", &["domain/tools/shell/"]),
    ("tree_sitter_bash", &["domain/tools/shell/"]),
    ("utoipa", &["agents/", "api/", "http/", "mcp/", "slack/"]),
    ("utoipa_axum", &["agents/", "api/", "mcp/", "slack/"]),
];

/// The concepts of the core, one folder each: each uses only those before it, and what stands beside the folders.
const CONCEPTS: [&str; 9] = ["task", "risk", "tools", "hold", "policy", "grant", "request", "workflow", "notice"];

/// All that the core may use besides itself and `std`: nothing here knows a clock, a runtime, a file or the network.
const OF_THE_CORE: &[&str] = &[
    "cel",
    "chrono",
    "chrono_tz",
    "regex",
    "serde",
    "ryu_js",
    "serde_json",
    "sha2",
    "thiserror",
    "tree_sitter",
    "tree_sitter_bash",
    "uuid",
];

/// Lines of a file, beyond which it should be cut along an event, a resource or a type.
const LONGEST_FILE: usize = 400;
/// Those that are longer, each with its reason.
const LONG_FILES: &[(&str, &str)] = &[];

/// Circles of files that stay, each with its reason. What a folder's own file shows of its folder is none.
const CIRCLES: &[(&[&str], &str)] = &[
    (
        &["config/source.rs", "config/value.rs"],
        "a value notes what is wrong with it in the file that it is from; and a file gives its values, beginning with the one at the root",
    ),
    (&["storage/pool.rs", "storage/terms.rs"], "the handle keeps what is known of terms; and terms are read with the handle's time limit"),
];

/// Scripts without a twin of the same name, and what takes the twin's place.
const LONE_SCRIPTS: &[(&str, &str)] = &[("show.ps1", "lib.jq")];

#[test]
fn nothing_points_up() {
    let table: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    let mut used: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for file in sources() {
        let allowed = table.get(file.module.as_str());
        let allowed = allowed.unwrap_or_else(|| panic!("`{}` is not in LAYERS of this test: say there what it may use", file.module));
        for path in file.paths() {
            let (other, _) = path.split_once("::").unwrap_or((&path, ""));
            if other == file.module || other.is_empty() {
                continue;
            }
            assert!(
                allowed.contains(&other),
                "src/{} uses `crate::{path}`, and `{}` may use only {allowed:?}: move what is needed down, into a module that both may \
                 use, or pass it in as an argument or a trait (as actors/ports.rs does)",
                file.name,
                file.module
            );
            used.entry(file.module.clone()).or_default().insert(other.to_owned());
        }
    }
    for (module, allowed) in LAYERS {
        let used = used.remove(*module).unwrap_or_default();
        let idle: Vec<_> = allowed.iter().filter(|other| !used.contains(**other)).collect();
        assert!(idle.is_empty(), "`{module}` no longer uses {idle:?}: take it out of LAYERS of this test, and the house gets simpler");
    }
}

#[test]
fn the_layers_have_no_cycle() {
    let mut left: BTreeMap<&str, &[&str]> = LAYERS.iter().copied().collect();
    while let Some(bottom) = left.iter().find(|(_, uses)| uses.iter().all(|other| !left.contains_key(other))).map(|(module, _)| *module) {
        left.remove(bottom);
    }
    assert!(left.is_empty(), "these modules use each other in a circle: {:?}; one of the edges has to go", left.keys());
}

#[test]
fn no_path_escapes_the_scan() {
    let climbs = Regex::new(r"super::super|(?m)^(pub )?use super::").expect("a pattern");
    for file in sources() {
        let escape = climbs.find(&file.code).filter(|found| found.as_str() == "super::super" || !file.name.contains('/'));
        assert!(
            escape.is_none(),
            "src/{} climbs out of its module with `super`: write the path as `crate::…`, so that the layer shows",
            file.name
        );
    }
}

#[test]
fn the_actors_are_seen_only_through_their_handle() {
    for file in sources().iter().filter(|file| file.module != "actors") {
        let allowed = OF_THE_ACTORS.iter().find(|(module, _)| *module == file.module).map_or(&[][..], |(_, allowed)| allowed);
        for path in file.paths() {
            let Some(item) = path.strip_prefix("actors::") else { continue };
            assert!(
                allowed.contains(&item),
                "src/{} uses `crate::actors::{item}`: outside of the actors only {allowed:?} may be used there. Give `Engine` a method for \
                 it; messages and references of actors stay inside",
                file.name
            );
        }
    }
}

/// A use case gives values of the core and results of its own, so that no way in depends on how something is stored.
#[test]
fn no_row_of_storage_leaves_a_use_case() {
    let shown = Regex::new(r"(?m)^\s*pub (?:async )?(?:fn [^{;]*|use [^;]*|[a-z_]+: [^\n]*)").expect("a pattern");
    let named = Regex::new(r"\w+").expect("a pattern");
    for file in sources().iter().filter(|file| file.module == "service") {
        let paths = file.paths();
        let rows: BTreeSet<&str> =
            paths.iter().filter_map(|path| path.strip_prefix("storage::")).filter(|name| !name.contains("::")).collect();
        for found in shown.find_iter(&file.code).map(|found| found.as_str()) {
            let of_storage = named.find_iter(found).map(|name| name.as_str()).find(|name| rows.contains(name) || *name == "storage");
            assert!(
                of_storage.is_none(),
                "src/{} shows `{}` of storage in `{}`: give the use case a result of its own, as service/results.rs has them",
                file.name,
                of_storage.unwrap_or_default(),
                found.trim()
            );
        }
    }
}

#[test]
fn what_a_client_asks_for_holds_its_permit_to_its_end() {
    let bare = Regex::new(r"\bengine\s*\.(submit|command)\(").expect("a pattern");
    for file in sources().iter().filter(|file| ["agents", "api", "http", "service", "slack", "web"].contains(&file.module.as_str())) {
        assert!(
            !bare.is_match(&file.code),
            "src/{} calls the engine without a permit: use `submit_for` or `command_for`, which hold it until the work is done, \
             whether or not the client stays",
            file.name
        );
    }
}

#[test]
fn every_crate_has_its_home() {
    let dependencies = dependencies();
    for (name, homes) in HOMES {
        assert!(dependencies.contains(*name), "`{name}` is no dependency any more: take it out of HOMES of this test");
        for file in sources().iter().filter(|file| file.uses_crate(name)) {
            assert!(
                homes.iter().any(|home| file.name.starts_with(home)),
                "src/{} uses `{name}`, which belongs into {homes:?} alone: put it behind a function there",
                file.name
            );
        }
    }
    for file in sources().iter().filter(|file| file.module == "domain") {
        for name in dependencies.iter().filter(|name| file.uses_crate(name)) {
            assert!(
                OF_THE_CORE.contains(&name.as_str()),
                "src/{} uses `{name}`: the core is pure and uses only {OF_THE_CORE:?}; take the value as an argument",
                file.name
            );
        }
    }
}

#[test]
fn a_concept_of_the_core_uses_only_those_before_it() {
    let place = |name: &str| CONCEPTS.iter().position(|concept| *concept == name);
    for file in sources().iter().filter(|file| file.module == "domain" && !file.name.contains("tests")) {
        let concept = file.name.split('/').nth(1).unwrap_or_default();
        let own = place(concept);
        assert!(own.is_some() || concept.ends_with(".rs") || concept == "text", "src/domain/{concept} is new: add it to CONCEPTS");
        for path in file.paths() {
            let used = path.strip_prefix("domain::").and_then(|path| place(path.split("::").next().unwrap_or_default()));
            assert!(
                used.is_none() || used <= own,
                "src/{} uses `crate::{path}`, and the core goes {CONCEPTS:?}: move what both use into the earlier one",
                file.name
            );
        }
    }
}

#[test]
fn the_core_asks_nobody() {
    let world = Regex::new(r"\bstd::(env|fs|net|process|os|io)\b|\bInstant\b|\basync fn\b").expect("a pattern");
    for file in sources().iter().filter(|file| file.module == "domain") {
        if let Some(found) = world.find(&file.code) {
            panic!(
                "src/{} uses `{}`: the core knows no clock, file, network or runtime; take the value as an argument",
                file.name,
                found.as_str()
            );
        }
    }
}

#[test]
fn files_are_short() {
    for file in sources() {
        let lines = file.text.lines().count();
        let known = LONG_FILES.iter().any(|(name, _)| *name == file.name);
        assert!(
            lines <= LONGEST_FILE || known,
            "src/{} has {lines} lines, more than {LONGEST_FILE}: cut it along an event, a resource or a type; if it is one thing that is \
             read as a whole, add it to LONG_FILES of this test with the reason",
            file.name
        );
        assert!(lines > LONGEST_FILE || !known, "src/{} has only {lines} lines by now: take it out of LONG_FILES of this test", file.name);
    }
    for (name, _) in LONG_FILES {
        assert!(sources().iter().any(|file| file.name == *name), "src/{name} is gone: take it out of LONG_FILES of this test");
    }
}

#[test]
fn files_have_no_circle_but_those_with_a_reason() {
    let uses = uses_of_files();
    let reached: BTreeMap<&str, BTreeSet<&str>> = uses.keys().map(|file| (*file, reached_from(file, &uses))).collect();
    let circles: BTreeSet<Vec<&str>> = reached
        .iter()
        .filter(|(file, others)| others.contains(*file))
        .map(|(file, others)| others.iter().copied().filter(|other| reached[other].contains(file)).collect())
        .collect();
    let known: BTreeSet<Vec<&str>> = CIRCLES.iter().map(|(files, _)| files.to_vec()).collect();
    let new: Vec<_> = circles.difference(&known).collect();
    assert!(
        new.is_empty(),
        "these files use each other in a circle: {new:?}. Move what both need into a file that uses neither, or pass it in; if it has to \
         stay, add it to CIRCLES of this test and to ARCHITECTURE.md, with the reason"
    );
    let gone: Vec<_> = known.difference(&circles).collect();
    assert!(gone.is_empty(), "{gone:?} is a circle no longer: take it out of CIRCLES of this test and out of ARCHITECTURE.md");
    let page = read("support/docs/ARCHITECTURE.md");
    for (files, _) in CIRCLES {
        for file in *files {
            assert!(page.contains(&format!("`{file}`")), "ARCHITECTURE.md, \"What is left\", has to name the circle of {files:?}");
        }
    }
}

/// Which files each file uses. What a folder's own file shows of the files in its folder does not count: that is what it is for.
fn uses_of_files() -> BTreeMap<&'static str, BTreeSet<&'static str>> {
    let files: BTreeMap<Vec<&str>, &str> = sources().iter().map(|file| (module_of(&file.name), file.name.as_str())).collect();
    let mut uses = BTreeMap::new();
    for file in sources().iter().filter(|file| !file.name.contains("tests")) {
        let module = module_of(&file.name);
        let used: BTreeSet<&str> = file
            .paths_of_its_own()
            .iter()
            .filter_map(|path| {
                let path: Vec<&str> = path.split("::").collect();
                (1..=path.len()).rev().find_map(|length| files.get(&path[..length])).copied()
            })
            .filter(|used| *used != file.name && !module_of(used).starts_with(&module))
            .collect();
        uses.insert(file.name.as_str(), used);
    }
    uses
}

/// The module of a file, as the names that lead to it.
fn module_of(file: &str) -> Vec<&str> {
    let mut module: Vec<&str> = file.trim_end_matches(".rs").split('/').collect();
    if matches!(module.last(), Some(&("mod" | "lib" | "main"))) {
        module.pop();
    }
    module
}

fn reached_from<'a>(file: &str, uses: &BTreeMap<&'a str, BTreeSet<&'a str>>) -> BTreeSet<&'a str> {
    let mut reached = BTreeSet::new();
    let mut left: Vec<&str> = uses[file].iter().copied().collect();
    while let Some(next) = left.pop() {
        if reached.insert(next) {
            left.extend(uses.get(next).into_iter().flatten());
        }
    }
    reached
}

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

/// What lets bodies in is `http::body::receive`, so that every one is held to the same limits and read as strictly.
#[test]
fn only_extractors_take_bodies() {
    let function = Regex::new(r"async fn ([a-z_]+)(?:<[^(]*>)?\(([^{;]*)\)").expect("a pattern");
    let taken = Regex::new(r"\b(Request|Json|Form|RawForm|Body|Bytes|Multipart)\b").expect("a pattern");
    for file in sources()
        .iter()
        .filter(|file| ["agents", "api", "slack", "web"].contains(&file.module.as_str()) && !file.name.ends_with("tests.rs"))
    {
        for found in function.captures_iter(&file.code).filter(|found| !["from_request", "from_body"].contains(&&found[1])) {
            // What stands between the router and a handler passes bodies on.
            assert!(
                !taken.is_match(&found[2]) || found[2].contains("next: Next"),
                "`{}` in src/{} takes a body as it came: take an extractor that uses `http::body::receive`, as `http::sent::Sent` does",
                &found[1],
                file.name
            );
        }
        let reads = file.code.matches("body::receive").count();
        let extractors = file.code.matches("async fn from_request(").count();
        assert!(reads <= extractors, "src/{} receives a body outside of an extractor: let a `FromRequest` do it", file.name);
    }
}

/// What is not a page for people describes itself: a route with a description makes its place in the document with it.
#[test]
fn only_pages_are_served_without_a_description() {
    let undescribed = Regex::new(r#"\.route\(\s*""#).expect("a pattern");
    for file in sources().iter().filter(|file| file.module != "web" && !file.name.ends_with("tests.rs")) {
        assert!(
            !undescribed.is_match(&file.text),
            "src/{} serves something that does not describe itself: use `.routes(routes!(…))` with a handler that has `#[utoipa::path]`",
            file.name
        );
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
fn operators_are_told_every_setting_and_metric() {
    let page = read("support/docs/OPERATIONS.md");
    let settings = Regex::new(r#"env = "(PARKBRAKE_[A-Z_]+)""#).expect("a pattern");
    for found in settings.captures_iter(&read("src/settings.rs")) {
        assert!(
            page.contains(&format!("`{}`", &found[1])),
            "src/settings.rs has `{}`: add it to the settings of support/docs/OPERATIONS.md",
            &found[1]
        );
    }
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
        // Roles and databases of the page's examples are no metrics.
        assert!(
            known || base == "parkbrake_owner",
            "support/docs/OPERATIONS.md names the metric `{base}`, which nothing counts: take it out"
        );
    }
}

/// What a file is for stands at its top, so that the code map needs a line for each room only.
#[test]
fn every_file_begins_with_what_it_is_for() {
    let said = Regex::new(r"^//! \S[^\n]{9,}").expect("a pattern");
    for file in sources().iter().filter(|file| !file.name.ends_with("tests.rs")) {
        assert!(said.is_match(&file.text), "src/{} does not begin with `//!` and what it is for", file.name);
    }
}

#[test]
fn the_code_map_has_every_room() {
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

/// The page is for whoever begins; what it would say beyond this stands in the files.
#[test]
fn the_page_about_the_house_is_short() {
    let words = read("support/docs/ARCHITECTURE.md").split_whitespace().count();
    assert!(words <= 5_300, "support/docs/ARCHITECTURE.md has {words} words: let the headers of the files say what is theirs");
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

#[test]
fn links_of_the_documents_lead_somewhere() {
    let link = Regex::new(r"\]\(([^)\s]+)\)").expect("a pattern");
    let mut documents: Vec<PathBuf> = files(&root().join("support/docs"), "md");
    documents.extend(["README.md"].map(|name| root().join(name)).into_iter().filter(|path| path.exists()));
    for document in documents {
        let text = without_code(&fs::read_to_string(&document).expect("a document"));
        let name = document.strip_prefix(root()).expect("below the root").display().to_string();
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

/// One file of `src`.
struct Source {
    /// Its path below `src`.
    name: String,
    /// The module at the top that it belongs to.
    module: String,
    text: String,
    /// The text without comments and without what stands in quotes.
    code: String,
    /// The names that paths begin with.
    starts: BTreeSet<String>,
}

impl Source {
    /// The paths below `crate::` (in `main.rs`: below `parkbrake::`) that it names, with lists in braces written out.
    fn paths(&self) -> Vec<String> {
        static ROOT: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(crate|parkbrake)::").expect("a pattern"));
        ROOT.find_iter(&self.code).flat_map(|found| expanded(&self.code[found.end()..]).0).collect()
    }

    /// The same without its tests, and with the paths that go up from its module.
    fn paths_of_its_own(&self) -> Vec<String> {
        static UP: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(crate|parkbrake|super)::").expect("a pattern"));
        let code = self.code.split("#[cfg(test)]").next().unwrap_or_default();
        let module = module_of(&self.name);
        let above = module.split_last().map_or_else(String::new, |(_, above)| above.iter().map(|name| format!("{name}::")).collect());
        let written = |found: regex::Match<'_>| {
            let above = if found.as_str() == "super::" { above.as_str() } else { "" };
            expanded(&code[found.end()..]).0.into_iter().map(move |path| format!("{above}{path}")).collect::<Vec<_>>()
        };
        UP.find_iter(code).flat_map(written).collect()
    }

    /// Whether it names a crate at the start of a path.
    fn uses_crate(&self, name: &str) -> bool {
        self.starts.contains(name)
    }
}

/// The paths of a use tree at the start of a text (`a::{b, c::d}` gives `a::b` and `a::c::d`), and what stands after it.
fn expanded(text: &str) -> (Vec<String>, &str) {
    let text = text.trim_start();
    if let Some(mut rest) = text.strip_prefix('{') {
        let mut paths = Vec::new();
        loop {
            rest = rest.trim_start();
            if let Some(rest) = rest.strip_prefix('}') {
                return (paths, rest);
            }
            let (more, after) = expanded(rest);
            paths.extend(more);
            let after = after.trim_start();
            // An alias, if there is one, is passed over.
            rest = after.find([',', '}']).map_or("", |end| after[end..].strip_prefix(',').unwrap_or(&after[end..]));
            if rest.is_empty() {
                return (paths, rest);
            }
        }
    }
    let end = text.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(text.len());
    let (name, rest) = text.split_at(end);
    match rest.strip_prefix("::") {
        // `Type::<…>::function` and globs end the path.
        Some(rest) if rest.starts_with(|letter: char| letter.is_alphabetic() || letter == '_' || letter == '{') => {
            let (paths, rest) = expanded(rest);
            let joined = |path: String| if path == "self" { name.to_owned() } else { format!("{name}::{path}") };
            let starts_upper = name.starts_with(char::is_uppercase);
            // What belongs to a type is the type's.
            (if starts_upper { vec![name.to_owned()] } else { paths.into_iter().map(joined).collect() }, rest)
        }
        _ => (vec![name.to_owned()], rest),
    }
}

/// Every file of `src`, read once for all tests; `lib.rs` only lists the modules.
fn sources() -> &'static [Source] {
    static SOURCES: LazyLock<Vec<Source>> = LazyLock::new(scan);
    &SOURCES
}

fn scan() -> Vec<Source> {
    let src = root().join("src");
    let start = Regex::new(r"(?:^|[^:\w])([a-z_0-9]+)::|\b(?:use|extern crate) ([a-z_0-9]+)\b").expect("a pattern");
    let source = |path: PathBuf| {
        let name = path.strip_prefix(&src).expect("below src").to_str().expect("a name").replace('\\', "/");
        let module = name.split('/').next().unwrap_or_default().trim_end_matches(".rs").to_owned();
        let text = fs::read_to_string(&path).expect("a source");
        let code = code_of(&text);
        let found = start.captures_iter(&code).filter_map(|found| found.get(1).or(found.get(2)));
        let starts = found.map(|found| found.as_str().to_owned()).collect();
        Source { name, module, text, starts, code }
    };
    let sources: Vec<Source> = files(&src, "rs").into_iter().map(source).filter(|source| source.name != "lib.rs").collect();
    assert!(sources.len() > 50, "the scan finds the sources");
    sources
}

/// The codes of the API with their statuses, as `Code::facts` writes them.
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
fn number(name: &str) -> u16 {
    let named =
        |status: &StatusCode| status.canonical_reason().is_some_and(|reason| reason.to_uppercase().replace([' ', '-'], "_") == name);
    let all = (400..600).filter_map(|number| StatusCode::from_u16(number).ok());
    all.into_iter().find(named).unwrap_or_else(|| panic!("{name} is no status")).as_u16()
}

/// The dependencies of the program, as the source spells them.
fn dependencies() -> BTreeSet<String> {
    let manifest = read("Cargo.toml");
    let (_, section) = manifest.split_once("\n[dependencies]\n").expect("dependencies");
    let section = section.split("\n[").next().unwrap_or_default();
    section.lines().filter_map(|line| line.split_once(" = ")).map(|(name, _)| name.trim().replace('-', "_")).collect()
}

/// The anchors of a document's headings, as they are made where it is read.
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

/// A document without what stands in code, where brackets mean something else.
fn without_code(text: &str) -> String {
    let mut fenced = false;
    let mut prose = String::new();
    for line in text.lines() {
        if line.starts_with("```") {
            fenced = !fenced;
        } else if !fenced {
            let _ = writeln!(prose, "{line}");
        }
    }
    prose
}

/// A source without comments and without the contents of text in quotes, so that neither is taken for code.
fn code_of(text: &str) -> String {
    static SKIPPED: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(concat!(
            r"(?s)//[^\n]*|/\*.*?\*/",                 // comments
            r##"|\bb?r(#+)".*?"(#+)"##,                // raw text; the hashes are taken to fit
            r#"|\bb?r"[^"]*"|"(?:[^"\\]|\\.)*""#,      // text
            r"|'(?:[^'\\\n]|\\(?:x..|u\{[^}]*\}|.))'"  // one character; a lifetime has no second quote
        ))
        .expect("a pattern")
    });
    SKIPPED.replace_all(text, " ").into_owned()
}

fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.expect("an entry").path()).collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|found| found == extension) {
            found.push(path);
        }
    }
    found
}

#[track_caller]
fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What is missing is listed once, in README.md, so that no list can contradict another.
#[test]
fn only_the_readme_says_what_is_missing() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("support/docs");
    let pages =
        fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.extension().is_some_and(|end| end == "md"));
    for page in pages {
        let text = fs::read_to_string(&page).unwrap();
        assert!(!text.contains("there yet"), "{} says that something is not there yet: say it in README.md alone", page.display());
    }
    assert!(read("README.md").contains("## What is not there yet"));
}

/// SECURITY.md names the tests that prove what it says; each of them exists.
/// `tests/README.md` names each test with its module: the file or the folder that it stands in.
#[test]
fn every_test_that_the_table_of_faults_names_stands_in_its_module() {
    let page = read("tests/README.md");
    let names = Regex::new("`([a-z0-9_]+)::([a-z0-9_]+)`").unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let sources: Vec<(PathBuf, String)> = ["src", "tests"].iter().flat_map(|folder| rust_sources(&root.join(folder))).collect();
    let stands = |module: &str, name: &str| {
        sources.iter().any(|(path, text)| {
            let place = path.strip_prefix(root).unwrap().with_extension("");
            place.iter().any(|part| part == module) && text.contains(&format!("fn {name}("))
        })
    };
    let named: Vec<_> = names.captures_iter(&page).map(|found| (found[1].to_owned(), found[2].to_owned())).collect();
    let missing: Vec<_> = named.iter().filter(|(module, name)| !stands(module, name)).collect();
    assert!(named.len() > 50 && missing.is_empty(), "tests/README.md names tests that are not there: {missing:?}");
}

#[test]
fn every_test_that_security_names_exists() {
    let page = read("SECURITY.md");
    let names = Regex::new("`([a-z0-9]+(?:_[a-z0-9]+){3,})`").unwrap();
    let sources: String =
        ["src", "tests"].iter().flat_map(|folder| rust_files(&Path::new(env!("CARGO_MANIFEST_DIR")).join(folder))).collect();
    let missing: Vec<_> =
        names.captures_iter(&page).map(|found| found[1].to_owned()).filter(|name| !sources.contains(&format!("fn {name}("))).collect();
    assert!(missing.is_empty(), "SECURITY.md names tests that do not exist: {missing:?}");
}

/// The text of every Rust file below a folder.
fn rust_files(folder: &Path) -> Vec<String> {
    rust_sources(folder).into_iter().map(|(_, text)| text).collect()
}

fn rust_sources(folder: &Path) -> Vec<(PathBuf, String)> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .flat_map(|path| match path.extension() {
            _ if path.is_dir() => rust_sources(&path),
            Some(end) if end == "rs" => vec![(path.clone(), fs::read_to_string(&path).unwrap())],
            _ => Vec::new(),
        })
        .collect()
}
