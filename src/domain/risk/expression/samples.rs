//! Tries conditions on sample tasks. A part that fails for all of them fails for every task, and a
//! failing condition counts as a match.
//!
//! Each part is tried on its own, because `has(metadata.x) && …` hides the rest from a task without
//! metadata. Each value that a condition reads from the metadata is filled with a value of each
//! type.

use crate::domain::risk::expression::InvalidExpression;
use crate::domain::risk::expression::parse::parts;
use crate::domain::risk::expression::scope::{Base, Common, Scope, Words, value_of};
use crate::domain::risk::expression::words::{self, Kind};
use crate::domain::task::SecurityFinding;
use crate::domain::task::metadata::Metadata;
use cel::common::ast::{Expr, LiteralValue, operators};
use cel::{ExecutionError, IdedExpr, Value};
use chrono::{DateTime, Duration};
use serde_json::{Value as Json, json};

/// A part that reads more metadata values than this is not checked, because their combinations
/// would be too many.
const MOST_PATHS: usize = 3;
/// The longest list that is made so that an index has an element.
const LONGEST_LIST: usize = 16;
const MOST_FINDINGS: usize = 256;

/// Tries every part of a condition.
///
/// # Errors
/// A part that fails for every sample because of its types, and not because of a particular text.
pub fn check(expression: &IdedExpr) -> Result<(), InvalidExpression> {
    Trial { bound: None, kinds: Vec::new(), gathering: None }.check(expression)
}

/// The context of a part.
struct Trial<'e> {
    /// The variable of the enclosing loop, and its possible values.
    bound: Option<(&'e str, Vec<Value>)>,
    kinds: words::Bindings<'e>,
    /// The accumulator of the enclosing loop, whose value is unknown.
    gathering: Option<&'e str>,
}

impl<'e> Trial<'e> {
    fn check(&self, expression: &'e IdedExpr) -> Result<(), InvalidExpression> {
        if let Expr::Comprehension(all) = &expression.expr {
            self.check(&all.iter_range)?;
            let range = words::kind(&all.iter_range, &self.kinds);
            let elements = match range {
                Kind::Findings => findings(2).iter().map(|finding| value_of(&json!(finding))).collect(),
                _ => Vec::new(),
            };
            let mut kinds = self.kinds.clone();
            kinds.push((&all.iter_var, if range == Kind::Findings { Kind::Finding } else { Kind::Other }));
            let inside = Trial { bound: Some((&all.iter_var, elements)), kinds, gathering: Some(&all.accu_var) };
            inside.check(&all.loop_step)?;
        } else {
            parts(expression).into_iter().try_for_each(|part| self.check(part))?;
        }
        match expression.expr {
            Expr::Call(_) | Expr::Select(_) | Expr::Comprehension(_) if self.can_be_tried(expression) => self.try_out(expression),
            _ => Ok(()),
        }
    }

    /// Whether the samples can test this part. They cannot if it depends on the accumulator of a
    /// loop, or on a range of unknown elements.
    fn can_be_tried(&self, expression: &IdedExpr) -> bool {
        match &expression.expr {
            Expr::Ident(name) if Some(name.as_str()) == self.gathering => false,
            Expr::Ident(name) => self.bound.as_ref().is_none_or(|(bound, elements)| bound != name || !elements.is_empty()),
            // A loop binds the same names again.
            Expr::Comprehension(all) => self.can_be_tried(&all.iter_range),
            _ => parts(expression).into_iter().all(|part| self.can_be_tried(part)),
        }
    }

    fn try_out(&self, expression: &IdedExpr) -> Result<(), InvalidExpression> {
        let mut paths = Vec::new();
        if !read_paths(expression, &mut paths) || paths.len() > MOST_PATHS {
            return Ok(());
        }
        let mut first = None;
        for metadata in filled(&paths) {
            for findings in [findings(0), findings(2), findings(MOST_FINDINGS)] {
                let common = Common {
                    estimated_cost: 12.5,
                    security_findings: &findings,
                    metadata: &metadata,
                    plan: None,
                    requested_by: "deploy-bot",
                    now: DateTime::UNIX_EPOCH + Duration::days(20_000),
                };
                let base = Base::new(&common, &super::VARIABLES);
                let words = Words { operation: "deploy", environment: "production", resource_type: "code", resource: Some("api") };
                let scope = base.scope(&words);
                let evaluated = |scope: &Scope<'_>| Value::resolve(expression, scope.context());
                let results: Vec<_> = match &self.bound {
                    Some((name, elements)) if !elements.is_empty() => {
                        elements.iter().map(|element| evaluated(&scope.with(name, element.clone()))).collect()
                    }
                    _ => vec![evaluated(&scope)],
                };
                for result in results {
                    match result {
                        Ok(_) => return Ok(()),
                        Err(error) if self.is_certain(expression, &error) => first = first.or(Some(error)),
                        // It could succeed with another text or number.
                        Err(_) => return Ok(()),
                    }
                }
                if !mentions(expression, "security_findings") {
                    break;
                }
            }
        }
        first.map_or(Ok(()), |error| Err(InvalidExpression::AlwaysFails(super::told(&error))))
    }

