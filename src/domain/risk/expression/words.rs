//! Checks the words that a condition compares with. A rule that compares with a word that
//! conditions never see would never match.

use crate::domain::risk::expression::InvalidExpression;
use crate::domain::risk::expression::parse::parts;
use crate::domain::risk::{severity, terraform};
use crate::domain::task::vocabulary::Vocabulary;
use crate::domain::text::shown;
use cel::IdedExpr;
use cel::common::ast::{CallExpr, EntryExpr, Expr, LiteralValue, operators};

/// The word lists of a configuration.
#[derive(Debug, Clone, Copy)]
pub struct Lists<'l> {
    pub operations: &'l Vocabulary,
    pub environments: &'l Vocabulary,
    pub resource_types: &'l Vocabulary,
}

/// What an expression yields, as far as that determines which words it could be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Operation,
    Environment,
    ResourceType,
    Severity,
    Finding,
    Findings,
    /// A Terraform plan.
    Plan,
    /// A list of severities, as `map` makes one.
    Severities,
    Other,
}

impl Kind {
    /// The kind of its elements.
    fn element(self) -> Self {
        match self {
            Self::Findings => Self::Finding,
            Self::Severities => Self::Severity,
            _ => Self::Other,
        }
    }

    fn list_of(self) -> Self {
        match self {
            Self::Finding => Self::Findings,
            Self::Severity => Self::Severities,
            _ => Self::Other,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Operation => "operation",
            Self::Environment => "environment",
            Self::ResourceType => "resource_type",
            _ => "severity",
        }
    }
}

/// The names that loops bind, the innermost last.
pub type Bindings<'e> = Vec<(&'e str, Kind)>;

/// The kind of an expression.
pub fn kind(expression: &IdedExpr, bindings: &Bindings<'_>) -> Kind {
    match &expression.expr {
        Expr::Ident(name) => match bindings.iter().rev().find(|(binding, _)| binding == name) {
            Some((_, kind)) => *kind,
            None => match name.as_str() {
                "operation" => Kind::Operation,
                "environment" => Kind::Environment,
                "resource_type" => Kind::ResourceType,
                "security_findings" => Kind::Findings,
                terraform::VARIABLE => Kind::Plan,
                _ => Kind::Other,
            },
        },
        Expr::Select(select) => field(&select.operand, Some(&select.field), bindings),
        Expr::Call(call) if [operators::INDEX, operators::OPT_INDEX, operators::OPT_SELECT].contains(&call.func_name.as_str()) => {
            let [operand, index] = call.args.as_slice() else { return Kind::Other };
            field(operand, text(index), bindings)
        }
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => {
            let kinds: Vec<_> = call.args.iter().skip(1).map(|part| kind(part, bindings)).collect();
            if kinds.windows(2).all(|pair| pair[0] == pair[1]) { kinds.first().copied().unwrap_or(Kind::Other) } else { Kind::Other }
        }
        Expr::Comprehension(all) => {
            let mut inside = bindings.clone();
            inside.push((&all.iter_var, kind(&all.iter_range, bindings).element()));
            gathered(&all.loop_step).map_or(Kind::Other, |element| kind(element, &inside).list_of())
        }
        _ => Kind::Other,
    }
}

fn field(operand: &IdedExpr, name: Option<&str>, bindings: &Bindings<'_>) -> Kind {
    match (kind(operand, bindings), name) {
        (Kind::Finding, Some("severity")) => Kind::Severity,
        (Kind::Findings, None) => Kind::Finding,
        (Kind::Severities, None) => Kind::Severity,
        _ => Kind::Other,
    }
}

/// The element that one iteration of `map` or `filter` adds to its list: the `x` of `list + [x]`.
fn gathered(step: &IdedExpr) -> Option<&IdedExpr> {
    match &step.expr {
        Expr::Call(call) if call.func_name == operators::CONDITIONAL => call.args.get(1).and_then(gathered),
        Expr::Call(call) if call.func_name == operators::ADD => match &call.args.get(1)?.expr {
            Expr::List(list) => list.elements.first(),
            _ => None,
        },
        _ => None,
    }
}

fn text(expression: &IdedExpr) -> Option<&str> {
    match &expression.expr {
        Expr::Literal(LiteralValue::String(text)) => Some(text.inner()),
        _ => None,
    }
}

