//! The differences between the approved plan and another one, in words.

use super::{Attribute, Change, Summary};
use crate::domain::text::{escaped, shown};
use std::collections::BTreeMap;

/// The most differences that are listed.
const MOST: usize = 20;

/// The differences in what people were shown; empty if only other parts differ.
pub fn differences(approved: &Summary, now: &Summary) -> Vec<String> {
    let mut found = Vec::new();
    let mut differs = |what: &str, approved: &Option<String>, now: &Option<String>| {
        if approved != now {
            found.push(format!("{what}: approved was {}, this is {}", side(approved.as_ref()), side(now.as_ref())));
        }
    };
    differs("the version of Terraform", &approved.terraform_version, &now.terraform_version);
    let serial = |summary: &Summary| summary.state.as_ref().and_then(|state| state.serial).map(|serial| serial.to_string());
    let lineage = |summary: &Summary| summary.state.as_ref().and_then(|state| state.lineage.clone());
    differs("the serial of the state", &serial(approved), &serial(now));
    differs("the lineage of the state", &lineage(approved), &lineage(now));
    if approved.counts != now.counts {
        found.push(format!("the counts: approved was \"{}\", this is \"{}\"", approved.counts, now.counts));
    }
    changes(approved, now, &mut found);
    attributes("output ", &approved.outputs, &now.outputs, &mut found);
    let more = found.len().saturating_sub(MOST);
    found.truncate(MOST);
    found.extend((more > 0).then(|| format!("and {more} more differences")));
    found
}

fn changes(approved: &Summary, now: &Summary, found: &mut Vec<String>) {
    let by_name = |summary: &'_ Summary| summary.changes.iter().map(|change| (change.name(), change.clone())).collect::<BTreeMap<_, _>>();
    let (before, after) = (by_name(approved), by_name(now));
    for (name, change) in &before {
        match after.get(name) {
            // If a list is cut, a missing entry may be beyond the cut.
            None if now.unlisted > 0 => {}
            None => found.push(format!("{}: approved was to {} it, this plan leaves it as it is", escaped(name), change.act.as_str())),
            Some(other) => one(name, change, other, found),
        }
    }
    let added = after.iter().filter(|(name, _)| !before.contains_key(*name) && approved.unlisted == 0);
    found.extend(
        added.map(|(name, change)| format!("{}: this plan is to {} it, which nobody approved", escaped(name), change.act.as_str())),
    );
}

fn one(name: &str, approved: &Change, now: &Change, found: &mut Vec<String>) {
    if approved.act != now.act {
        found.push(format!("{}: approved was to {} it, this plan is to {} it", escaped(name), approved.act.as_str(), now.act.as_str()));
    } else {
        attributes(&format!("{}: ", escaped(name)), &approved.attributes, &now.attributes, found);
    }
}

fn attributes(of: &str, approved: &[Attribute], now: &[Attribute], found: &mut Vec<String>) {
    let by_path = |list: &'_ [Attribute]| {
        list.iter().map(|one| (one.path.clone(), (one.before.clone(), one.after.clone()))).collect::<BTreeMap<_, _>>()
    };
    let (before, after) = (by_path(approved), by_path(now));
    let paths: std::collections::BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    for path in paths.into_iter().filter(|path| before.get(*path) != after.get(*path)) {
        let change = |side: Option<&(Option<String>, Option<String>)>| match side {
            None => "unchanged".to_owned(),
            Some((before, after)) => format!("{} -> {}", self::side(before.as_ref()), self::side(after.as_ref())),
        };
        found.push(format!("{of}{}: approved was {}, this is {}", escaped(path), change(before.get(path)), change(after.get(path))));
    }
}

fn side(value: Option<&String>) -> String {
    value.map_or_else(|| "nothing".to_owned(), |value| shown(value))
}
