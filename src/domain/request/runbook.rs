//! Runbooks: the commands that parkbrake itself can run, and what they really do.

use crate::domain::risk::readings::Facts;
use crate::domain::task::invocation::{Artifact, Invocation};
use crate::domain::text::shown;
use regex::Regex;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// A configured command with its arguments.
#[derive(Debug, Clone)]
pub struct Runbook {
    pub name: String,
    /// What it really does, assessed beside the requester's claim.
    pub operation: Template,
    pub environment: Option<Template>,
    pub resource: Option<Template>,
    pub resource_type: Option<Template>,
    /// The argument vector; a placeholder stays inside its one argument.
    pub command: Vec<Template>,
    /// The arguments, all of them required.
    pub args: BTreeMap<String, Argument>,
    pub timeout: Duration,
    pub idempotent: bool,
    /// Variable → the variable of the server's environment that it is read from.
    pub env: BTreeMap<String, String>,
    pub working_dir: PathBuf,
    /// Files that belong to the command beside its program, relative to `working_dir`.
    pub files: Vec<Template>,
    /// The account that it runs as.
    pub user: Option<String>,
}

/// What an argument may be.
#[derive(Debug, Clone)]
pub struct Argument {
    pub pattern: Pattern,
    /// Whether a value may begin with `-`, which programs take for an option.
    pub dash: bool,
}

impl Argument {
    /// Why a value is not taken.
    fn refuses(&self, value: &str) -> Option<String> {
        if !self.dash && value.starts_with('-') {
            let value = shown(value);
            return Some(format!("`{value}` begins with `-`, which a program would take for an option; this argument takes no such value"));
        }
        let fits = self.pattern.matches(value);
        (!fits).then(|| format!("`{}` does not match the pattern {}", shown(value), self.pattern.source))
    }
}

/// A regular expression that the whole of a value has to match.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    whole: Regex,
}

impl Pattern {
    /// Compiles a pattern; it is anchored at both ends.
    ///
    /// # Errors
    /// What the `regex` crate says of a pattern that is not sound.
    pub fn new(source: &str) -> Result<Self, String> {
        // Compiled alone first, so that an unbalanced `a)|(b` cannot escape the anchors.
        Regex::new(source).map_err(|error| error.to_string())?;
        let whole = Regex::new(&format!(r"\A(?:{source})\z"));
        // Where that fails, a comment of verbose mode reaches to the end of the pattern and hides the parenthesis. A line break
        // ends the comment, and means nothing else in that mode.
        let whole = whole.or_else(|_| Regex::new(&format!("\\A(?:{source}\n)\\z"))).map_err(|error| error.to_string())?;
        Ok(Self { source: source.to_owned(), whole })
    }

    /// Whether the whole of a text matches.
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
    /// Reads text with placeholders.
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

    /// The arguments that it names.
    pub fn arguments(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|piece| match piece {
            Piece::Argument(name) => Some(name.as_str()),
            Piece::Text(_) => None,
        })
    }

    /// The text, where no argument is named.
    pub fn literal(&self) -> Option<&str> {
        match self.0.as_slice() {
            [Piece::Text(text)] => Some(text),
            _ => None,
        }
    }

    fn fill(&self, args: &BTreeMap<String, String>) -> String {
        self.0
            .iter()
            .map(|piece| match piece {
                Piece::Text(text) => text.as_str(),
                Piece::Argument(name) => args.get(name).map_or("", String::as_str),
            })
            .collect()
    }
}

/// Why the arguments of a request do not fit, each with the argument's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    pub argument: String,
    pub detail: String,
}

impl Runbook {
    /// What it would run with these arguments, and what parkbrake then knows of the task.
    ///
    /// # Errors
    /// Every argument that is missing, unknown, or does not match its pattern.
    pub fn resolve(&self, given: &Map<String, Value>) -> Result<(Invocation, Facts), Vec<Misfit>> {
        let mut misfits: Vec<Misfit> = given
            .keys()
            .filter(|name| !self.args.contains_key(*name))
            .map(|name| Misfit { argument: name.clone(), detail: format!("runbook `{}` has no such argument", self.name) })
            .collect();
        let mut args = BTreeMap::new();
        for (name, argument) in &self.args {
            match given.get(name).map(as_text) {
                None => misfits.push(Misfit { argument: name.clone(), detail: "is required by the runbook".to_owned() }),
                Some(None) => misfits.push(Misfit { argument: name.clone(), detail: "has to be text, a number or a boolean".to_owned() }),
                Some(Some(text)) => match argument.refuses(&text) {
                    Some(detail) => misfits.push(Misfit { argument: name.clone(), detail }),
                    None => {
                        args.insert(name.clone(), text);
                    }
                },
            }
        }
        if misfits.is_empty() {
            misfits.extend(self.files.iter().filter_map(|file| climbing(file, &args)));
        }
        if !misfits.is_empty() {
            return Err(misfits);
        }
        let invocation = Invocation {
            command: self.command.iter().map(|part| part.fill(&args)).collect(),
            program: None,
            files: self.files.iter().map(|file| Artifact::named(file.fill(&args))).collect(),
            working_dir: self.working_dir.clone(),
            user: self.user.clone(),
            env: self.env.iter().map(|(name, source)| if name == source { name.clone() } else { format!("{name}={source}") }).collect(),
            timeout: self.timeout,
            idempotent: self.idempotent,
        };
        let facts = Facts {
            source: format!("runbook `{}`", self.name),
            operation: self.operation.fill(&args),
            environment: self.environment.as_ref().map(|template| template.fill(&args)),
            resource: self.resource.as_ref().map(|template| template.fill(&args)),
            resource_type: self.resource_type.as_ref().map(|template| template.fill(&args)),
        };
        Ok((invocation, facts))
    }
}

