//! Which requests a grant covers. A field that the pattern omits has to be omitted by the request
//! as well, so an omission never widens a grant.

use crate::domain::risk::target::Target;
use crate::domain::task::{Action, ActionKind};
use crate::domain::text::shown;
use regex::Regex;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// What a star matches: visible ASCII without `/`, so that it stays within one path segment.
const STAR: &str = "[!-.0-~]*";
/// The most characters in a text with stars.
const LONGEST: usize = 1024;

/// A kind of request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pattern {
    /// The requester.
    pub requester: String,
    /// The canonical word.
    pub operation: String,
    /// The canonical word. A request whose environment is unknown never matches.
    pub environment: String,
    /// The resource; `None` covers only requests that name none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource: Option<Like>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resource_type: Option<String>,
    pub action: ActionPattern,
}

/// The action that a grant covers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ActionPattern {
    #[serde(rename = "type")]
    pub kind: ActionKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Every argument, by name. A request must have these and no others.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub args: BTreeMap<String, ArgumentPattern>,
}

/// The pattern of one argument.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Value", into = "Value")]
pub enum ArgumentPattern {
    /// Exactly this value.
    Is(Value),
    /// Text that matches this pattern.
    Like(Like),
    /// Any text, number or boolean.
    Any,
}

/// A text pattern in which a star matches visible ASCII without `/`. It is case-sensitive.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Like {
    written: String,
    whole: Regex,
}

impl Like {
    /// Parses a text pattern.
    ///
    /// # Errors
    /// The text is only stars, which would match everything, or it is too long.
    pub fn new(written: &str) -> Result<Self, String> {
        if !written.chars().any(char::is_alphanumeric) {
            return Err(format!("`{}` names nothing: write at least one letter or digit beside the stars", shown(written)));
        }
        if written.chars().count() > LONGEST {
            return Err(format!("is longer than {LONGEST} characters"));
        }
        let parts: Vec<String> = written.split('*').map(regex::escape).collect();
        let whole = Regex::new(&format!(r"\A{}\z", parts.join(STAR))).map_err(|_| "is too long to be compared".to_owned())?;
        Ok(Self { written: written.to_owned(), whole })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }
}

impl PartialEq for Like {
    fn eq(&self, other: &Self) -> bool {
        self.written == other.written
    }
}

impl TryFrom<String> for Like {
    type Error = String;

    fn try_from(written: String) -> Result<Self, String> {
        Self::new(&written)
    }
}

impl From<Like> for String {
    fn from(like: Like) -> Self {
        like.written
    }
}

impl TryFrom<Value> for ArgumentPattern {
    type Error = String;

    /// A bare text, number or boolean stands for itself; anything else is written as `{"is": …}`,
    /// `{"like": "api-*"}` or `{"any": true}`.
    fn try_from(written: Value) -> Result<Self, String> {
        const FORMS: &str = r#"write a text, a number, true or false, {"is": a value}, {"like": "api-*"} or {"any": true}"#;
        let form = match written {
            Value::Object(form) => form,
            bare @ (Value::String(_) | Value::Number(_) | Value::Bool(_)) => return Ok(Self::Is(bare)),
            Value::Null | Value::Array(_) => return Err(FORMS.to_owned()),
        };
        let mut form = form.into_iter();
        match (form.next(), form.next()) {
            (Some((key, value)), None) if key == "is" => Ok(Self::Is(value)),
            (Some((key, Value::String(like))), None) if key == "like" => Like::new(&like).map(Self::Like),
            (Some((key, Value::Bool(true))), None) if key == "any" => Ok(Self::Any),
            _ => Err(FORMS.to_owned()),
        }
    }
}

impl From<ArgumentPattern> for Value {
    fn from(pattern: ArgumentPattern) -> Self {
        match pattern {
            ArgumentPattern::Is(bare @ (Self::String(_) | Self::Number(_) | Self::Bool(_))) => bare,
            ArgumentPattern::Is(value) => json!({ "is": value }),
            ArgumentPattern::Like(like) => json!({ "like": like.written }),
            ArgumentPattern::Any => json!({ "any": true }),
        }
    }
}

impl ArgumentPattern {
    /// Whether a value matches.
    pub fn matches(&self, value: &Value) -> bool {
        match self {
            Self::Is(wanted) => wanted == value,
            Self::Like(like) => value.as_str().is_some_and(|text| like.matches(text)),
            Self::Any => matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_)),
        }
    }
}

impl ActionPattern {
    fn matches(&self, action: &Action) -> bool {
        let fits = |args: &Map<String, Value>| {
            args.len() == self.args.len()
                && args.iter().all(|(name, value)| self.args.get(name).is_some_and(|wanted| wanted.matches(value)))
        };
        self.kind == action.kind && self.name == action.name && fits(&action.args)
    }

    /// The pattern of exactly this action, with all of its arguments.
    pub fn exactly(action: &Action) -> Self {
        let args = action.args.iter().map(|(name, value)| (name.clone(), ArgumentPattern::Is(value.clone()))).collect();
        Self { kind: action.kind, name: action.name.clone(), args }
    }
}

