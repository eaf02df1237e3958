//! A Terraform plan as people read it before they decide: what is destroyed comes first.

use super::word;
use crate::cli::facts::{list, number, text};
use crate::cli::terminal::{BOLD, Page, Style};
use crate::domain::task::terraform::Counts;
use crate::domain::text::escaped;
use serde_json::Value;

/// The Terraform plan that a task shows.
pub fn plan(page: &mut Page, task: &Value) {
    let Some(summary) = task.pointer("/evidence/summary") else { return };
    let counts = serde_json::from_value::<Counts>(summary["counts"].clone()).unwrap_or_default();
    let style = if counts.destroys() { Style::of("high") } else { BOLD };
    let workspace = text(summary, "/workspace").map(|name| format!(" (workspace {})", escaped(name))).unwrap_or_default();
    let line = page.paint(style, &counts.to_string());
    page.fact("terraform", format!("{line}{workspace}"));
    for change in list(summary, "/changes") {
        one(page, change);
    }
    left_out(page, summary, "/unlisted", "more changes");
    for output in list(summary, "/outputs") {
        attribute(page, "output ", output);
    }
    left_out(page, summary, "/unlisted_outputs", "more outputs");
    if summary["is_partial"] == true {
        page.fact("", "this plan is partial: another one has to follow");
    }
}

fn one(page: &mut Page, change: &Value) {
    let act = text(change, "/act").unwrap_or("?");
    let style = match act {
        "delete" | "replace" => Style::of("critical"),
        "forget" | "update" | "invoke" => Style::of("medium"),
        _ => Style::of("low"),
    };
    let mut line = format!("{} {}", page.paint(style, &format!("{:<7}", escaped(act))), page.paint(BOLD, &word(change, "/address", "?")));
    for (before, pointer) in [(", deposed object ", "/deposed"), (", until now ", "/previous_address"), (": ", "/reason")] {
        if let Some(said) = text(change, pointer) {
            line.push_str(&format!("{before}{}", escaped(said)));
        }
    }
    if change["is_imported"] == true {
        line.push_str(" (imported)");
    }
    page.fact("", line);
    for changed in list(change, "/attributes") {
        attribute(page, "  ", changed);
    }
    left_out(page, change, "/unlisted", "more attributes");
}

fn attribute(page: &mut Page, indent: &str, attribute: &Value) {
    let path = word(attribute, "/path", "?");
    let line = match (text(attribute, "/before"), text(attribute, "/after")) {
        (Some(before), Some(after)) => format!("{path}: {} -> {}", escaped(before), escaped(after)),
        (Some(before), None) => format!("{path}: {}", escaped(before)),
        (None, after) => format!("{path} = {}", after.map(escaped).unwrap_or_default()),
    };
    let forces = if attribute["forces_replacement"] == true { " (forces the replacement)" } else { "" };
    page.fact("", format!("{indent}{line}{forces}"));
}

fn left_out(page: &mut Page, of: &Value, pointer: &str, what: &str) {
    if let Some(more) = number(of, pointer).filter(|more| *more > 0) {
        page.fact("", format!("  and {more} {what}"));
    }
}
