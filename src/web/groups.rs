//! Requests of one kind in one table: common values are above it, and each value that differs is a
//! column. Each request is approved on its own, by the digest of its own document.

use crate::domain::risk::level::Level;
use crate::domain::task::difference;
use crate::domain::task::digest::Digest;
use crate::domain::task::plan::Document;
use crate::domain::workflow::Workflow;
use crate::http::problem::Problem;
use crate::service::review::{Choice, is_intact};
use crate::service::{Shown, Waiting};
use crate::web::Web;
use crate::web::session::Session;
use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use uuid::Uuid;

/// The most columns of a table that people still read.
const MOST_COLUMNS: usize = 8;
/// The most characters of a cell. If there is more to read, the request has to be opened.
const LONGEST_CELL: usize = 300;
/// The most characters of the common values.
const LONGEST_COMMON: usize = 8_000;

/// Requests that can be compared in one table.
#[derive(Debug, Serialize)]
pub struct Group {
    ids: Vec<Uuid>,
    /// The common values, each with its pointer into the documents.
    common: Vec<(String, String)>,
    /// The pointers of each differing value; more than one if they always have the same value.
    columns: Vec<Vec<String>>,
    rows: BTreeMap<Uuid, Row>,
    needs_justification: bool,
    is_critical: bool,
}

/// What a table shows of one request in addition to its line in the list.
#[derive(Debug, Serialize)]
struct Row {
    cells: Vec<Option<String>>,
    /// The digest to approve; none if it cannot be approved here.
    digest: Option<String>,
    why_not: Option<String>,
}

impl Group {
    /// Whether the group has this request.
    pub fn holds(&self, id: Uuid) -> bool {
        self.ids.contains(&id)
    }
}

/// What requests of one kind have in common: requester, level, operation, action, and the names of
/// the arguments.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Kind(Vec<String>);

/// The tables of a page, in the order of the first request of each. A request without another of
/// its kind is in no table.
///
/// # Errors
/// Fails if the database is unavailable.
pub async fn of(web: &Web, session: &Session, rows: &[Waiting]) -> Result<Vec<Group>, Problem> {
    let read = |id: Uuid| async move {
        let (shown, choice) = web.service.to_decide(&session.person, id).await?;
        Ok::<_, Problem>((id, shown, choice))
    };
    let alike = |row: &&Waiting| rows.iter().filter(|other| roughly(other) == roughly(row)).count() > 1;
    let read = try_join_all(rows.iter().filter(alike).map(|row| row.workflow_id).map(read)).await?;
    let mut kinds: BTreeMap<Kind, Vec<(Uuid, Shown, Option<Choice>)>> = BTreeMap::new();
    for (id, shown, choice) in read {
        if let Some(kind) = kind(&shown) {
            kinds.entry(kind).or_default().push((id, shown, choice));
        }
    }
    let mut groups: Vec<Group> = kinds.into_values().filter(|members| members.len() > 1).filter_map(|members| group(&members)).collect();
    groups.sort_by_key(|group| rows.iter().position(|row| group.ids.first() == Some(&row.workflow_id)));
    Ok(groups)
}

/// What a line of the list already tells about its kind, so that only documents that may belong
/// together are read.
fn roughly(row: &Waiting) -> (&str, &str, &str) {
    (&row.requested_by, &row.risk_level, &row.target.operation)
}

/// The kind of a single task whose document matches the log. Plans are not grouped.
fn kind(shown: &Shown) -> Option<Kind> {
    let document = Document::read(&shown.document).ok()?;
    let task = document.single()?;
    let submission = &shown.workflow.submission;
    if !is_intact(&shown.workflow, &shown.document, &document) || *shown.workflow.subject() != Digest::of(&shown.document) {
        return None;
    }
    let stored: Value = serde_json::from_slice(&shown.document).ok()?;
    let arguments = stored["action"]["args"].as_object().map(|arguments| arguments.keys().cloned().collect::<Vec<_>>());
    let environment = submission.target.as_ref().and_then(|target| target.environment.clone());
    let action = (task.action.kind.as_str().to_owned(), task.action.name.clone().unwrap_or_default());
    let mut kind = vec![submission.requested_by.clone(), submission.assessment.level.to_string(), task.operation.clone()];
    kind.extend([environment.unwrap_or_default(), action.0, action.1]);
    kind.extend(arguments.unwrap_or_default());
    Some(Kind(kind))
}

/// The table of requests of one kind. `None` if they differ in too many fields or are too long, so
/// that each has to be read on its own.
fn group(members: &[(Uuid, Shown, Option<Choice>)]) -> Option<Group> {
    let fields: Vec<BTreeMap<String, String>> = members
        .iter()
        .map(|(_, shown, _)| Some(difference::fields(&serde_json::from_slice(&shown.document).ok()?)))
        .collect::<Option<_>>()?;
    let (common, columns) = compare(&fields)?;
    let level = |workflow: &Workflow| workflow.asked_level();
    let is_critical = members.iter().any(|(_, shown, _)| level(&shown.workflow) == Level::Critical);
    let rows = members.iter().zip(&fields).map(|((id, shown, choice), fields)| {
        let may_approve = choice.as_ref().is_some_and(|choice| choice.may_approve) && !is_critical;
        let row = Row {
            cells: columns.iter().map(|pointers| fields.get(&pointers[0]).map(|value| plain(value))).collect(),
            digest: may_approve.then(|| shown.workflow.subject().to_string()),
            why_not: choice.as_ref().and_then(|choice| choice.why_not.clone()),
        };
        (*id, row)
    });
    Some(Group {
        ids: members.iter().map(|(id, _, _)| *id).collect(),
        rows: rows.collect(),
        common: common.into_iter().map(|(pointer, value)| (name(&pointer), plain(&value))).collect(),
        columns: columns.iter().map(|pointers| pointers.iter().map(|pointer| name(pointer)).collect()).collect(),
        needs_justification: members.iter().filter_map(|(_, _, choice)| choice.as_ref()).any(|choice| choice.needs_justification),
        is_critical,
    })
}

