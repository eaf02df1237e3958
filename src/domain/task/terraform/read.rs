//! Parses a plan as `terraform show -json` and `tofu show -json` write it. The fields that are used
//! are parsed strictly; unknown fields are ignored.

use super::leaves::{Leaf, Leaves, add_unknown, gather, is_within, path_of};
use super::sensitive::{Marks, Secrets, holds_true, is_named_secret};
use super::{
    Act, Attribute, Change, LONGEST_NAME, MOST_ATTRIBUTES, MOST_ATTRIBUTES_OF_ONE, MOST_CHANGES, MOST_OUTPUTS, MOST_TYPES, Plan, State,
    Summary, contents,
};
use crate::domain::text::shown;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The most changes in a plan that is accepted.
const MOST_READ: usize = 100_000;
/// The most characters of a value that is only a name: a version, a reason, a lineage.
const LONGEST_WORD: usize = 128;
/// The attributes by which people recognize a destroyed resource.
const NAMING: [&str; 8] = ["id", "name", "arn", "identifier", "bucket", "tags.Name", "project", "region"];

/// Why a plan is not readable, and where (a JSON Pointer).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{pointer}{separator}{detail}", separator = if .pointer.is_empty() { "" } else { " " })]
pub struct Unreadable {
    pub pointer: String,
    pub detail: String,
}

fn unreadable<T>(pointer: impl Into<String>, detail: impl Into<String>) -> Result<T, Unreadable> {
    Err(Unreadable { pointer: pointer.into(), detail: detail.into() })
}

/// The change of a resource: its kind, the fields of the entry, and its `change` object.
type Happening<'p> = (Act, &'p Map<String, Value>, &'p Map<String, Value>);

/// Parses a plan. The workspace comes from the requester.
///
/// # Errors
/// The fault of the plan. The text contains no value from the plan.
pub fn read(plan: &Value, workspace: Option<String>) -> Result<Plan, Unreadable> {
    let plan = object(plan, "")?;
    check_kind(plan)?;
    let secrets = Secrets::of(plan);
    let mut summary = Summary {
        terraform_version: word(plan, "", "terraform_version")?,
        workspace,
        state: state(plan)?,
        is_partial: plan.get("complete") == Some(&Value::Bool(false)),
        ..Summary::default()
    };
    let (mut types, mut destroyed) = (BTreeSet::new(), BTreeSet::new());
    let mut changing = Vec::new();
    let mut resources: Vec<Happening<'_>> = Vec::new();
    for (index, resource) in list(plan, "", "resource_changes")?.iter().enumerate() {
        let at = format!("/resource_changes/{index}");
        let fields = object(resource, &at)?;
        let change = member(fields, &at, "change")?;
        let is_moved = fields.get("previous_address").is_some_and(|previous| Some(previous) != fields.get("address"));
        let is_imported = change.get("importing").is_some_and(|importing| !importing.is_null());
        let (kind, _) = (text(fields, &at, "type")?, text(fields, &at, "address")?);
        let Some(act) = act(change, &at)?.or((is_moved || is_imported).then_some(Act::Adopt)) else { continue };
        summary.counts.count(act);
        summary.counts.moves += u64::from(is_moved);
        summary.counts.imports += u64::from(is_imported);
        types.insert(kind);
        if matches!(act, Act::Delete | Act::Replace) {
            destroyed.insert(kind);
        }
        changing.push(resource);
        resources.push((act, fields, change));
    }
    for (index, action) in list(plan, "", "action_invocations")?.iter().enumerate() {
        let fields = object(action, &format!("/action_invocations/{index}"))?;
        text(fields, &format!("/action_invocations/{index}"), "address")?;
        types.insert(text(fields, &format!("/action_invocations/{index}"), "type")?);
        summary.counts.count(Act::Invoke);
        resources.push((Act::Invoke, fields, fields));
    }
    if resources.len() > MOST_READ || types.len() > MOST_TYPES {
        return unreadable(
            "/resource_changes",
            format!("holds more than {MOST_READ} changes, or more than {MOST_TYPES} types of resources"),
        );
    }
    summary.counts.drifted = list(plan, "", "resource_drift")?.len() as u64;
    summary.counts.deferred = list(plan, "", "deferred_changes")?.len() as u64;
    let named = |types: BTreeSet<&str>| types.into_iter().map(|kind| short(&secrets.out_of(kind))).collect();
    (summary.types, summary.destroyed_types) = (named(types), named(destroyed));
    // The sort is stable, so equally dangerous changes stay in the order of the plan.
    resources.sort_by_key(|(act, ..)| *act);
    summary.unlisted = resources.len().saturating_sub(MOST_CHANGES) as u64;
    let mut left = MOST_ATTRIBUTES;
    for (act, fields, change) in resources.into_iter().take(MOST_CHANGES) {
        summary.changes.push(listed(act, fields, change, &secrets, &mut left)?);
    }
    let outputs = outputs(plan)?;
    summary.counts.outputs = outputs.len() as u64;
    summary.unlisted_outputs = outputs.len().saturating_sub(MOST_OUTPUTS) as u64;
    summary.outputs = outputs.iter().take(MOST_OUTPUTS).map(|(name, output)| output_change(name, output, &secrets)).collect();
    let contents = contents::digest(&changing, &outputs, plan, &summary);
    Ok(Plan { summary, contents })
}

