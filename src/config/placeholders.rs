//! The placeholders of a runbook or a webhook, `{{ name }}`, checked against the arguments that it
//! declares.

use crate::config::names;
use crate::config::value::At;
use crate::config::words::Words;
use crate::domain::request::arguments::{Argument, Pattern, Template};
use crate::domain::text::shown;
use serde_json::{Map, Value, json};
use std::collections::BTreeSet;

/// The placeholders of one entry, and their positions.
#[derive(Debug, Default)]
pub struct Placeholders<'s> {
    named: Vec<(String, At<'s>)>,
    args: BTreeSet<String>,
}

impl<'s> Placeholders<'s> {
    fn template(&mut self, at: &At<'s>) -> Option<(&'s str, Template)> {
        let (text, template) = (at.text()?, at.parsed(Template::parse)?);
        self.named.extend(template.arguments().map(|name| (name.to_owned(), at.clone())));
        Some((text, template))
    }

    /// Text that arguments fill.
    pub fn text(&mut self, at: &At<'s>) -> Option<(&'s str, Template)> {
        self.template(at)
    }

    /// A fact that parkbrake knows about the task: a word of a list, or the value of an argument.
    pub fn fact(&mut self, at: &At<'s>, words: Option<&Words<'_>>) -> Option<(&'s str, Template)> {
        let (text, template) = self.template(at)?;
        match (template.literal(), words) {
            (Some(_), Some(words)) => drop(words.resolve(at)),
            (Some(literal), None) if literal.trim().is_empty() => {
                at.problem("is empty; write a name or a placeholder, or leave the key out")
            }
            _ => {}
        }
        Some((text, template))
    }

    /// The argument vector. No argument may choose its first element, the program.
    pub fn command(&mut self, at: &At<'s>) -> Vec<(&'s str, Template)> {
        let parts = at.items("a program and its arguments").unwrap_or_default();
        if at.is_empty() {
            at.problem("is empty; write the program and its arguments, such as [support/runbooks/deploy.sh, \"{{ service }}\"]");
        }
        let command: Vec<_> = parts.iter().filter_map(|part| self.template(part)).collect();
        if let (Some(program), Some((_, template))) = (parts.first(), command.first()) {
            match template.literal() {
                None => program.problem("lets the requester choose the program that runs; write it out"),
                Some(literal) if literal.trim().is_empty() => program.problem("names no program; write its path"),
                Some(_) => {}
            }
        }
        for (part, (text, _)) in parts.iter().zip(&command).filter(|(_, (text, _))| text.contains('\0')) {
            part.problem(format!("{text:?} contains a zero byte, which no argument can contain"));
        }
        command
    }

    /// The files that belong to the command.
    pub fn files(&mut self, at: &At<'s>) -> Vec<(&'s str, Template)> {
        let parts = at.items("paths of files, relative to `working_dir`").unwrap_or_default();
        for part in &parts {
            if part.text().is_some_and(|text| text.trim().is_empty() || text.contains('\0')) {
                part.problem("is not a file; write its path, which is relative to the runbook's `working_dir`");
            }
        }
        parts.iter().filter_map(|part| self.template(part)).collect()
    }

    /// The arguments with their patterns. They have to be read after everything that could name
    /// them.
    pub fn args(&mut self, at: &At<'s>) -> Vec<(&'s str, &'s str, Argument)> {
        let args = self.sent_args(at);
        for (name, at) in at.entries("").unwrap_or_default() {
            if names::argument(name).is_ok() && !self.named.iter().any(|(named, _)| named == name) {
                at.problem("is an argument that nobody uses; name it in a placeholder, or leave it out");
            }
        }
        args
    }

    /// The same for a webhook, which uses every argument by sending it.
    pub fn sent_args(&mut self, at: &At<'s>) -> Vec<(&'s str, &'s str, Argument)> {
        let mut args = Vec::new();
        for (name, at) in at.entries("arguments: a name and { pattern: ..., dash: ..., output_without_approval: ... }").unwrap_or_default()
        {
            self.args.insert(name.to_owned());
            if let Err(error) = names::argument(name) {
                at.problem(error);
            }
            let argument = at.fields(&["pattern", "dash", "output_without_approval"]).and_then(|fields| {
                let dash = fields.get("dash").map_or(Some(false), |at| at.boolean());
                let without = fields.get("output_without_approval");
                let output_without_approval = without.as_ref().map_or(Some(false), At::boolean);
                let at = fields.required("pattern", "write the regular expression that the whole value has to match")?;
                let invalid = |error: String| format!("is not a valid regular expression: {}", last_line(&error));
                let pattern = at.parsed(|text| Pattern::new(text).map_err(invalid));
                let argument = Argument { pattern: pattern?, dash: dash?, output_without_approval: output_without_approval? };
                if let (Some(at), Some(taken)) = (without, argument.output_without_approval.then(|| too_wide(&argument)).flatten()) {
                    at.problem(format!(
                        "permits outputs that nobody has read, and the pattern takes `{taken}`: write a narrow pattern, or leave this out"
                    ));
                }
                Some((at.text()?, argument))
            });
            args.extend(argument.map(|(text, argument)| (name, text, argument)));
        }
        args
    }

    /// Notes every placeholder without an argument.
    pub fn refuse_unknown(&self) {
        for (name, at) in self.named.iter().filter(|(name, _)| !self.args.contains(name)) {
            at.problem(format!("names `{}`, which is not declared under `args`; add it there with a pattern", shown(name)));
        }
    }
}

/// Outputs that no narrow pattern accepts.
const WIDE: [&str; 7] = ["", "a b", "$(id)", "a;b", "/etc/passwd", "../../etc/passwd", "https://example.com/x"];

/// One of them that this argument accepts.
fn too_wide(argument: &Argument) -> Option<&'static str> {
    WIDE.into_iter().find(|output| argument.refuses(output).is_none())
}

/// The message of an error that quotes the pattern first.
fn last_line(error: &str) -> &str {
    error.lines().last().map_or(error, |line| line.trim_start_matches("error: "))
}

/// The arguments as a document.
pub fn arguments_document(args: &[(&str, &str, Argument)]) -> Map<String, Value> {
    let document = |(pattern, argument): (&str, &Argument)| {
        let mut document = json!({ "pattern": pattern, "dash": argument.dash });
        // Only if it is set, so that the documents of other runbooks stay the same.
        if argument.output_without_approval {
            document["output_without_approval"] = json!(true);
        }
        document
    };
    args.iter().map(|(name, pattern, argument)| ((*name).to_owned(), document((pattern, argument)))).collect()
}
