//! An upper bound for the cost of evaluating a condition, computed before the evaluation.
//!
//! The CEL evaluator cannot be interrupted. So the steps of a condition over the actual claims of a
//! task are counted beforehand, each part by the most that it could do, and a condition that
//! exceeds the budget of an assessment is not evaluated. The same task costs the same on every
//! machine.

use crate::domain::risk::expression::parse::parts;
use crate::domain::task::metadata::Metadata;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, ComprehensionExpr, Expr, LiteralValue, operators};
use serde_json::{Map, Value as Json};

/// The budget of one assessment, for all conditions and readings together: a few milliseconds. A
/// step was measured at 4 to 12 nanoseconds.
pub const BUDGET: u64 = 200_000;
/// The steps to compile a regular expression, which happens at each use: this many, and this many
/// for each three bytes of the compiled pattern.
const PATTERN: u64 = 300;
const PATTERN_PER_THREE_BYTES: u64 = 2;
/// The steps of a call, and of one iteration of a loop, in addition to its contents.
const CALL: u64 = 8;
const TURN: u64 = 6;
/// The steps to make a scope for a reading.
pub const SCOPE: u64 = 40;
/// The bytes of text that one step processes.
const BYTES: u64 = 32;

/// The largest possible size of a value: in total, and as its number of elements.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Size {
    pub weight: u64,
    count: u64,
    each: u64,
}

impl Size {
    const ONE: Self = Self { weight: 1, count: 0, each: 0 };

    fn text(bytes: usize) -> Self {
        Self { weight: 1 + bytes as u64 / BYTES, ..Self::ONE }
    }

    /// The size of an unknown part of it.
    fn part(self) -> Self {
        Self { weight: self.each, count: self.each, each: self.each }
    }

    fn of_parts(parts: impl Iterator<Item = Self>) -> Self {
        let empty = Self { weight: 1, count: 0, each: 0 };
        parts.fold(empty, |all, part| Self {
            weight: all.weight.saturating_add(part.weight),
            count: all.count + 1,
            each: all.each.max(part.weight),
        })
    }

    fn larger(self, other: Self) -> Self {
        Self { weight: self.weight.max(other.weight), count: self.count.max(other.count), each: self.each.max(other.each) }
    }

    /// The size of an object.
    pub fn of_object(fields: &Map<String, Json>) -> Self {
        Self::of_parts(fields.iter().map(|(name, value)| {
            let (name, value) = (Self::text(name.len()), Self::of(value));
            Self { weight: name.weight.saturating_add(value.weight), ..Self::ONE }
        }))
    }

    /// The size of a list of maps with these lengths of text.
    pub fn of_texts<const N: usize>(items: impl Iterator<Item = [usize; N]>) -> Self {
        Self::of_parts(items.map(|item| Self::of_parts(item.into_iter().map(Self::text))))
    }

    /// The size of a value of JSON.
    pub fn of(json: &Json) -> Self {
        match json {
            Json::Null | Json::Bool(_) | Json::Number(_) => Self::ONE,
            Json::String(text) => Self::text(text.len()),
            Json::Array(items) => Self::of_parts(items.iter().map(Self::of)),
            Json::Object(fields) => Self::of_object(fields),
        }
    }
}

/// The sizes of a task's claims.
#[derive(Debug, Clone, Copy)]
pub struct Claims<'t> {
    pub metadata: &'t Metadata,
    pub metadata_size: Size,
    pub findings: Size,
    pub plan: Size,
}

/// What is known about a condition before it is evaluated.
#[derive(Debug, Clone, Copy)]
pub struct Known<'t> {
    pub claims: &'t Claims<'t>,
    /// The patterns of `matches`, with the compiled size of each in bytes.
    pub patterns: &'t [(String, usize)],
}

impl Known<'_> {
    fn steps_of_patterns(&self, call: &CallExpr) -> u64 {
        let size = call.args.last().and_then(|pattern| match &pattern.expr {
            Expr::Literal(LiteralValue::String(text)) => self.patterns.iter().find(|(known, _)| known == text.inner()),
            _ => None,
        });
        size.map_or(BUDGET, |(_, size)| PATTERN + *size as u64 * PATTERN_PER_THREE_BYTES / 3)
    }
}

/// The cost of an expression, and the size of its value.
struct Bound<'t> {
    steps: u64,
    size: Size,
    /// The actual value, if it is a part of the metadata.
    json: Option<&'t Json>,
}

/// The names that loops bind, the innermost last.
type Bindings<'e> = Vec<(&'e str, Size)>;

/// The most steps to evaluate an expression over these claims.
pub fn steps(expression: &IdedExpr, known: &Known<'_>) -> u64 {
    bound(expression, known, &mut Vec::new()).steps
}