/// The common values with their pointers, and the pointers whose values differ. Pointers that
/// always have the same value are together.
type Compared = (Vec<(String, String)>, Vec<Vec<String>>);
/// The value of each document, if any, at some pointers; and these pointers.
type Column<'a> = (Vec<Option<&'a String>>, Vec<String>);

fn compare(all: &[BTreeMap<String, String>]) -> Option<Compared> {
    let pointers: BTreeSet<&String> = all.iter().flat_map(BTreeMap::keys).collect();
    let (mut common, mut columns): (Vec<(String, String)>, Vec<Column<'_>>) = (Vec::new(), Vec::new());
    for pointer in pointers {
        let values: Vec<Option<&String>> = all.iter().map(|fields| fields.get(pointer)).collect();
        match values[0] {
            Some(value) if values.iter().all(|other| *other == Some(value)) => common.push((pointer.clone(), value.clone())),
            _ => match columns.iter_mut().find(|(others, _)| *others == values) {
                Some((_, pointers)) => pointers.push(pointer.clone()),
                None => columns.push((values, vec![pointer.clone()])),
            },
        }
    }
    let is_long = |(values, _): &(Vec<Option<&String>>, _)| values.iter().flatten().any(|value| value.chars().count() > LONGEST_CELL);
    let size: usize = common.iter().map(|(pointer, value)| pointer.len() + value.len()).sum();
    if columns.len() > MOST_COLUMNS || columns.iter().any(is_long) || size > LONGEST_COMMON {
        return None;
    }
    // The arguments come first, because people look for them.
    columns.sort_by_key(|(_, pointers)| !pointers.iter().any(|pointer| pointer.starts_with("/action/args/")));
    Some((common, columns.into_iter().map(|(_, pointers)| pointers).collect()))
}

/// A pointer into a document as a column heading.
fn name(pointer: &str) -> String {
    if let Some(argument) = pointer.strip_prefix("/action/args/") {
        return argument.to_owned();
    }
    match pointer.strip_prefix("/action/runs/command/").and_then(|number| number.parse::<usize>().ok()) {
        Some(number) => format!("command, line {}", number + 1),
        None => pointer.trim_start_matches('/').to_owned(),
    }
}

/// A value as it is shown. Unambiguous text has no quotes.
fn plain(json: &str) -> String {
    let is_plain = |text: &str| text.chars().all(|letter| letter.is_ascii_graphic() || letter == ' ') && !text.contains(['"', '\\']);
    let looks_like_text = |text: &str| {
        text.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '/') && !["true", "false", "null"].contains(&text)
    };
    match serde_json::from_str::<Value>(json) {
        Ok(Value::String(text)) if is_plain(&text) && looks_like_text(&text) && text.trim() == text => text,
        _ => json.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn compared(documents: &[Value]) -> Option<Compared> {
        compare(&documents.iter().map(difference::fields).collect::<Vec<_>>())
    }

    #[test]
    fn every_field_of_every_document_is_in_a_column_or_the_same_everywhere() {
        let documents = [
            json!({"action": {"args": {"service": "api", "version": "1"}, "runs": {"command": ["deploy", "api", "1"]}}, "resource": "api"}),
            json!({"action": {"args": {"service": "web", "version": "1"}, "runs": {"command": ["deploy", "web", "1"]}}, "metadata": {"a": 1}, "resource": "web"}),
        ];
        let (common, columns) = compared(&documents).unwrap();
        let common: Vec<&str> = common.iter().map(|(pointer, _)| pointer.as_str()).collect();
        assert_eq!(common, ["/action/args/version", "/action/runs/command/0", "/action/runs/command/2"]);
        assert_eq!(columns, [vec!["/action/args/service", "/action/runs/command/1", "/resource"], vec!["/metadata/a"]]);
        let fields = difference::fields(&documents[1]);
        assert_eq!(fields.len(), common.len() + columns.iter().flatten().count(), "nothing is left out");
    }

    #[test]
    fn groups_with_too_many_differences_or_long_texts_have_no_table() {
        let wide = |n: usize| Value::Object((0..=MOST_COLUMNS).map(|column| (format!("f{column}"), json!(column * 10 + n))).collect());
        assert!(compared(&[wide(1), wide(2)]).is_none());
        let long = |n: usize| json!({"description": format!("{n}{}", "x".repeat(LONGEST_CELL))});
        assert!(compared(&[long(1), long(2)]).is_none());
        let same = json!({"description": "x".repeat(LONGEST_COMMON + 1)});
        assert!(compared(&[same.clone(), same]).is_none());
    }

    #[test]
    fn a_value_reads_in_one_way_only() {
        for (json, read) in [
            (r#""api""#, "api"),
            (r#""1""#, r#""1""#),
            ("1", "1"),
            (r#""true""#, r#""true""#),
            (r#""a\nb""#, r#""a\nb""#),
            (r#"" a""#, r#"" a""#),
        ] {
            assert_eq!(plain(json), read);
        }
    }
}