/// Checks that it is a plan, and one that marks its sensitive values.
fn check_kind(plan: &Map<String, Value>) -> Result<(), Unreadable> {
    const HOW: &str = "write it with `terraform show -json PLANFILE` or `tofu show -json PLANFILE`";
    if plan.contains_key("@level") || plan.contains_key("@message") {
        return unreadable("", format!("is the log of a command, not a plan; {HOW}"));
    }
    let Some(version) = plan.get("format_version").and_then(Value::as_str) else {
        return unreadable("/format_version", format!("is missing, so this is not a plan; {HOW}"));
    };
    if plan.contains_key("values") && !plan.contains_key("planned_values") {
        return unreadable("", format!("is a state, not a plan; {HOW}"));
    }
    let major = version.split('.').next().and_then(|major| major.parse::<u32>().ok());
    match major {
        Some(1) => {}
        Some(0) => {
            let detail = format!(
                "is {}: plans of this format do not say reliably which values are sensitive; make the plan with Terraform 1.1 or newer, or OpenTofu",
                shown(version)
            );
            return unreadable("/format_version", detail);
        }
        _ => return unreadable("/format_version", format!("is {}; parkbrake reads plans of the formats 1.x", shown(version))),
    }
    if !["planned_values", "resource_changes", "output_changes"].iter().any(|field| plan.contains_key(*field)) {
        return unreadable("", format!("says nothing of what it changes, so this is not a plan; {HOW}"));
    }
    if plan.get("errored") == Some(&Value::Bool(true)) {
        return unreadable("/errored", "is true: the plan is incomplete and cannot be applied; plan again");
    }
    Ok(())
}

/// The state that the plan was made against, if the plan has it.
fn state(plan: &Map<String, Value>) -> Result<Option<State>, Unreadable> {
    let Some(Value::Object(prior)) = plan.get("prior_state") else { return Ok(None) };
    let serial = match prior.get("serial") {
        None | Some(Value::Null) => None,
        Some(serial) => match serial.as_u64() {
            Some(serial) => Some(serial),
            None => return unreadable("/prior_state/serial", "has to be a whole number"),
        },
    };
    let lineage = word(prior, "/prior_state", "lineage")?;
    Ok((serial.is_some() || lineage.is_some()).then_some(State { serial, lineage }))
}

