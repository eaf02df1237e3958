//! Conditions of the operator's own, in the Common Expression Language (<https://cel.dev>).
//!
//! A condition sees `operation environment resource resource_type estimated_cost security_findings metadata requested_by
//! now`; what a task leaves out is empty. It answers yes or no; anything else, an error among them, counts as yes.

mod parse;

use cel::{Context, ExecutionError, Program, Value};
use chrono::{DateTime, Utc};
use regex::Regex;
use std::fmt;
use std::sync::{Arc, LazyLock};

/// The names that a condition may use.
const VARIABLES: [&str; 9] =
    ["operation", "environment", "resource", "resource_type", "estimated_cost", "security_findings", "metadata", "requested_by", "now"];

/// A compiled condition.
#[derive(Clone)]
pub struct Expression {
    source: String,
    program: Arc<Program>,
    variables: Arc<[&'static str]>,
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// Why a text is not a sound condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExpression {
    #[error("is not sound CEL: {0}")]
    Syntax(String),
    #[error("is longer than {0} characters; write several triggers instead")]
    TooLong(usize),
    #[error("is nested too deep; write several triggers instead")]
    TooDeep,
    #[error("uses `{name}`, which is not one of: {known}", name = .0, known = VARIABLES.join(" "))]
    UnknownVariable(String),
    #[error("calls `{0}`, which is no function of CEL")]
    UnknownFunction(String),
    #[error("does not answer true or false but {0}")]
    NotACondition(String),
}

/// What the conditions are evaluated over: one reading of one task.
#[derive(Debug, Clone, Copy)]
pub struct Variables<'a> {
    pub operation: &'a str,
    pub environment: &'a str,
    pub resource: &'a str,
    pub resource_type: &'a str,
    pub estimated_cost: f64,
    pub security_findings: &'a serde_json::Value,
    pub metadata: &'a serde_json::Value,
    pub requested_by: &'a str,
    pub now: DateTime<Utc>,
}

impl Expression {
    /// Compiles a condition, and refuses one that could never be evaluated.
    ///
    /// # Errors
    /// Text that does not parse, names that do not exist, and an answer that is not true or false.
    pub fn compile(source: &str) -> Result<Self, InvalidExpression> {
        let program = parse::program(source)?;
        let references = program.references();
        let variables = VARIABLES.into_iter().filter(|name| references.has_variable(name)).collect();
        let expression = Self { source: source.to_owned(), program: Arc::new(program), variables };
        expression.check_names()?;
        expression.check_answer()?;
        Ok(expression)
    }

    /// Looks for names that nothing declares: evaluation alone would miss those behind a short circuit.
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
        // Some functions exist only as methods (`now.getDayOfWeek()`), so a name is unknown where it is neither.
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

    /// Evaluates the condition over an empty task, to find one that can never answer true or false.
    fn check_answer(&self) -> Result<(), InvalidExpression> {
        let (findings, metadata) = (serde_json::json!([]), serde_json::json!({}));
        let nothing = Variables {
            operation: "",
            environment: "",
            resource: "",
            resource_type: "",
            estimated_cost: 0.0,
            security_findings: &findings,
            metadata: &metadata,
            requested_by: "",
            now: DateTime::UNIX_EPOCH,
        };
        match self.program.execute(&scope(&nothing)) {
            Ok(Value::Bool(_)) | Err(_) => Ok(()),
            Ok(other) => Err(InvalidExpression::NotACondition(other.type_of().to_string())),
        }
    }

    /// The condition as it was written.
    pub fn source(&self) -> &str {
        &self.source
    }

    /// The variables that the condition looks at.
    pub fn variables(&self) -> &[&'static str] {
        &self.variables
    }

    /// Whether the condition holds in this scope.
    ///
    /// # Errors
    /// A condition that fails while it is evaluated, or that answers neither true nor false. The caller counts it as a match.
    pub fn holds(&self, scope: &Scope<'_>) -> Result<bool, String> {
        match self.program.execute(&scope.0) {
            Ok(Value::Bool(answer)) => Ok(answer),
            Ok(other) => Err(format!("it answers {}, not true or false", other.type_of())),
            Err(error) => Err(error.to_string()),
        }
    }
}

