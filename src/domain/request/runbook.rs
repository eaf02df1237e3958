//! Runbooks: the commands that parkbrake itself can run, and what they really do.

use crate::domain::grant::binding::Unfilled;
use crate::domain::request::arguments::{Argument, Misfit, Template, awaited_too_early, checked};
use crate::domain::risk::readings::{Facts, Source};
use crate::domain::task::confinement::{Limits, Sandbox};
use crate::domain::task::invocation::{Artifact, Concurrency, Invocation};
use crate::domain::task::precondition::Precondition;
use crate::domain::task::retry::Retry;
use crate::domain::text::shown;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::path::{Component, Path, PathBuf};
use std::time::Duration;

/// A configured command with its arguments.
#[derive(Debug, Clone)]
pub struct Runbook {
    pub name: String,
    /// What it really does. This is assessed in addition to the requester's claim.
    pub operation: Template,
    pub environment: Option<Template>,
    pub resource: Option<Template>,
    pub resource_type: Option<Template>,
    /// The argument vector. A placeholder always stays inside one argument.
    pub command: Vec<Template>,
    /// The arguments, all of them required.
    pub args: BTreeMap<String, Argument>,
    pub timeout: Duration,
    pub idempotent: bool,
    /// The key of commands that limit each other, and how many of them may run at once.
    pub concurrency: Option<(Template, u32)>,
    /// How failed attempts are retried; only for idempotent commands.
    pub retry: Option<Retry>,
    /// The command that finds out whether an attempt of unknown outcome happened; empty if there is
    /// none.
    pub probe: Vec<Template>,
    /// The command whose output has to be the same at the start as at the submission; empty if
    /// there is none.
    pub precondition: Vec<Template>,
    /// The variables of the command, each with the server's environment variable that provides its
    /// value.
    pub env: BTreeMap<String, String>,
    pub working_dir: PathBuf,
    /// Files that belong to the command in addition to its program, relative to `working_dir`.
    pub files: Vec<Template>,
    /// The account that it runs as.
    pub user: Option<String>,
    pub limits: Limits,
    pub sandbox: Option<Sandbox>,
    /// Whether its processes may gain privileges, as with `sudo`.
    pub new_privileges: bool,
}

impl Runbook {
    /// The command with these arguments, and what parkbrake then knows about the task.
    ///
    /// # Errors
    /// Every argument that is missing or unknown, or that does not match its pattern.
    pub fn resolve(&self, given: &Map<String, Value>) -> Result<(Invocation, Facts), Vec<Misfit>> {
        self.resolve_awaiting(given, &[])
    }

    /// The same when some arguments name outputs of earlier steps and have no value yet. These stay
    /// in the command as they are written.
    ///
    /// # Errors
    /// As [`Self::resolve`]; and an argument that has to be known now.
    pub fn resolve_awaiting(&self, given: &Map<String, Value>, awaits: &[String]) -> Result<(Invocation, Facts), Vec<Misfit>> {
        let source = format!("runbook `{}`", self.name);
        let args = checked(&self.args, given, awaits, &source)?;
        let facts = [&self.environment, &self.resource, &self.resource_type].into_iter().flatten();
        let known = facts.chain([&self.operation]).chain(&self.files).chain(&self.precondition);
        let mut misfits = awaited_too_early(known.chain(self.concurrency.as_ref().map(|(key, _)| key)), awaits);
        misfits.extend(self.files.iter().filter_map(|file| climbing(file, &args)));
        if !misfits.is_empty() {
            return Err(misfits);
        }
        let invocation = self.invocation(&args);
        let facts = Facts {
            source,
            from: Source::Runbook,
            operation: Some(self.operation.fill(&args)),
            environment: self.environment.as_ref().map(|template| template.fill(&args)),
            resource: self.resource.as_ref().map(|template| template.fill(&args)),
            resource_type: self.resource_type.as_ref().map(|template| template.fill(&args)),
        };
        Ok((invocation, facts))
    }
}

