//! The architecture rules, as tests. `support/docs/ARCHITECTURE.md` explains them; the message of a
//! broken rule says what to do. `clippy.toml` lists the functions that may not be called at all.

#[path = "architecture/circles.rs"]
mod circles;
#[path = "architecture/documents.rs"]
mod documents;
#[path = "architecture/form.rs"]
mod form;
#[path = "architecture/habits.rs"]
mod habits;
#[path = "support/pages.rs"]
mod pages;
#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/width.rs"]
mod width;

use regex::Regex;
use source::{dependencies, sources};
use std::collections::{BTreeMap, BTreeSet};

/// What each module at the top of `src` may use. A dependency that is no longer used has to be
/// removed from the list, so that the list is accurate.
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
            "github",
            "http",
            "machine",
            "mcp",
            "notify",
            "openid",
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
    ("github", &["domain", "http", "identity", "service"]),
    ("mcp", &["domain", "http", "identity", "service"]),
    ("http", &["actors", "domain", "identity", "service"]),
    ("service", &["actors", "domain", "identity", "openid", "storage", "telemetry"]),
    ("execution", &["actors", "clock", "domain", "hardening", "outbound", "procfs"]),
    ("notify", &["actors", "clock", "domain", "outbound"]),
    ("actors", &["clock", "config", "domain", "fence", "identity", "storage", "telemetry"]),
    ("openid", &["clock", "domain", "outbound"]),
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

/// The parts of the actors that each module may see: the user, and the parts. The rest is private
/// to the actors.
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
            "ports::Subscribing",
            "ports::Undelivered",
            "protocol::AdmittedTask",
            "protocol::CommandOutcome",
            "protocol::Failure",
            "protocol::Submitted",
        ],
    ),
    ("execution", &["ports::CancelSignal", "ports::Executor", "ports::Job", "ports::MayStart", "ports::Work"]),
    (
        "notify",
        &[
            "ports::Channel",
            "ports::Contact",
            "ports::Mailer",
            "ports::Notice",
            "ports::SignInMail",
            "ports::Subscribing",
            "ports::Subscriptions",
            "ports::Undelivered",
        ],
    ),
    (
        "app",
        &[
            "notifier::delivery_worker::Pace",
            "engine::Engine",
            "engine::Parts",
            "ports::Subscriptions",
            "root",
            "root::Root",
            "root::RootRef",
            "turns::TurnLimits",
        ],
    ),
];

/// Where each of these crates may be used: prefixes of paths below `src`.
const HOMES: &[(&str, &[&str])] = &[
    ("sqlx", &["storage/"]),
    ("ractor", &["actors/", "http/server", "app.rs"]),
    ("axum", &["agents/", "api/", "app/router.rs", "github/", "http/", "identity/", "mcp/", "slack/", "web/"]),
    ("hyper", &["http/"]),
    ("hyper_util", &["http/"]),
    ("tower_http", &["app/router.rs", "http/compression.rs", "web/"]),
    ("serde_yaml", &["config/"]),
    ("cel", &["domain/risk/expression"]),
    ("chrono_tz", &["config/freezes.rs", "domain/hours.rs", "domain/hold/"]),
    ("hmac", &["http/signature.rs", "outbound/", "secret_key.rs", "web/"]),
    ("ring", &["outbound/"]),
    ("minijinja", &["config/channels.rs", "notify/", "web/"]),
    ("clap", &["cli/", "main.rs", "settings.rs"]),
    ("reqwest", &["cli/", "execution/webhook.rs", "notify/", "openid/", "outbound/"]),
    ("openidconnect", &["openid/"]),
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
    ("utoipa", &["agents/", "api/", "github/", "http/", "mcp/", "slack/"]),
    ("utoipa_axum", &["agents/", "api/", "github/", "mcp/", "slack/"]),
];

/// The concepts of the core, one folder each: each uses only those before it, and the files beside
/// the folders.
const CONCEPTS: [&str; 9] = ["task", "risk", "tools", "hold", "policy", "grant", "request", "workflow", "notice"];

/// What the core may use in addition to itself and `std`: it knows no clock, no runtime, no file
/// and no network.
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

#[test]
fn no_module_uses_a_layer_above_it() {
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
        assert!(
            idle.is_empty(),
            "`{module}` no longer uses {idle:?}: take it out of LAYERS of this test, and the architecture gets simpler"
        );
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

/// A use case returns values of the core and its own results, so that no way in depends on how
/// something is stored.
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
fn client_work_holds_its_permit_until_it_ends() {
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
    let position = |name: &str| CONCEPTS.iter().position(|concept| *concept == name);
    for file in sources().iter().filter(|file| file.module == "domain" && !file.name.contains("tests")) {
        let concept = file.name.split('/').nth(1).unwrap_or_default();
        let own = position(concept);
        assert!(own.is_some() || concept.ends_with(".rs") || concept == "text", "src/domain/{concept} is new: add it to CONCEPTS");
        for path in file.paths() {
            let used = path.strip_prefix("domain::").and_then(|path| position(path.split("::").next().unwrap_or_default()));
            assert!(
                used.is_none() || used <= own,
                "src/{} uses `crate::{path}`, and the core goes {CONCEPTS:?}: move what both use into the earlier one",
                file.name
            );
        }
    }
}

#[test]
fn the_core_does_no_input_or_output() {
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

/// Only `http::body::receive` reads bodies, so that every body has the same limits and is parsed as
/// strictly.
#[test]
fn only_extractors_take_bodies() {
    let function = Regex::new(r"async fn ([a-z_]+)(?:<[^(]*>)?\(([^{;]*)\)").expect("a pattern");
    let taken = Regex::new(r"\b(Request|Json|Form|RawForm|Body|Bytes|Multipart)\b").expect("a pattern");
    for file in sources()
        .iter()
        .filter(|file| ["agents", "api", "slack", "web"].contains(&file.module.as_str()) && !file.name.ends_with("tests.rs"))
    {
        for found in function.captures_iter(&file.code).filter(|found| !["from_request", "from_body"].contains(&&found[1])) {
            // Middleware between the router and a handler passes bodies on.
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

/// Every route that is not a page for people is documented: its annotation puts it into the OpenAPI
/// document.
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