/// The change of a resource; `None` if nothing changes.
fn act(change: &Map<String, Value>, at: &str) -> Result<Option<Act>, Unreadable> {
    let at = format!("{at}/change");
    let Some(actions) = change.get("actions").and_then(Value::as_array) else {
        return unreadable(format!("{at}/actions"), "has to be a list of what happens to the resource");
    };
    let mut words = Vec::with_capacity(actions.len());
    for action in actions {
        match action.as_str() {
            Some(word @ ("no-op" | "create" | "read" | "update" | "delete" | "forget")) => words.push(word),
            Some(other) => {
                let detail = format!(
                    "holds `{}`, which parkbrake does not know; it knows no-op, create, read, update, delete and forget",
                    shown(other)
                );
                return unreadable(format!("{at}/actions"), detail);
            }
            None => return unreadable(format!("{at}/actions"), "has to hold texts only"),
        }
    }
    let has = |word: &str| words.contains(&word);
    Ok(match (has("delete"), has("create")) {
        (true, true) => Some(Act::Replace),
        (true, false) => Some(Act::Delete),
        _ if has("forget") => Some(Act::Forget),
        _ if has("update") => Some(Act::Update),
        (false, true) => Some(Act::Create),
        _ if has("read") => Some(Act::Read),
        _ => None,
    })
}

/// The list entry of a change. Attributes are listed up to the limit.
fn listed(
    act: Act,
    fields: &Map<String, Value>,
    change: &Map<String, Value>,
    secrets: &Secrets<'_>,
    left: &mut usize,
) -> Result<Change, Unreadable> {
    let name = |field: &str| fields.get(field).and_then(Value::as_str).map(|text| short(&secrets.out_of(text)));
    let mut attributes = if act == Act::Invoke { invoked(fields, secrets) } else { changed(act, change, secrets) };
    let all = attributes.len();
    attributes.truncate(MOST_ATTRIBUTES_OF_ONE.min(*left));
    *left -= attributes.len();
    Ok(Change {
        address: name("address").unwrap_or_default(),
        kind: name("type").unwrap_or_default(),
        act,
        reason: name("action_reason"),
        previous_address: name("previous_address").filter(|previous| Some(previous) != name("address").as_ref()),
        deposed: name("deposed"),
        is_imported: change.get("importing").is_some_and(|importing| !importing.is_null()),
        unlisted: (all - attributes.len()) as u64,
        attributes,
    })
}

/// The changed attributes of a resource. For a destroyed one, only those by which people recognize
/// it.
fn changed(act: Act, change: &Map<String, Value>, secrets: &Secrets<'_>) -> Vec<Attribute> {
    let (mut before, mut after) = (Leaves::new(), Leaves::new());
    let marks = Marks::of_change(change);
    let side = |name: &str| change.get(name).unwrap_or(&Value::Null);
    gather(side("before"), marks, "", &mut before);
    gather(side("after"), marks, "", &mut after);
    add_unknown(side("after_unknown"), "", &mut after);
    let forcing: Vec<String> = side("replace_paths").as_array().into_iter().flatten().map(path_of).collect();
    let paths: BTreeSet<&String> = before.keys().chain(after.keys()).collect();
    let is_gone = matches!(act, Act::Delete | Act::Forget);
    let counts = |path: &&&String| {
        if is_gone { NAMING.contains(&path.as_str()) } else { before.get(**path) != after.get(**path) }
    };
    let mut changed: Vec<Attribute> = paths
        .iter()
        .filter(counts)
        .map(|path| attribute(path, before.get(*path), after.get(*path).filter(|_| !is_gone), &forcing, secrets))
        .collect();
    changed.sort_by_key(|attribute| !attribute.forces_replacement);
    changed
}

fn attribute(path: &str, before: Option<&Leaf<'_>>, after: Option<&Leaf<'_>>, forcing: &[String], secrets: &Secrets<'_>) -> Attribute {
    Attribute {
        path: short(&secrets.out_of(path)),
        before: before.map(|leaf| leaf.shown(after, secrets)),
        after: after.map(|leaf| leaf.shown(before, secrets)),
        forces_replacement: forcing.iter().any(|forcing| is_within(path, forcing)),
    }
}