/// Checks for a comparison with a word that conditions never see.
pub fn check<'e>(expression: &'e IdedExpr, lists: &Lists<'_>, bindings: &mut Bindings<'e>) -> Result<(), InvalidExpression> {
    if let Expr::Call(call) = &expression.expr {
        compared(call, bindings).into_iter().try_for_each(|(kind, literal)| known(kind, literal, lists))?;
    }
    known_field(expression, bindings)?;
    if let Expr::Comprehension(all) = &expression.expr {
        check(&all.iter_range, lists, bindings)?;
        bindings.push((&all.iter_var, kind(&all.iter_range, bindings).element()));
        let body = check(&all.loop_step, lists, bindings);
        bindings.pop();
        return body;
    }
    parts(expression).into_iter().try_for_each(|part| check(part, lists, bindings))
}

/// Whether plans have this field: `has(plan.deleted)` would never fail and never be true.
fn known_field(expression: &IdedExpr, bindings: &Bindings<'_>) -> Result<(), InvalidExpression> {
    let (operand, field) = match &expression.expr {
        Expr::Select(select) => (&*select.operand, Some(select.field.as_str())),
        Expr::Call(call) if [operators::INDEX, operators::OPT_INDEX, operators::OPT_SELECT].contains(&call.func_name.as_str()) => {
            let [operand, index] = call.args.as_slice() else { return Ok(()) };
            (operand, text(index))
        }
        _ => return Ok(()),
    };
    let Some(field) = field.filter(|_| kind(operand, bindings) == Kind::Plan) else { return Ok(()) };
    let fields = terraform::variable(None);
    if fields.contains_key(field) {
        return Ok(());
    }
    let known = fields.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
    Err(InvalidExpression::UnknownPlanField { field: shown(field), known })
}

/// The literals that a call compares with a value of a kind.
fn compared<'e>(call: &'e CallExpr, bindings: &Bindings<'_>) -> Vec<(Kind, &'e IdedExpr)> {
    let [left, right] = call.args.as_slice() else { return Vec::new() };
    let literals: Vec<(Kind, &IdedExpr)> = match call.func_name.as_str() {
        operators::EQUALS | operators::NOT_EQUALS => vec![(kind(left, bindings), right), (kind(right, bindings), left)],
        operators::IN => match &right.expr {
            Expr::List(list) => list.elements.iter().map(|element| (kind(left, bindings), element)).collect(),
            Expr::Map(map) => {
                let keys = map.entries.iter().filter_map(|entry| match &entry.expr {
                    EntryExpr::MapEntry(entry) => Some(&entry.key),
                    EntryExpr::StructField(_) => None,
                });
                keys.map(|key| (kind(left, bindings), key)).collect()
            }
            _ => vec![(kind(right, bindings).element(), left)],
        },
        _ => Vec::new(),
    };
    literals.into_iter().filter(|(_, literal)| matches!(literal.expr, Expr::Literal(_))).collect()
}

/// Whether a condition could see this word.
fn known(kind: Kind, literal: &IdedExpr, lists: &Lists<'_>) -> Result<(), InvalidExpression> {
    let vocabulary = match kind {
        Kind::Operation => Some(lists.operations),
        Kind::Environment => Some(lists.environments),
        Kind::ResourceType => Some(lists.resource_types),
        Kind::Severity => None,
        _ => return Ok(()),
    };
    let Some(written) = text(literal) else { return Err(InvalidExpression::NoWord(kind.name())) };
    let names: Vec<&str> = vocabulary.map_or_else(|| severity::WORDS.to_vec(), |vocabulary| vocabulary.names().collect());
    // An omitted field is empty; a finding always has a severity.
    if names.contains(&written) || written.is_empty() && kind != Kind::Severity {
        return Ok(());
    }
    let meant = match vocabulary {
        Some(vocabulary) => vocabulary.resolve(written).map(str::to_owned),
        None => severity::resolve(written).map(|level| level.to_string()),
    };
    let (field, written) = (kind.name(), shown(written));
    Err(match meant {
        Some(meant) => InvalidExpression::OtherSpelling { field, written, meant },
        None => InvalidExpression::UnknownWord { field, written, known: names.join(", ") },
    })
}
