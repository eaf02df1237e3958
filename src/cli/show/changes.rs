//! The differences between two documents, for people.

use super::{WARNING, word};
use crate::cli::facts::{list, number, text};
use crate::cli::terminal::{Page, Style};
use crate::domain::text::escaped;
use serde_json::Value;

/// The fields that differ, one per line, and how many are left out.
pub fn changes(page: &mut Page, of: &Value) {
    for one in list(of, "/differences") {
        let value = |pointer| text(one, pointer).map_or_else(|| "(nothing)".to_owned(), escaped);
        page.fact("", format!("{}: {} -> {}", word(one, "/pointer", "?"), value("/before"), value("/after")));
    }
    if let Some(more) = number(of, "/differences_left_out").filter(|more| *more > 0) {
        page.fact("", format!("and {more} more fields"));
    }
}

/// Why people are asked about a different document than before, and the differences.
pub fn renewed(page: &mut Page, workflow: &Value) {
    let Some(changed) = workflow.pointer("/approval/changed").filter(|changed| changed.is_object()) else { return };
    let reason = page.paint(Style::of(WARNING), &word(changed, "/reason", "?"));
    page.fact("asked again", reason);
    changes(page, changed);
}