/// The values that an action is invoked with.
fn invoked(fields: &Map<String, Value>, secrets: &Secrets<'_>) -> Vec<Attribute> {
    let mut values = Leaves::new();
    gather(fields.get("config_values").unwrap_or(&Value::Null), Marks::of(fields.get("config_sensitive")), "", &mut values);
    add_unknown(fields.get("config_unknown").unwrap_or(&Value::Null), "", &mut values);
    values.iter().map(|(path, leaf)| attribute(path, None, Some(leaf), &[], secrets)).collect()
}

/// The outputs that change, by name.
fn outputs(plan: &Map<String, Value>) -> Result<BTreeMap<&str, &Value>, Unreadable> {
    let Some(outputs) = plan.get("output_changes").filter(|outputs| !outputs.is_null()) else { return Ok(BTreeMap::new()) };
    let mut changing = BTreeMap::new();
    for (name, output) in object(outputs, "/output_changes")? {
        let at = format!("/output_changes/{}", name.replace('~', "~0").replace('/', "~1"));
        let fields = object(output, &at)?;
        let Some(actions) = fields.get("actions").and_then(Value::as_array) else {
            return unreadable(format!("{at}/actions"), "has to be a list of what happens to the output");
        };
        if actions.iter().any(|action| action != "no-op") {
            changing.insert(name.as_str(), output);
        }
    }
    Ok(changing)
}

fn output_change(name: &str, output: &Value, secrets: &Secrets<'_>) -> Attribute {
    let empty = Map::new();
    let fields = output.as_object().unwrap_or(&empty);
    let marks = Marks::of_change(fields);
    let value = |side: &str| fields.get(side).filter(|value| !value.is_null());
    let leaf = |value| if marks.are_set() || is_named_secret(name, value) { Leaf::Hidden(value) } else { Leaf::Open(value) };
    let before = value("before").map(leaf);
    let is_unknown = fields.get("after_unknown").is_some_and(holds_true);
    let after = if is_unknown { Some(Leaf::Unknown) } else { value("after").map(leaf) };
    attribute(name, before.as_ref(), after.as_ref(), &[], secrets)
}

fn object<'p>(value: &'p Value, at: &str) -> Result<&'p Map<String, Value>, Unreadable> {
    value.as_object().map_or_else(|| unreadable(at, "has to be an object"), Ok)
}

fn member<'p>(fields: &'p Map<String, Value>, at: &str, name: &str) -> Result<&'p Map<String, Value>, Unreadable> {
    object(fields.get(name).unwrap_or(&Value::Null), &format!("{at}/{name}"))
}

fn list<'p>(fields: &'p Map<String, Value>, at: &str, name: &str) -> Result<&'p [Value], Unreadable> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(items)) => Ok(items),
        Some(_) => unreadable(format!("{at}/{name}"), "has to be a list"),
    }
}

fn text<'p>(fields: &'p Map<String, Value>, at: &str, name: &str) -> Result<&'p str, Unreadable> {
    match fields.get(name).and_then(Value::as_str) {
        Some(text) if !text.is_empty() => Ok(text),
        _ => unreadable(format!("{at}/{name}"), "has to be a text"),
    }
}

/// An optional short text.
fn word(fields: &Map<String, Value>, at: &str, name: &str) -> Result<Option<String>, Unreadable> {
    match fields.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.chars().count() <= LONGEST_WORD => Ok(Some(text.clone())),
        Some(_) => unreadable(format!("{at}/{name}"), format!("has to be a text of at most {LONGEST_WORD} characters")),
    }
}

fn short(text: &str) -> String {
    if text.chars().count() <= LONGEST_NAME { text.to_owned() } else { text.chars().take(LONGEST_NAME - 1).chain(['…']).collect() }
}
