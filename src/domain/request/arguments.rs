//! The arguments that runbooks and webhooks declare, the patterns of their values, and the
//! placeholders that they fill.

use crate::domain::text::shown;
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::{BTreeMap, BTreeSet};

/// The rules for one argument.
#[derive(Debug, Clone)]
pub struct Argument {
    pub pattern: Pattern,
    /// Whether a value may begin with `-`, which programs take for an option.
    pub dash: bool,
    /// Whether an output of an earlier step that matches the pattern needs no approval of its own.
    pub output_without_approval: bool,
}

impl Argument {
    /// Why a value is not accepted.
    pub fn refuses(&self, value: &str) -> Option<String> {
        if !self.dash && value.starts_with('-') {
            let value = shown(value);
            return Some(format!("`{value}` begins with `-`, which a program would take for an option; this argument takes no such value"));
        }
        let fits = self.pattern.matches(value);
        (!fits).then(|| format!("`{}` does not match the pattern {}", shown(value), self.pattern.source))
    }
}

/// A regular expression that must match the whole value.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    whole: Regex,
}

impl Pattern {
    /// Compiles a pattern; it is anchored at both ends.
    ///
    /// # Errors
    /// The error of the `regex` crate for an invalid pattern.
    pub fn new(source: &str) -> Result<Self, String> {
        // Compiled alone first, so that an unbalanced `a)|(b` cannot escape the anchors.
        Regex::new(source).map_err(|error| error.to_string())?;
        let whole = Regex::new(&format!(r"\A(?:{source})\z"));
        // If that fails, a comment in verbose mode extends to the end of the pattern and hides the
        // parenthesis. A line break ends the comment and means nothing else in that mode.
        let whole = whole.or_else(|_| Regex::new(&format!("\\A(?:{source}\n)\\z"))).map_err(|error| error.to_string())?;
        Ok(Self { source: source.to_owned(), whole })
    }

    /// Whether the whole text matches.
    pub fn matches(&self, text: &str) -> bool {
        self.whole.is_match(text)
    }
}

/// Text with placeholders, `{{ name }}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Argument(String),
}

impl Template {
    /// Parses text with placeholders.
    ///
    /// # Errors
    /// A placeholder without an end or without a name.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (name, after) = after.split_once("}}").ok_or_else(|| format!("`{text}` has a `{{{{` without `}}}}`"))?;
            let name = name.trim();
            if name.is_empty() {
                return Err(format!("`{text}` has a placeholder without a name"));
            }
            if !before.is_empty() {
                pieces.push(Piece::Text(before.to_owned()));
            }
            pieces.push(Piece::Argument(name.to_owned()));
            rest = after;
        }
        if !rest.is_empty() || pieces.is_empty() {
            pieces.push(Piece::Text(rest.to_owned()));
        }
        Ok(Self(pieces))
    }

    /// Text that is taken literally, whatever it contains.
    pub fn plain(text: &str) -> Self {
        Self(vec![Piece::Text(text.to_owned())])
    }

    /// The arguments of its placeholders.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Argument(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// Whether the text begins with a placeholder.
    pub fn starts_with_argument(&self) -> bool {
        matches!(self.0.first(), Some(Piece::Argument(_)))
    }

    /// The text, if it has no placeholders.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// The text with its placeholders filled. A missing argument is empty.
    pub fn fill(&self, args: &BTreeMap<String, String>) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Argument(name) => args.get(name).map_or("", String::as_str),
            })
            .collect()
    }
}

/// A mismatch of one argument of a request, with the argument's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub argument: String,
    pub detail: String,
}

/// The arguments that cannot wait for an output, because they have to be known when the plan is
/// submitted: they say what an action acts on, or what is checked before it starts.
pub fn awaited_too_early<'a>(known: impl IntoIterator<Item = &'a Template>, awaits: &[String]) -> Vec<Misfit> {
    let named: BTreeSet<&str> = known.into_iter().flat_map(Template::arguments).collect();
    let detail = "determines what the action acts on, or is read by its precondition, so it has to be known at submission and cannot be an output of a step";
    let misfit = |name: &String| Misfit { argument: name.clone(), detail: detail.to_owned() };
    awaits.iter().filter(|name| named.contains(name.as_str())).map(misfit).collect()
}

/// The arguments of a request as text, if they are those that `source` declares. Awaited arguments
/// have no value yet and stay as they are written.
///
/// # Errors
/// Every argument that is missing or unknown, or that does not match its pattern.
pub fn checked(
    declared: &BTreeMap<String, Argument>,
    given: &Map<String, Value>,
    awaits: &[String],
    source: &str,
) -> Result<BTreeMap<String, String>, Vec<Misfit>> {
    let mut misfits: Vec<Misfit> = given
        .keys()
        .filter(|name| !declared.contains_key(*name))
        .map(|name| Misfit { argument: name.clone(), detail: format!("{source} has no such argument") })
        .collect();
    let mut args = BTreeMap::new();
    for (name, argument) in declared {
        match given.get(name).map(as_text) {
            None => misfits.push(Misfit { argument: name.clone(), detail: format!("is required by the {source}") }),
            Some(None) => misfits.push(Misfit { argument: name.clone(), detail: "has to be text, a number or a boolean".to_owned() }),
            Some(Some(text)) => match argument.refuses(&text).filter(|_| !awaits.contains(name)) {
                Some(detail) => misfits.push(Misfit { argument: name.clone(), detail }),
                None => {
                    args.insert(name.clone(), text);
                }
            },
        }
    }
    if misfits.is_empty() { Ok(args) } else { Err(misfits) }
}

fn as_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(truth) => Some(truth.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_anchored_whatever_their_mode() {
        for (pattern, taken, refused) in [
            ("(?x) [a-z]+ # a name", "api", "api2"),
            ("(?x)[a-z]+#", "api", "a i"),
            ("(?x: a # inside\n )b", "ab", "abb"),
            ("a|b", "b", "ab"),
            ("(?m)^a$", "a", "a\nb"),
            ("(?s).", "\n", "ab"),
            ("[#]+", "##", "#a"),
            ("a\\#", "a#", "a#b"),
        ] {
            let pattern = Pattern::new(pattern).unwrap_or_else(|error| panic!("{pattern}: {error}"));
            assert!(pattern.matches(taken) && !pattern.matches(refused), "{pattern:?}");
        }
        for invalid in ["a)|(b", "(", "[a", "a)|(b # x", "(?x) a)|(b # x"] {
            assert!(Pattern::new(invalid).is_err(), "{invalid}");
        }
    }

    #[test]
    fn a_template_without_an_end_or_a_name_is_refused() {
        assert!(Template::parse("{{ service").is_err());
        assert!(Template::parse("{{ }}").is_err());
        assert_eq!(Template::parse("").unwrap().literal(), Some(""));
    }
}
