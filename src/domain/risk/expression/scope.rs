//! The variables of conditions: the claims of a task, prepared once, and a scope for each reading
//! of it.

use crate::domain::risk::{severity, terraform};
use crate::domain::task::SecurityFinding;
use crate::domain::task::metadata::Metadata;
use crate::domain::task::terraform::Summary;
use cel::objects::{Key, Map as CelMap};
use cel::{Context, Env, Value};
use chrono::{DateTime, Utc};
use serde_json::{Map, Number, Value as Json};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};

/// The functions of CEL, built once.
static FUNCTIONS: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib()));

/// The variables that all readings of a task share.
#[derive(Debug, Clone, Copy)]
pub struct Common<'a> {
    pub estimated_cost: f64,
    pub security_findings: &'a [SecurityFinding],
    pub metadata: &'a Metadata,
    pub plan: Option<&'a Summary>,
    pub requested_by: &'a str,
    pub now: DateTime<Utc>,
}

/// The words of one reading.
#[derive(Debug, Clone, Copy)]
pub struct Words<'a> {
    pub operation: &'a str,
    pub environment: &'a str,
    pub resource_type: &'a str,
    /// `None` means it could be any, so that a condition that depends on it counts as a match.
    pub resource: Option<&'a str>,
}

/// The shared variables, prepared for any number of readings; only those in `variables`.
pub struct Base(Context<'static, 'static>);

/// One reading, prepared for any number of conditions.
pub struct Scope<'b>(Context<'b, 'static>);

impl Base {
    /// Prepares the variables. The cost is proportional to the length of the claims.
    pub fn new(common: &Common<'_>, variables: &[&str]) -> Self {
        let mut context = Context::with_env(Arc::clone(&FUNCTIONS));
        let mut add = |name: &str, value: &dyn Fn() -> Value| {
            if variables.contains(&name) {
                context.add_variable_from_value(name, value());
            }
        };
        add("requested_by", &|| text(common.requested_by));
        add("estimated_cost", &|| Value::Float(common.estimated_cost));
        add("now", &|| Value::Timestamp(common.now.fixed_offset()));
        add("security_findings", &|| Value::List(Arc::new(common.security_findings.iter().map(finding).collect())));
        add("metadata", &|| object(common.metadata));
        add(terraform::VARIABLE, &|| object(&terraform::variable(common.plan)));
        Self(context)
    }

    /// The scope of one reading.
    pub fn scope(&self, words: &Words<'_>) -> Scope<'_> {
        let mut scope = self.0.new_inner_scope();
        for (name, word) in [("operation", words.operation), ("environment", words.environment), ("resource_type", words.resource_type)] {
            scope.add_variable_from_value(name, text(word));
        }
        if let Some(resource) = words.resource {
            scope.add_variable_from_value("resource", text(resource));
        }
        Scope(scope)
    }
}

impl<'b> Scope<'b> {
    /// The context that CEL evaluates in.
    pub fn context(&self) -> &Context<'b, 'static> {
        &self.0
    }

    /// The same scope with one more variable, such as that of a macro.
    pub fn with(&self, name: &str, value: Value) -> Scope<'_> {
        let mut scope = self.0.new_inner_scope();
        scope.add_variable_from_value(name, value);
        Scope(scope)
    }
}

fn text(text: &str) -> Value {
    Value::String(Arc::new(text.to_owned()))
}

/// A finding as conditions see it. Its severity is one of the four words, whatever the scanner
/// wrote.
fn finding(finding: &SecurityFinding) -> Value {
    let severity = severity::counted(&finding.severity);
    let fields = [("severity", Some(severity.as_str())), ("id", finding.id.as_deref()), ("title", finding.title.as_deref())];
    let fields = fields.into_iter().filter_map(|(name, value)| Some((key(name), text(value?))));
    Value::Map(CelMap { map: Arc::new(fields.collect()) })
}

fn key(name: &str) -> Key {
    Key::String(Arc::new(name.to_owned()))
}

fn object(fields: &Map<String, Json>) -> Value {
    let fields: HashMap<Key, Value> = fields.iter().map(|(name, value)| (key(name), value_of(value))).collect();
    Value::Map(CelMap { map: Arc::new(fields) })
}

/// A JSON value as conditions see it.
pub fn value_of(json: &Json) -> Value {
    match json {
        Json::Null => Value::Null,
        Json::Bool(truth) => Value::Bool(*truth),
        Json::Number(number) => number_of(number),
        Json::String(written) => text(written),
        Json::Array(items) => Value::List(Arc::new(items.iter().map(value_of).collect())),
        Json::Object(fields) => object(fields),
    }
}

/// Whole numbers are `int`, however they are written (`2`, `2.0` and `2e0` are one number); all
/// other numbers, and those too large for an `int`, are `double`.
fn number_of(number: &Number) -> Value {
    /// 2⁶³, the first double above every `int`.
    const BEYOND: f64 = 9_223_372_036_854_775_808.0;
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) => Value::Int(whole),
        #[expect(clippy::cast_possible_truncation, reason = "it is whole and within the bounds of an i64")]
        (None, Some(double)) if double.fract() == 0.0 && (-BEYOND..BEYOND).contains(&double) => Value::Int(double as i64),
        (None, double) => Value::Float(double.unwrap_or(f64::INFINITY)),
    }
}