    /// Whether the part itself causes the failure, so that no other text or number could prevent
    /// it.
    fn is_certain(&self, expression: &IdedExpr, error: &ExecutionError) -> bool {
        match error {
            ExecutionError::NoSuchKey(_) => match &expression.expr {
                Expr::Select(select) => words::kind(&select.operand, &self.kinds) == Kind::Finding,
                _ => false,
            },
            ExecutionError::FunctionError { .. }
            | ExecutionError::IndexOutOfBounds(_)
            | ExecutionError::DivisionByZero(_)
            | ExecutionError::RemainderByZero(_)
            | ExecutionError::Overflow(..)
            | ExecutionError::DuplicateKey(_)
            | ExecutionError::InternalError(_) => ["now", "estimated_cost", ""].iter().any(|only| mentions_nothing_but(expression, only)),
            _ => true,
        }
    }
}

fn mentions(expression: &IdedExpr, variable: &str) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == variable) || parts(expression).into_iter().any(|part| mentions(part, variable))
}

fn mentions_nothing_but(expression: &IdedExpr, variable: &str) -> bool {
    match &expression.expr {
        Expr::Ident(name) => name == variable,
        _ => parts(expression).into_iter().all(|part| mentions_nothing_but(part, variable)),
    }
}

/// A step of a path in the metadata.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Key(String),
    Index(usize),
}

/// Collects the paths of the metadata values that the expression reads. Returns `false` if a path
/// cannot be known beforehand.
fn read_paths(expression: &IdedExpr, paths: &mut Vec<Vec<Step>>) -> bool {
    match path(expression) {
        Some(Ok(found)) => {
            if !found.is_empty() && !paths.contains(&found) {
                paths.push(found);
            }
            true
        }
        Some(Err(())) => false,
        None => parts(expression).into_iter().all(|part| read_paths(part, paths)),
    }
}

/// The metadata path of this expression, if it is one; an error if the path depends on the task.
fn path(expression: &IdedExpr) -> Option<Result<Vec<Step>, ()>> {
    let (operand, step) = match &expression.expr {
        Expr::Ident(name) if name == "metadata" => return Some(Ok(Vec::new())),
        Expr::Select(select) => (&*select.operand, Some(Step::Key(select.field.clone()))),
        Expr::Call(call) if [operators::INDEX, operators::OPT_INDEX, operators::OPT_SELECT].contains(&call.func_name.as_str()) => {
            let [operand, index] = call.args.as_slice() else { return None };
            let step = match &index.expr {
                Expr::Literal(LiteralValue::String(key)) => Some(Step::Key(key.inner().to_owned())),
                Expr::Literal(LiteralValue::Int(index)) => {
                    usize::try_from(*index.inner()).ok().filter(|index| *index < LONGEST_LIST).map(Step::Index)
                }
                _ => None,
            };
            (operand, step)
        }
        _ => return None,
    };
    let way = path(operand)?;
    Some(way.and_then(|mut way| {
        way.push(step.ok_or(())?);
        Ok(way)
    }))
}

/// Metadata with a value of each type at the end of each path, in all combinations.
fn filled(paths: &[Vec<Step>]) -> Vec<Metadata> {
    let values = [
        json!(3),
        json!(1.5),
        json!("1"),
        json!("2026-01-02T03:04:05Z"),
        json!("1h"),
        json!(true),
        json!(["1"]),
        json!([3]),
        json!([{"a": "1"}]),
        json!({"a": "1"}),
        json!(null),
    ];
    let mut all = vec![json!({})];
    for path in paths {
        // The path of a value inside this one fills it.
        if paths.iter().any(|other| other != path && other.starts_with(path)) {
            continue;
        }
        let with = |metadata: &Json| values.iter().map(|value| put(metadata.clone(), path, value)).collect::<Vec<_>>();
        all = all.iter().flat_map(with).collect();
    }
    all.into_iter().filter_map(|metadata| metadata.as_object().cloned()).map(Metadata::from).collect()
}

fn put(inside: Json, path: &[Step], value: &Json) -> Json {
    match path {
        [] => value.clone(),
        [Step::Key(key), rest @ ..] => {
            let mut fields = inside.as_object().cloned().unwrap_or_default();
            let before = fields.remove(key).unwrap_or_default();
            fields.insert(key.clone(), put(before, rest, value));
            Json::Object(fields)
        }
        [Step::Index(index), rest @ ..] => {
            let mut items = inside.as_array().cloned().unwrap_or_default();
            items.resize(items.len().max(index + 1), Json::Null);
            items[*index] = put(items[*index].take(), rest, value);
            Json::Array(items)
        }
    }
}

fn findings(count: usize) -> Vec<SecurityFinding> {
    let named = |text: &str| Some(text.to_owned());
    vec![SecurityFinding { severity: "high".to_owned(), id: named("CVE-2026-1"), title: named("a finding") }; count]
}
