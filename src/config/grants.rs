//! `grants` of `hitl/approval-policies.yaml`: which standing grants people may give.

use crate::config::value::At;
use crate::domain::duration;
use crate::domain::grant::GrantLimits;
use crate::domain::risk::level::Level;
use serde_json::{Value, json};

const KEYS: [&str; 4] = ["levels", "longest", "most_uses", "propose_after"];

/// The limits as written, with defaults for what is left out.
pub fn read(at: &At<'_>) -> GrantLimits {
    let usual = GrantLimits::default();
    let Some(fields) = at.fields(&KEYS) else { return usual };
    if at.is_empty() {
        at.problem("says nothing; write levels, longest, most_uses or propose_after, or leave it out");
    }
    let number = |name: &str| fields.get(name).and_then(|at| at.count());
    GrantLimits {
        levels: fields.get("levels").and_then(|at| levels(&at)).unwrap_or(usual.levels),
        longest: fields.get("longest").and_then(|at| at.duration()).unwrap_or(usual.longest),
        most_uses: number("most_uses").unwrap_or(usual.most_uses),
        propose_after: number("propose_after").unwrap_or(usual.propose_after),
    }
}

/// An empty list means no level: then nobody can give grants.
fn levels(at: &At<'_>) -> Option<Vec<Level>> {
    let mut levels = Vec::new();
    for item in at.items("levels, such as [low, medium]")? {
        match item.level() {
            Some(Level::Critical) => item.problem("is critical, which is never granted: each request is decided on its own"),
            Some(level) if levels.contains(&level) => item.problem("appears twice; keep one"),
            Some(level) => levels.push(level),
            None => {}
        }
    }
    levels.sort_unstable();
    Some(levels)
}

/// The values; none if they are the defaults, so that configurations from before grants or
/// proposals existed keep their version.
pub fn document(limits: &GrantLimits) -> Option<Value> {
    let usual = GrantLimits::default();
    let GrantLimits { levels, longest, most_uses, propose_after } = limits;
    let written = || {
        let mut written = json!({ "levels": levels, "longest": duration::show(*longest).to_string(), "most_uses": most_uses });
        if *propose_after != usual.propose_after {
            written["propose_after"] = json!(propose_after);
        }
        written
    };
    (*limits != usual).then(written)
}