/// The variables of one reading, ready for any number of conditions.
pub struct Scope<'a>(Context<'a, 'a>);

impl<'a> Scope<'a> {
    /// Builds the scope; this costs more than evaluating a condition, so it is done once for each reading.
    pub fn new(variables: &Variables<'a>) -> Self {
        Self(scope(variables))
    }
}

fn scope<'a>(variables: &Variables<'a>) -> Context<'a, 'a> {
    let mut context = Context::default();
    for (name, text) in [
        ("operation", variables.operation),
        ("environment", variables.environment),
        ("resource", variables.resource),
        ("resource_type", variables.resource_type),
        ("requested_by", variables.requested_by),
    ] {
        context.add_variable_from_value(name, text.to_owned());
    }
    context.add_variable_from_value("estimated_cost", variables.estimated_cost);
    context.add_variable_from_value("now", Value::Timestamp(variables.now.fixed_offset()));
    for (name, json) in [("security_findings", variables.security_findings), ("metadata", variables.metadata)] {
        // A value that CEL cannot hold is left undeclared: conditions that use it fail, and so count as matched.
        let _ = context.add_variable(name, json);
    }
    context
}

fn is_identifier(name: &str) -> bool {
    name.starts_with(|first: char| first.is_ascii_alphabetic()) && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
}

/// The names that `all exists exists_one map filter` bind, as in `security_findings.exists(f, f.severity == "high")`.
fn bound_by_macros(source: &str) -> Vec<&str> {
    static BINDER: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r"\.\s*(?:all|exists|exists_one|map|filter)\s*\(\s*([A-Za-z_][A-Za-z0-9_]*)\s*,").expect("a sound pattern")
    });
    BINDER.captures_iter(source).filter_map(|found| found.get(1)).map(|name| name.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;
    use serde_json::json;

    fn holds(source: &str) -> Result<bool, String> {
        let (findings, metadata) = (json!([{"severity": "high", "id": "CVE-1"}]), json!({"ticket": "OPS-7", "rows": 12}));
        let variables = Variables {
            operation: "deploy",
            environment: "production",
            resource: "api",
            resource_type: "code",
            estimated_cost: 12.5,
            security_findings: &findings,
            metadata: &metadata,
            requested_by: "deploy-bot",
            now: Utc.with_ymd_and_hms(2026, 11, 20, 12, 0, 0).unwrap(),
        };
        Expression::compile(source).unwrap().holds(&Scope::new(&variables))
    }

    #[test]
    fn sees_the_task_and_the_time() {
        for source in [
            r#"operation == "deploy" && now.getDayOfWeek() == 5"#,
            r#"security_findings.exists(f, f.severity == "high")"#,
            r#"metadata.ticket.startsWith("OPS-") && metadata.rows > 10"#,
            r#"estimated_cost > 12.0 && requested_by.endsWith("-bot")"#,
            r#"resource.matches("^a.i$") && resource_type in ["code", "database"]"#,
            "type(resource) == string",
        ] {
            assert_eq!(holds(source), Ok(true), "{source}");
        }
        assert_eq!(holds(r#"environment == "staging""#), Ok(false));
    }

    #[test]
    fn a_condition_that_fails_says_so() {
        assert!(holds("metadata.absent == 1").is_err());
        assert!(holds(r#"metadata.ticket"#).is_err());
        assert!(holds("metadata.rows / 0 == 1").is_err());
    }

    #[test]
    fn refuses_what_could_never_be_evaluated() {
        for (source, expected) in [
            ("operation ==", "sound CEL"),
            ("", "sound CEL"),
            (r#"enviroment == "production""#, "enviroment"),
            (r#"operation == "x" && enviroment == "production""#, "enviroment"),
            (r#"operation.beginsWith("d")"#, "beginsWith"),
            ("estimated_cost + 1.0", "does not answer"),
            ("operation", "does not answer"),
        ] {
            let refused = Expression::compile(source).err().map(|error| error.to_string());
            assert!(refused.as_ref().is_some_and(|text| text.contains(expected)), "{source}: {refused:?}");
        }
    }
}