/// A file that an argument would move out of the folder that the runbook names: the requester could have any file hashed.
fn climbing(file: &Template, args: &BTreeMap<String, String>) -> Option<Misfit> {
    let argument = file.arguments().next()?;
    let filled = file.fill(args);
    let path = Path::new(&filled);
    let starts_with_argument = matches!(file.0.first(), Some(Piece::Argument(_)));
    let climbs = path.components().any(|part| part == Component::ParentDir) || (starts_with_argument && path.is_absolute());
    let detail = || format!("would have parkbrake look at the file `{}`, outside of the runbook's folder", shown(&filled));
    climbs.then(|| Misfit { argument: argument.to_owned(), detail: detail() })
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
    use serde_json::json;

    fn runbook() -> Runbook {
        let template = |text: &str| Template::parse(text).unwrap();
        Runbook {
            name: "deploy-service".to_owned(),
            operation: template("deploy"),
            environment: None,
            resource: Some(template("{{ service }}")),
            resource_type: None,
            command: ["deploy.sh", "{{ service }}", "--version={{version}}"].map(template).to_vec(),
            args: [("service", "[a-z][a-z0-9-]{0,62}"), ("version", "[0-9A-Za-z.+-]{1,64}|latest")]
                .map(|(name, pattern)| (name.to_owned(), Argument { pattern: Pattern::new(pattern).unwrap(), dash: false }))
                .into(),
            timeout: Duration::from_secs(600),
            idempotent: false,
            env: [("TOKEN".to_owned(), "DEPLOY_TOKEN".to_owned())].into(),
            working_dir: PathBuf::from("/srv"),
            files: ["deploy/{{ service }}.yaml", "{{ version }}/notes"].map(template).to_vec(),
            user: None,
        }
    }

    fn args(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    #[test]
    fn a_placeholder_stays_inside_its_one_argument() {
        let (invocation, facts) = runbook().resolve(&args(json!({"service": "api", "version": "1.4.2"}))).unwrap();
        assert_eq!(invocation.command, ["deploy.sh", "api", "--version=1.4.2"]);
        assert_eq!(invocation.env, ["TOKEN=DEPLOY_TOKEN"]);
        assert_eq!((facts.operation.as_str(), facts.resource.as_deref()), ("deploy", Some("api")));
    }

    #[test]
    fn the_files_of_a_runbook_follow_its_arguments_and_stay_in_their_folder() {
        let files = |version: &str| {
            let mut runbook = runbook();
            runbook.args.insert("version".to_owned(), Argument { pattern: Pattern::new(".*").unwrap(), dash: true });
            runbook.resolve(&args(json!({"service": "api", "version": version}))).map(|(invocation, _)| invocation.files)
        };
        assert_eq!(files("1").unwrap(), [Artifact::named("deploy/api.yaml"), Artifact::named("1/notes")]);
        for outside in ["..", "/etc", "a/../../etc"] {
            let misfits = files(outside).unwrap_err();
            assert_eq!((misfits.len(), misfits[0].argument.as_str()), (1, "version"), "{outside}");
        }
    }

    #[test]
    fn the_whole_value_has_to_match() {
        for service in ["api; rm -rf /", "api\n", "\napi", "-oProxyCommand=x", "Api", "", "$(id)", "a b"] {
            let misfits = runbook().resolve(&args(json!({"service": service, "version": "1"}))).unwrap_err();
            assert_eq!(misfits[0].argument, "service", "{service:?}");
        }
    }

    #[test]
    fn a_value_that_looks_like_an_option_is_refused_unless_the_argument_says_otherwise() {
        let mut runbook = runbook();
        for version in ["--force", "-rf", "-", "--help"] {
            let misfits = runbook.resolve(&args(json!({"service": "api", "version": version}))).unwrap_err();
            assert!(misfits[0].detail.contains("begins with `-`"), "{version}: {misfits:?}");
        }
        // A number is text by the time it is an argument.
        assert!(runbook.resolve(&args(json!({"service": "api", "version": -5}))).is_err());
        runbook.args.get_mut("version").unwrap().dash = true;
        assert!(runbook.resolve(&args(json!({"service": "api", "version": "--force"}))).is_ok());
        assert!(runbook.resolve(&args(json!({"service": "api", "version": "--fo rce"}))).is_err());
    }

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
        for unsound in ["a)|(b", "(", "[a", "a)|(b # x", "(?x) a)|(b # x"] {
            assert!(Pattern::new(unsound).is_err(), "{unsound}");
        }
    }

    #[test]
    fn every_misfit_is_named() {
        let misfits = runbook().resolve(&args(json!({"service": ["a"], "extra": 1}))).unwrap_err();
        let names: Vec<_> = misfits.iter().map(|misfit| misfit.argument.as_str()).collect();
        assert_eq!(names, ["extra", "service", "version"]);
    }

    #[test]
    fn a_template_without_an_end_or_a_name_is_refused() {
        assert!(Template::parse("{{ service").is_err());
        assert!(Template::parse("{{ }}").is_err());
        assert_eq!(Template::parse("").unwrap().literal(), Some(""));
    }
}
