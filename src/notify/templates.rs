//! The text of messages, from Jinja templates. Each channel has one, and an operator may replace
//! it.
//!
//! The syntax of an operator's template is checked when the server starts. If the template still
//! fails when a message is rendered, because it names something that does not exist or takes too
//! long, the shipped one is used instead: a notice matters more than its form.

use crate::notify::message::Message;
use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, Error, UndefinedBehavior, Value};

/// How many steps a template may take, which also bounds its output. The largest group takes about
/// a tenth of them.
const FUEL: u64 = 500_000;

/// The templates that are compiled in.
#[derive(Debug, Clone, Copy)]
pub enum Shipped {
    Slack,
    Email,
    /// Escapes what it is given for HTML.
    EmailHtml,
    LinearIssue,
    LinearComment,
    PagerDuty,
}

impl Shipped {
    fn source(self) -> &'static str {
        match self {
            Self::Slack => include_str!("templates/slack.txt"),
            Self::Email => include_str!("templates/email.txt"),
            Self::EmailHtml => include_str!("templates/email.html"),
            Self::LinearIssue => include_str!("templates/linear_issue.md"),
            Self::LinearComment => include_str!("templates/linear_comment.md"),
            Self::PagerDuty => include_str!("templates/pagerduty.txt"),
        }
    }

    fn escapes(self) -> AutoEscape {
        if matches!(self, Self::EmailHtml) { AutoEscape::Html } else { AutoEscape::None }
    }
}

/// A template, and the shipped one that is used if it fails.
#[derive(Debug)]
pub struct Template {
    environment: Environment<'static>,
    has_own: bool,
}

const SHIPPED: &str = "shipped";
const OWN: &str = "own";

impl Template {
    /// A shipped template, or the operator's in its place.
    ///
    /// # Errors
    /// What is wrong with the operator's template, and in which line.
    pub fn new(shipped: Shipped, own: Option<&str>) -> Result<Self, String> {
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_fuel(Some(FUEL));
        let escapes = shipped.escapes();
        environment.set_auto_escape_callback(move |_| escapes.clone());
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build();
        environment.set_syntax(syntax.map_err(|error| explain(&error))?);
        environment.add_filter("fenced", fenced);
        environment.add_filter("quoted", quoted);
        environment.add_template(SHIPPED, shipped.source()).map_err(|error| explain(&error))?;
        if let Some(own) = own {
            environment.add_template_owned(OWN, own.to_owned()).map_err(|error| explain(&error))?;
        }
        Ok(Self { environment, has_own: own.is_some() })
    }

    /// The text of a message.
    pub fn render(&self, message: &Message) -> String {
        let message = Value::from(Serde(message));
        if self.has_own {
            match self.render_one(OWN, &message) {
                Ok(text) => return text,
                Err(error) => tracing::warn!(reason = explain(&error), "a template failed; the shipped one is used"),
            }
        }
        self.render_one(SHIPPED, &message).unwrap_or_else(|error| {
            tracing::error!(reason = explain(&error), "a shipped template failed; the message has only its title");
            message.get_attr("title").map(|title| title.to_string()).unwrap_or_default()
        })
    }

    fn render_one(&self, name: &str, message: &Value) -> Result<String, Error> {
        self.environment.get_template(name)?.render(message)
    }
}

/// What is wrong with a template, and in which line.
fn explain(error: &Error) -> String {
    let line = error.line().map(|line| format!(" in line {line}")).unwrap_or_default();
    match error.detail() {
        Some(detail) => format!("{}{line}: {detail}", error.kind()),
        None => format!("{}{line}", error.kind()),
    }
}

/// Text as a code block in Markdown. The fence is longer than any in the text, so that the text
/// cannot end the block.
pub fn fenced(text: &str) -> String {
    let text = text.trim_end_matches('\n');
    let longest = text.split(|character| character != '`').map(str::len).max().unwrap_or_default();
    let fence = "`".repeat(longest.max(2) + 1);
    format!("{fence}\n{text}\n{fence}")
}

/// Text with a mark before each line, so that no line can be mistaken for one of parkbrake's.
fn quoted(text: &str) -> String {
    text.split('\n').map(|line| format!("> {line}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fence_holds_whatever_is_in_it() {
        assert_eq!(fenced("plain"), "```\nplain\n```");
        assert_eq!(fenced("```\n# out"), "````\n```\n# out\n````");
        assert_eq!(fenced("a `````` b"), "```````\na `````` b\n```````");
    }

    #[test]
    fn an_invalid_template_is_refused_with_its_line() {
        let error = Template::new(Shipped::Slack, Some("fine\n{% if %}")).unwrap_err();
        assert!(error.contains("line 2"), "{error}");
    }
}