impl Runbook {
    /// Its command with unfilled placeholders, to which a grant binds.
    ///
    /// # Errors
    /// The program depends on an argument.
    pub fn unfilled(&self) -> Result<Unfilled, String> {
        if self.command.first().is_none_or(|program| program.arguments().next().is_some()) {
            return Err(format!(
                "the program of the runbook {} depends on an argument, so nobody can say beforehand what would run",
                self.name
            ));
        }
        let names: BTreeMap<String, String> = self.args.keys().map(|name| (name.clone(), format!("{{{{ {name} }}}}"))).collect();
        let is_fixed: Vec<bool> = self.files.iter().map(|file| file.arguments().next().is_none()).collect();
        let files = self.files.iter().filter(|file| file.arguments().next().is_none());
        let files = files.map(|file| Artifact::named(file.fill(&names))).collect();
        Ok(Unfilled { invocation: Invocation { files, ..self.invocation(&names) }, is_fixed })
    }

    fn invocation(&self, args: &BTreeMap<String, String>) -> Invocation {
        Invocation {
            command: self.command.iter().map(|part| part.fill(args)).collect(),
            program: None,
            files: self.files.iter().map(|file| Artifact::named(file.fill(args))).collect(),
            working_dir: self.working_dir.clone(),
            user: self.user.clone(),
            env: self.env.iter().map(|(name, source)| if name == source { name.clone() } else { format!("{name}={source}") }).collect(),
            timeout: self.timeout,
            idempotent: self.idempotent,
            concurrency: self.concurrency.as_ref().map(|(key, limit)| Concurrency { key: key.fill(args), limit: *limit }),
            retry: self.retry,
            probe: self.probe.iter().map(|part| part.fill(args)).collect(),
            precondition: (!self.precondition.is_empty())
                .then(|| Precondition::new(self.precondition.iter().map(|part| part.fill(args)).collect())),
            limits: self.limits.clone(),
            sandbox: self.sandbox.clone(),
            new_privileges: self.new_privileges,
        }
    }
}

/// Refuses an argument that would move a file out of the runbook's folder. Otherwise the requester
/// could have any file hashed.
fn climbing(file: &Template, args: &BTreeMap<String, String>) -> Option<Misfit> {
    let argument = file.arguments().next()?;
    let filled = file.fill(args);
    let path = Path::new(&filled);
    let climbs = path.components().any(|part| part == Component::ParentDir) || (file.starts_with_argument() && path.is_absolute());
    let detail = || format!("would make parkbrake read the file `{}`, outside the runbook's folder", shown(&filled));
    climbs.then(|| Misfit { argument: argument.to_owned(), detail: detail() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::request::arguments::Pattern;
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
                .map(|(name, pattern)| {
                    (name.to_owned(), Argument { pattern: Pattern::new(pattern).unwrap(), dash: false, output_without_approval: false })
                })
                .into(),
            timeout: Duration::from_secs(600),
            idempotent: false,
            concurrency: Some((template("deploy {{ service }}"), 1)),
            retry: None,
            probe: Vec::new(),
            precondition: Vec::new(),
            env: [("TOKEN".to_owned(), "DEPLOY_TOKEN".to_owned())].into(),
            working_dir: PathBuf::from("/srv"),
            files: ["deploy/{{ service }}.yaml", "{{ version }}/notes"].map(template).to_vec(),
            user: None,
            limits: Limits::default(),
            sandbox: None,
            new_privileges: false,
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
        assert_eq!(invocation.concurrency, Some(Concurrency { key: "deploy api".to_owned(), limit: 1 }));
        assert_eq!((facts.operation.as_deref(), facts.resource.as_deref()), (Some("deploy"), Some("api")));
    }

    #[test]
    fn the_files_of_a_runbook_follow_its_arguments_and_stay_in_their_folder() {
        let files = |version: &str| {
            let mut runbook = runbook();
            runbook.args.insert(
                "version".to_owned(),
                Argument { pattern: Pattern::new(".*").unwrap(), dash: true, output_without_approval: false },
            );
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
    fn a_value_that_looks_like_an_option_is_refused_unless_the_argument_allows_it() {
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
    fn every_misfit_is_named() {
        let misfits = runbook().resolve(&args(json!({"service": ["a"], "extra": 1}))).unwrap_err();
        let names: Vec<_> = misfits.iter().map(|misfit| misfit.argument.as_str()).collect();
        assert_eq!(names, ["extra", "service", "version"]);
    }
}
