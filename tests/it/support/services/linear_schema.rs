//! As much of GraphQL, and of Linear's schema, as strict checking needs: one operation, whose
//! variables have exactly the types of their uses, and which selects only existing fields.

use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// A requested field, with its arguments (name to variable) and its selection.
#[derive(Debug)]
pub struct Field {
    pub name: String,
    pub arguments: BTreeMap<String, String>,
    pub selected: Vec<Field>,
}

/// Names, each with a type.
type Typed = &'static [(&'static str, &'static str)];

/// The root fields: operation, name, arguments with their types, type of the answer.
const ROOTS: &[(&str, &str, Typed, &str)] = &[
    ("query", "issue", &[("id", "String!")], "Issue"),
    ("query", "comment", &[("id", "String")], "Comment"),
    ("query", "team", &[("id", "String!")], "Team"),
    ("mutation", "issueCreate", &[("input", "IssueCreateInput!")], "IssuePayload"),
    ("mutation", "issueUpdate", &[("id", "String!"), ("input", "IssueUpdateInput!")], "IssuePayload"),
    ("mutation", "commentCreate", &[("input", "CommentCreateInput!")], "CommentPayload"),
];

/// The types: each field with its own type; an empty one is a scalar.
const TYPES: &[(&str, Typed)] = &[
    ("Issue", &[("id", ""), ("identifier", ""), ("title", ""), ("priority", ""), ("url", ""), ("state", "WorkflowState")]),
    ("Comment", &[("id", ""), ("body", "")]),
    ("Team", &[("id", ""), ("name", ""), ("states", "WorkflowStateConnection")]),
    ("WorkflowStateConnection", &[("nodes", "WorkflowState")]),
    ("WorkflowState", &[("id", ""), ("name", ""), ("type", ""), ("position", "")]),
    ("IssuePayload", &[("success", ""), ("lastSyncId", ""), ("issue", "Issue")]),
    ("CommentPayload", &[("success", ""), ("lastSyncId", ""), ("comment", "Comment")]),
];

/// The inputs: each field with its type.
const INPUTS: &[(&str, Typed)] = &[
    (
        "IssueCreateInput!",
        &[
            ("id", "String"),
            ("teamId", "String!"),
            ("title", "String"),
            ("description", "String"),
            ("priority", "Int"),
            ("stateId", "String"),
        ],
    ),
    ("IssueUpdateInput!", &[("stateId", "String"), ("title", "String"), ("priority", "Int")]),
    ("CommentCreateInput!", &[("id", "String"), ("issueId", "String"), ("body", "String")]),
];

/// Parses a whole request: its one root field, and the values of its variables.
pub fn read(request: &Value) -> Result<(Field, Map<String, Value>), String> {
    let query = request["query"].as_str().ok_or("no query")?;
    let variables = request["variables"].as_object().ok_or("no variables")?;
    let mut tokens = Tokens::of(query)?;
    let operation = tokens.name()?;
    tokens.name()?;
    let mut declared = BTreeMap::new();
    tokens.expect("(")?;
    while !tokens.skip(")") {
        tokens.expect("$")?;
        let name = tokens.name()?;
        tokens.expect(":")?;
        let kind = tokens.name()?;
        let kind = if tokens.skip("!") { format!("{kind}!") } else { kind };
        declared.insert(name, kind);
    }
    let mut fields = tokens.selection()?;
    let (Some(field), true, true) = (fields.pop(), fields.is_empty(), tokens.0.is_empty()) else {
        return Err("not one field at the root".to_owned());
    };
    let (_, _, arguments, answer) = ROOTS
        .iter()
        .find(|(kind, name, ..)| *kind == operation && *name == field.name)
        .ok_or_else(|| format!("Cannot query field \"{}\" in a {operation}", field.name))?;
    let mut unused = declared.clone();
    for (name, kind) in *arguments {
        let variable = field.arguments.get(*name).ok_or_else(|| format!("Argument \"{name}\" is required"))?;
        let given = unused.remove(variable).ok_or_else(|| format!("Variable \"${variable}\" is not defined"))?;
        if given != *kind && given != format!("{kind}!") {
            return Err(format!("Variable \"${variable}\" of type \"{given}\" used in position expecting type \"{kind}\""));
        }
        value(variables.get(variable).unwrap_or(&Value::Null), kind).map_err(|why| format!("Variable \"${variable}\": {why}"))?;
    }
    if !unused.is_empty() || field.arguments.len() != arguments.len() {
        return Err(format!("Variables {unused:?} are never used, or arguments are too many"));
    }
    if let Some(unknown) = variables.keys().find(|name| !declared.contains_key(*name)) {
        return Err(format!("Variable \"{unknown}\" is not declared"));
    }
    selectable(&field.selected, answer)?;
    Ok((field, variables.clone()))
}