impl Pattern {
    /// Whether a request is of this kind, judged by its known target and not by its claims.
    pub fn matches(&self, requester: &str, target: &Target, action: &Action) -> bool {
        let fits = match (&self.resource, &target.resource) {
            (None, None) => true,
            (Some(like), Some(resource)) => like.matches(resource),
            _ => false,
        };
        fits && self.requester == requester
            && self.operation == target.operation
            && target.environment.as_deref() == Some(&self.environment)
            && self.resource_type == target.resource_type
            && self.action.matches(action)
    }

    /// The narrowest pattern that matches a request.
    ///
    /// # Errors
    /// The reason why no pattern matches it.
    pub fn exactly(requester: &str, target: &Target, action: &Action) -> Result<Self, String> {
        let environment = target.environment.clone().ok_or("it names no environment, and only what names one is granted")?;
        let resource = target.resource.as_deref().map(|resource| {
            if resource.contains('*') { Err("its resource has a star in its name".to_owned()) } else { Like::new(resource) }
        });
        let resource = resource.transpose()?;
        let (requester, operation, resource_type) = (requester.to_owned(), target.operation.clone(), target.resource_type.clone());
        Ok(Self { requester, operation, environment, resource, resource_type, action: ActionPattern::exactly(action) })
    }

    /// In a line: `deploy-bot: deploy api-* in staging by runbook deploy (service like "api-*")`.
    pub fn headline(&self) -> String {
        let on = self.resource.as_ref().map(|like| format!(" {}", shown(like.as_str()))).unwrap_or_default();
        let named = self.action.name.as_deref().map(|name| format!(" {}", shown(name))).unwrap_or_default();
        let args = self.action.args.iter().map(|(name, wanted)| match wanted {
            ArgumentPattern::Is(value) => format!("{} {}", shown(name), shown(&value.to_string())),
            ArgumentPattern::Like(like) => format!("{} like \"{}\"", shown(name), shown(like.as_str())),
            ArgumentPattern::Any => format!("{} any", shown(name)),
        });
        let args = args.collect::<Vec<_>>().join(", ");
        let args = if args.is_empty() { args } else { format!(" ({args})") };
        let (requester, operation, environment) = (&self.requester, shown(&self.operation), shown(&self.environment));
        format!("{requester}: {operation}{on} in {environment} by {}{named}{args}", self.action.kind.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn like(text: &str) -> Like {
        Like::new(text).unwrap()
    }

    #[test]
    fn a_star_matches_visible_ascii_within_one_segment() {
        for (pattern, text, expected) in [
            ("api-*", "api-gateway", true),
            ("api-*", "api-", true),
            ("api-*", "api", false),
            ("api-*", "API-gateway", false),
            ("api-*", "my-api-gateway", false),
            ("api-*", "api-x/../../prod", false),
            ("team/*", "team/api", true),
            ("team/*", "team/api/db", false),
            ("api-*", "api-\u{202e}x", false),
            ("api-*", "api-x y", false),
            ("a.c", "abc", false),
            ("a*c*e", "abcde", true),
            ("v1", "v1\n", false),
        ] {
            assert_eq!(like(pattern).matches(text), expected, "{pattern} {text:?}");
        }
        for nothing in ["*", "", "**", "-*", "/*", " "] {
            assert!(Like::new(nothing).is_err(), "{nothing:?}");
        }
    }

    #[test]
    fn an_argument_matches_literally_unless_it_is_a_pattern() {
        let read = |value: Value| ArgumentPattern::try_from(value);
        assert!(read(json!("api-*")).unwrap().matches(&json!("api-*")));
        assert!(!read(json!("api-*")).unwrap().matches(&json!("api-x")), "a bare star is a star");
        assert!(read(json!({"like": "api-*"})).unwrap().matches(&json!("api-x")));
        assert!(!read(json!({"like": "api-*"})).unwrap().matches(&json!(["api-x"])));
        assert!(read(json!({"is": ["a"]})).unwrap().matches(&json!(["a"])));
        assert!(!read(json!(1)).unwrap().matches(&json!("1")));
        for (value, fits) in
            [(json!("x"), true), (json!(1), true), (json!(false), true), (json!(null), false), (json!(["x"]), false), (json!({}), false)]
        {
            assert_eq!(read(json!({"any": true})).unwrap().matches(&value), fits, "{value}");
        }
        for wrong in [
            json!(null),
            json!(["a"]),
            json!({}),
            json!({"any": false}),
            json!({"like": "*"}),
            json!({"is": 1, "any": true}),
            json!({"other": 1}),
        ] {
            assert!(read(wrong.clone()).is_err(), "{wrong}");
        }
        for written in [json!("x"), json!({"is": null}), json!({"like": "a*"}), json!({"any": true})] {
            assert_eq!(Value::from(read(written.clone()).unwrap()), written);
        }
    }
}
