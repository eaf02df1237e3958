//! The operator's own conditions, in the Common Expression Language (<https://cel.dev>).
//!
//! A condition sees `operation`, `environment`, `resource`, `resource_type`, `estimated_cost`,
//! `security_findings`, `metadata`, `plan`, `requested_by` and `now`; fields that a task omits are
//! empty. It returns true or false. Anything else, including an error, counts as true.
//!
//! The configuration check refuses a condition that could never be evaluated ([`samples`]), that
//! compares with a word that it never sees ([`words`]), or whose steps could multiply ([`parse`]).
//! The cost of an evaluation is known beforehand ([`cost`]).

pub mod cost;
mod parse;
mod samples;
pub mod scope;
pub mod words;

use crate::domain::risk::terraform;
use cel::{Context, ExecutionError, Program, Value};
use chrono::DateTime;
use regex::Regex;
use scope::{Base, Common, Scope, Words};
use std::fmt;
use std::sync::{Arc, LazyLock};

/// The names that a condition may use.
const VARIABLES: [&str; 10] = [
    "operation",
    "environment",
    "resource",
    "resource_type",
    "estimated_cost",
    "security_findings",
    "metadata",
    terraform::VARIABLE,
    "requested_by",
    "now",
];

/// A compiled condition.
#[derive(Clone)]
pub struct Expression {
    source: String,
    program: Arc<Program>,
    variables: Arc<[&'static str]>,
    /// The patterns of `matches`, with the size of each.
    patterns: Arc<[(String, usize)]>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// Why a condition is invalid.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExpression {
    #[error("is not valid CEL: {0}")]
    Syntax(String),
    #[error("is longer than {0} characters; write several triggers instead")]
    TooLong(usize),
    #[error("is nested too deep; write several triggers instead")]
    TooDeep,
    #[error("uses `{name}`, which is not one of: {known}", name = .0, known = VARIABLES.join(" "))]
    UnknownVariable(String),
    #[error("calls `{0}`, which is not a CEL function")]
    UnknownFunction(String),
    #[error("has the result {0}, not true or false")]
    NotACondition(String),
    #[error("runs a loop inside a loop (all, exists, exists_one, map, filter), whose steps multiply; write several triggers instead")]
    LoopInLoop,
    #[error("calls `matches` with a pattern that is not written out; write it in quotes")]
    ChosenPattern,
    #[error("calls `matches` with a pattern that cannot be used: {0}")]
    Pattern(String),
    #[error("can never be evaluated, so that it would match every task: {0}")]
    AlwaysFails(String),
    #[error("reads plan.{field}, which is not one of: {known}")]
    UnknownPlanField { field: String, known: String },
    #[error("compares {0} with something that is not text, which never matches")]
    NoWord(&'static str),
    #[error("compares {field} with `{written}`, which never matches: conditions see the canonical word, so write `{meant}`")]
    OtherSpelling { field: &'static str, written: String, meant: String },
    #[error("compares {field} with `{written}`, which never matches; known are: {known}")]
    UnknownWord { field: &'static str, written: String, known: String },
}

impl Expression {
    /// Compiles a condition, and refuses one that could never be evaluated.
    ///
    /// # Errors
    /// The text does not parse, names something that does not exist, or yields neither true nor
    /// false.
    pub fn compile(source: &str) -> Result<Self, InvalidExpression> {
        let program = parse::program(source)?;
        let references = program.references();
        let variables = VARIABLES.into_iter().filter(|name| references.has_variable(name)).collect();
        let patterns = parse::patterns(program.expression())?.into();
        let expression = Self { source: source.to_owned(), program: Arc::new(program), variables, patterns };
        expression.check_names()?;
        expression.check_answer()?;
        samples::check(expression.program.expression())?;
        Ok(expression)
    }

    /// Checks for undeclared names. Evaluation alone would miss those behind a short circuit.
    fn check_names(&self) -> Result<(), InvalidExpression> {
        let references = self.program.references();
        let undeclared = |probe: String| {
            matches!(
                Program::compile(&probe).map(|probe| probe.execute(&Context::default())),
                Ok(Err(ExecutionError::UndeclaredReference(_)))
            )
        };
        let mut functions: Vec<_> = references.functions().into_iter().filter(|name| is_identifier(name)).collect();
        functions.sort_unstable();
        // Some functions exist only as methods (`now.getDayOfWeek()`), so a name is unknown if it
        // is neither.
        if let Some(name) = functions.into_iter().find(|name| undeclared(format!("{name}()")) && undeclared(format!("''.{name}()"))) {
            return Err(InvalidExpression::UnknownFunction(name.to_owned()));
        }
        let bound = bound_by_macros(&self.source);
        let mut variables: Vec<_> =
            references.variables().into_iter().filter(|name| !VARIABLES.contains(name) && !bound.contains(name)).collect();
        variables.sort_unstable();
        if let Some(name) = variables.into_iter().find(|name| undeclared((*name).to_owned())) {
            return Err(InvalidExpression::UnknownVariable(name.to_owned()));
        }
        Ok(())
    }

    /// Evaluates the condition over an empty task, to find a condition that can never return true
    /// or false.
    fn check_answer(&self) -> Result<(), InvalidExpression> {
        let metadata = crate::domain::task::metadata::Metadata::default();
        let common = Common {
            estimated_cost: 0.0,
            security_findings: &[],
            metadata: &metadata,
            plan: None,
            requested_by: "",
            now: DateTime::UNIX_EPOCH,
        };
        let base = Base::new(&common, &VARIABLES);
        let nothing = Words { operation: "", environment: "", resource_type: "", resource: Some("") };
        match self.program.execute(base.scope(&nothing).context()) {
            Ok(Value::Bool(_)) | Err(_) => Ok(()),
            Ok(other) => Err(InvalidExpression::NotACondition(other.type_of().to_string())),
        }
    }

    /// Checks for comparisons with a word that is on none of these lists, or that is a variant
    /// spelling of one.
    ///
    /// # Errors
    /// The first of them.
    pub fn check_words(&self, lists: &words::Lists<'_>) -> Result<(), InvalidExpression> {
        words::check(self.program.expression(), lists, &mut Vec::new())
    }

    /// The most steps that an evaluation over these claims takes.
    pub fn steps(&self, claims: &cost::Claims<'_>) -> u64 {
        cost::steps(self.program.expression(), &cost::Known { claims, patterns: &self.patterns })
    }

    /// The condition as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The variables that the condition reads.
    pub fn variables(&self) -> &[&'static str] {
        &self.variables
    }

    /// Whether the condition holds in this scope.
    ///
    /// # Errors
    /// The condition fails while it is evaluated, or yields neither true nor false. The caller
    /// counts that as a match.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, String> {
        match self.program.execute(scope.context()) {
            Ok(Value::Bool(answer)) => Ok(answer),
            Ok(other) => Err(format!("it answers {}, not true or false", other.type_of())),
            Err(error) => Err(told(&error)),
        }
    }
}

/// A failure in words. It names the type that was wrong, and not the value.
fn told(error: &ExecutionError) -> String {
    let name = |value: &Value| match value {
        Value::Float(_) => "double".to_owned(),
        other => other.type_of().to_string(),
    };
    match error {
        ExecutionError::UnsupportedBinaryOperator(operator, left, right) => {
            let symbol = match *operator {
                "add" => "+",
                "sub" => "-",
                "mul" => "*",
                "div" => "/",
                "rem" => "%",
                other => other,
            };
            format!("CEL knows no {} {symbol} {}; both sides have to be of one type, such as 12.0 beside a double", name(left), name(right))
        }
        other => other.to_string(),
    }
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The names that `all exists exists_one map filter` bind, as in
/// `security_findings.exists(f, f.severity == "high")`.
fn bound_by_macros(source: &str) -> Vec<&str> {
    static BINDER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_][A-Za-z0-9_]*)\s*,").expect("a valid pattern")
    });
    BINDER.captures_iter(source).filter_map(|found| found.get(1)).map(|name| name.as_str()).collect()
}

#[cfg(test)]
mod tests;