fn selectable(selected: &[Field], kind: &str) -> Result<(), String> {
    let (_, known) = TYPES.iter().find(|(name, _)| *name == kind).expect("a type of the schema");
    for field in selected {
        let (_, inner) = known.iter().find(|(name, _)| *name == field.name).ok_or(format!("no field {} on {kind}", field.name))?;
        match (inner.is_empty(), field.selected.is_empty()) {
            (true, true) => {}
            (false, false) => selectable(&field.selected, inner)?,
            _ => return Err(format!("the selection of {} does not fit its type", field.name)),
        }
    }
    if selected.is_empty() { Err(format!("nothing is selected of {kind}")) } else { Ok(()) }
}

fn value(value: &Value, kind: &str) -> Result<(), String> {
    if let Some((_, fields)) = INPUTS.iter().find(|(name, _)| *name == kind) {
        let given = value.as_object().ok_or_else(|| format!("{value} is no {kind}"))?;
        if let Some(unknown) = given.keys().find(|name| fields.iter().all(|(known, _)| known != name)) {
            return Err(format!("Field \"{unknown}\" is not defined by type \"{kind}\""));
        }
        return fields.iter().try_for_each(|(name, kind)| self::value(given.get(*name).unwrap_or(&Value::Null), kind));
    }
    let fits = match (kind, value) {
        ("String!", Value::String(_)) | ("String" | "Int", Value::Null) | ("String", Value::String(_)) => true,
        ("Int", Value::Number(number)) => number.is_i64() || number.is_u64(),
        _ => false,
    };
    if fits { Ok(()) } else { Err(format!("{value} is no {kind}")) }
}

/// The selected parts of a value.
pub fn selected(fields: &[Field], whole: &Value) -> Value {
    match whole {
        Value::Array(list) => list.iter().map(|one| selected(fields, one)).collect(),
        Value::Object(_) if !fields.is_empty() => {
            fields.iter().map(|field| (field.name.clone(), selected(&field.selected, &whole[&field.name]))).collect::<Map<_, _>>().into()
        }
        other => json!(other),
    }
}

struct Tokens(std::collections::VecDeque<String>);

impl Tokens {
    fn of(query: &str) -> Result<Self, String> {
        let pattern = regex::Regex::new(r"[A-Za-z_]\w*|[0-9]+|[!$():{},]|\S").expect("a pattern");
        let tokens = pattern.find_iter(query).map(|found| found.as_str().to_owned()).filter(|token| token != ",");
        Ok(Self(tokens.collect()))
    }

    fn name(&mut self) -> Result<String, String> {
        let token = self.0.pop_front().unwrap_or_default();
        if token.starts_with(|first: char| first.is_alphanumeric()) { Ok(token) } else { Err(format!("Syntax Error: `{token}`")) }
    }

    fn skip(&mut self, token: &str) -> bool {
        let there = self.0.front().is_some_and(|next| next == token);
        if there {
            self.0.pop_front();
        }
        there
    }

    fn expect(&mut self, token: &str) -> Result<(), String> {
        if self.skip(token) { Ok(()) } else { Err(format!("Syntax Error: expected `{token}`, found {:?}", self.0.front())) }
    }

    fn selection(&mut self) -> Result<Vec<Field>, String> {
        let mut fields = Vec::new();
        self.expect("{")?;
        while !self.skip("}") {
            let name = self.name()?;
            let mut arguments = BTreeMap::new();
            if self.skip("(") {
                while !self.skip(")") {
                    let argument = self.name()?;
                    self.expect(":")?;
                    // A literal number may only be a page size; everything else has to be a
                    // variable.
                    if self.skip("$") {
                        arguments.insert(argument, self.name()?);
                    } else if argument != "first" || self.name()?.parse::<u32>().is_err() {
                        return Err(format!("a value of {argument} in the query itself"));
                    }
                }
            }
            let selected = if self.0.front().is_some_and(|next| next == "{") { self.selection()? } else { Vec::new() };
            fields.push(Field { name, arguments, selected });
        }
        Ok(fields)
    }
}