fn bound<'t, 'e>(expression: &'e IdedExpr, known: &Known<'t>, bindings: &mut Bindings<'e>) -> Bound<'t> {
    let claims = known.claims;
    let plain = |steps: u64, size: Size| Bound { steps, size, json: None };
    match &expression.expr {
        Expr::Unspecified => plain(1, Size::ONE),
        Expr::Literal(LiteralValue::String(text)) => plain(1, Size::text(text.inner().len())),
        Expr::Literal(_) => plain(1, Size::ONE),
        Expr::Ident(name) => {
            let bound = bindings.iter().rev().find(|(binding, _)| binding == name).map(|(_, size)| *size);
            plain(1, bound.unwrap_or_else(|| variable(name, claims)))
        }
        Expr::Select(select) => {
            let operand = bound(&select.operand, known, bindings);
            let of_metadata = matches!(&select.operand.expr, Expr::Ident(name) if is_metadata(name, bindings));
            let fields = if of_metadata { Some(&**claims.metadata) } else { operand.json.and_then(Json::as_object) };
            let json = fields.and_then(|fields| fields.get(&select.field));
            Bound { steps: operand.steps + 2, size: json.map_or(operand.size.part(), Size::of), json }
        }
        Expr::Comprehension(all) => plain_loop(all, known, bindings),
        Expr::Call(call) => {
            let arguments: Vec<_> = call.target.as_deref().into_iter().chain(&call.args).map(|part| bound(part, known, bindings)).collect();
            let steps = arguments.iter().fold(CALL, |all, part| all.saturating_add(part.steps));
            let weight = arguments.iter().fold(1_u64, |all, part| all.saturating_add(part.size.weight));
            let most = arguments.iter().fold(Size::ONE, |most, part| most.larger(part.size));
            match call.func_name.as_str() {
                operators::LOGICAL_AND | operators::LOGICAL_OR | operators::LOGICAL_NOT | operators::NOT_STRICTLY_FALSE => {
                    plain(steps, Size::ONE)
                }
                operators::CONDITIONAL => plain(steps, most),
                operators::INDEX | operators::OPT_INDEX | operators::OPT_SELECT => plain(steps, most.part()),
                operators::ADD => {
                    let sum =
                        |part: fn(&Size) -> u64| arguments.iter().fold(0_u64, |all, argument| all.saturating_add(part(&argument.size)));
                    let size = Size { weight, count: sum(|size| size.count), each: most.each };
                    plain(steps.saturating_add(weight), size)
                }
                name if answers_with_one_value(name) => plain(steps.saturating_add(weight), Size::ONE),
                "matches" => plain(steps.saturating_add(weight.saturating_mul(4)).saturating_add(known.steps_of_patterns(call)), Size::ONE),
                // Any other function is assumed to copy and read its arguments, and to return
                // something equally long: at most one value per byte.
                _ => {
                    let long = weight.saturating_mul(BYTES);
                    plain(steps.saturating_add(weight.saturating_mul(4)), Size { weight: long.min(weight * 4), count: long, each: weight })
                }
            }
        }
        Expr::List(_) | Expr::Map(_) | Expr::Struct(_) => {
            let parts: Vec<_> = parts(expression).into_iter().map(|part| bound(part, known, bindings)).collect();
            let steps = parts.iter().fold(CALL, |all, part| all.saturating_add(part.steps).saturating_add(part.size.weight));
            plain(steps, Size::of_parts(parts.iter().map(|part| part.size)))
        }
    }
}

/// The cost of a loop: its body for each element of its range.
fn plain_loop<'t, 'e>(all: &'e ComprehensionExpr, known: &Known<'t>, bindings: &mut Bindings<'e>) -> Bound<'t> {
    let range = bound(&all.iter_range, known, bindings);
    let start = bound(&all.accu_init, known, bindings);
    bindings.push((&all.iter_var, range.size.part()));
    // The accumulator only grows, one element at a time, which costs as much as the element.
    bindings.push((&all.accu_var, Size::ONE));
    let condition = bound(&all.loop_cond, known, bindings);
    let step = bound(&all.loop_step, known, bindings);
    let result = bound(&all.result, known, bindings);
    bindings.truncate(bindings.len() - 2);
    let turn = TURN.saturating_add(range.size.each).saturating_add(condition.steps).saturating_add(step.steps);
    let turns = range.size.count.saturating_mul(turn);
    let steps = [range.steps, start.steps, turns, result.steps, range.size.weight].into_iter().fold(CALL, u64::saturating_add);
    let gathered = Size {
        weight: range.size.count.saturating_mul(step.size.weight).saturating_add(1),
        count: range.size.count,
        each: step.size.weight,
    };
    Bound { steps, size: gathered, json: None }
}

fn variable(name: &str, claims: &Claims<'_>) -> Size {
    match name {
        "metadata" => claims.metadata_size,
        "security_findings" => claims.findings,
        "plan" => claims.plan,
        // A word, a name or a time. The resource is the longest of them.
        _ => Size::text(1_024),
    }
}

/// Operators and functions that return a number, a time or a boolean, and read their arguments
/// once.
fn answers_with_one_value(name: &str) -> bool {
    const ONE_VALUE: [&str; 23] = [
        operators::EQUALS,
        operators::NOT_EQUALS,
        operators::IN,
        operators::LESS,
        operators::LESS_EQUALS,
        operators::GREATER,
        operators::GREATER_EQUALS,
        operators::SUBSTRACT,
        operators::MULTIPLY,
        operators::DIVIDE,
        operators::MODULO,
        operators::NEGATE,
        "size",
        "contains",
        "startsWith",
        "endsWith",
        "int",
        "uint",
        "double",
        "bool",
        "timestamp",
        "duration",
        "type",
    ];
    ONE_VALUE.contains(&name) || name.starts_with("get")
}

fn is_metadata(name: &str, bindings: &Bindings<'_>) -> bool {
    name == "metadata" && !bindings.iter().any(|(binding, _)| *binding == name)
}
