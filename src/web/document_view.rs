//! What exactly would happen, read from the bytes that the digest covers, and separate from what
//! the requester says about it.

use crate::domain::duration;
use crate::domain::risk::level::Level;
use crate::domain::risk::readings::Facts;
use crate::domain::risk::target::Target;
use crate::domain::task::Task;
use crate::domain::task::digest::Digest;
use crate::domain::task::invocation::Artifact;
use crate::domain::task::plan::{Document, PlaybookUse, step_digest};
use crate::domain::workflow::Workflow;
use crate::service::review::is_intact;
use crate::web::Web;
use crate::web::manifest::Manifests;
use crate::web::payload::{self, Field};
use crate::web::terraform_view::TerraformView;
use serde::Serialize;
use serde_json::Value;

/// The document as people read it before they decide.
#[derive(Debug, Serialize)]
pub struct DocumentView {
    /// The digest of the bytes shown, computed now.
    pub digest: String,
    /// The digest that a decision has to name: this one, or that of the step that people are asked
    /// about.
    subject: String,
    /// Whether each step of the plan is approved on its own.
    is_stepwise: bool,
    /// Whether it is the digest in the log.
    pub is_intact: bool,
    pub document: String,
    /// The headline of the request, with nothing cut.
    pub headline: String,
    /// The same for the title of a page: long names are cut, and a claim that differs has its mark.
    title: String,
    /// What the requester called it, if that differs.
    pub called: Option<String>,
    /// The requester's words.
    description: String,
    /// What the requester says about a plan as a whole.
    metadata: Vec<Field>,
    is_plan: bool,
    /// How many steps the plan has, not counting the steps that undo others.
    count: usize,
    /// The playbook that made the steps.
    playbook: Option<PlaybookView>,
    /// What would be done, in order: the single task, or the steps of a plan.
    steps: Vec<StepView>,
    /// What the approver of a critical request has to type.
    pub confirmation: String,
}

/// One task of the document.
#[derive(Debug, Serialize)]
struct StepView {
    number: usize,
    name: Option<String>,
    /// The step that this one would undo.
    undoes: Option<u32>,
    /// The level of the step of a plan on its own.
    level_word: Option<Level>,
    /// The Terraform plan that the requester attached.
    terraform: Option<TerraformView>,
    runs: Runs,
    target: Vec<Aspect>,
    claim: Claim,
}

/// What happens after the approval.
#[derive(Debug, Serialize)]
struct Runs {
    kind: &'static str,
    name: Option<String>,
    /// The argument vector, each element written unambiguously.
    command: Vec<Word>,
    working_dir: Option<String>,
    /// The account that it runs as, if it is not the server's.
    user: Option<String>,
    program: Option<File>,
    files: Vec<File>,
    timeout: Option<String>,
    env: Vec<String>,
    is_idempotent: bool,
    /// The URL that a webhook calls.
    url: Option<String>,
    /// The variable of the secret that a webhook's call is signed with.
    secret: Option<String>,
    /// What else the document says about the command or the call.
    others: Vec<(String, String)>,
    /// The arguments of the request, as JSON.
    arguments: Vec<Field>,
}

/// A file of the server's machine that belongs to the command.
#[derive(Debug, Serialize)]
struct File {
    path: String,
    digest: String,
}

/// One element of an argument vector.
#[derive(Debug, Serialize)]
struct Word {
    text: String,
    /// Whether it has non-ASCII letters, which may look like others.
    is_foreign: bool,
}

/// One fact about the target: as the requester says, and as the configuration knows.
#[derive(Debug, Serialize)]
struct Aspect {
    name: &'static str,
    claimed: Option<String>,
    known: Vec<String>,
    differs: bool,
    /// Whether the claim has letters that may look like others.
    is_foreign: bool,
}

/// What else the requester says.
#[derive(Debug, Serialize)]
struct Claim {
    description: String,
    findings: Vec<Finding>,
    cost: Option<String>,
    metadata: Vec<Field>,
}

#[derive(Debug, Serialize)]
struct Finding {
    severity: String,
    id: String,
    title: String,
}

/// The playbook that was used.
#[derive(Debug, Serialize)]
struct PlaybookView {
    name: String,
    digest: String,
    arguments: Vec<(String, String)>,
}

impl DocumentView {
    /// Reads the document of a workflow. `None` if it is neither a task nor a plan; nobody can then
    /// be shown what would run.
    pub fn of(web: &Web, workflow: &Workflow, document: &[u8]) -> Option<Self> {
        let submission = &workflow.submission;
        let manifests: Manifests<'_> = &|text| web.service.manifests(text);
        let stored = Document::read(document).ok()?;
        let digest = Digest::of(document);
        let asked = workflow.round().and_then(|round| round.step);
        let about = submission.target.clone().or_else(|| stored.single().map(Target::claimed)).unwrap_or_default();
        let is_plan = stored.single().is_none();
        let metadata = if let Document::Plan(plan) = &stored { payload::fields(&plan.metadata, manifests) } else { Vec::new() };
        let playbook = match &stored {
            Document::Plan(plan) => plan.playbook.as_deref().map(PlaybookView::of),
            Document::Task(_) => None,
        };
        let step = |(index, (name, task)): (usize, (Option<&str>, &Task))| {
            let planned = submission.steps.get(index);
            StepView {
                number: index + 1,
                name: name.map(str::to_owned),
                level_word: planned.map(|step| step.level),
                undoes: planned.and_then(|step| step.compensates),
                terraform: task.terraform().map(TerraformView::of),
                runs: runs(task, manifests),
                target: target(web, task, planned.map_or(&about, |step| &step.target)),
                claim: claim(task, manifests),
            }
        };
        Some(Self {
            is_intact: is_intact(workflow, document, &stored),
            subject: asked.map_or_else(|| digest.clone(), |step| step_digest(&digest, step)).to_string(),
            is_stepwise: !submission.gate.is_plan(),
            digest: digest.to_string(),
            document: String::from_utf8_lossy(document).into_owned(),
            headline: about.whole(),
            title: about.headline(),
            called: about.called(),
            // For a plan whose steps are approved one by one: the step that people are asked about.
            confirmation: workflow.asked_target().unwrap_or(&about).confirmation(),
            description: stored.description().to_owned(),
            metadata,
            is_plan,
            count: submission.steps.iter().filter(|step| step.compensates.is_none()).count(),
            playbook,
            steps: stored.steps().into_iter().enumerate().map(step).collect(),
        })
    }
}

impl PlaybookView {
    fn of(used: &PlaybookUse) -> Self {
        Self { name: used.name.clone(), digest: used.digest.to_string(), arguments: fields(&used.args) }
    }
}

fn runs(task: &Task, manifests: Manifests<'_>) -> Runs {
    let action = &task.action;
    let (invocation, call) = (action.runs.as_ref(), action.calls.as_ref());
    let word = |word: &String| Word { text: one_way(word), is_foreign: !word.is_ascii() };
    Runs {
        kind: action.kind.as_str(),
        name: action.name.clone(),
        command: invocation.into_iter().flat_map(|runs| &runs.command).map(word).collect(),
        working_dir: invocation.map(|runs| runs.working_dir.display().to_string()),
        user: invocation.and_then(|runs| runs.user.clone()),
        program: invocation.and_then(|runs| runs.program.as_ref()).map(file),
        files: invocation.into_iter().flat_map(|runs| &runs.files).map(file).collect(),
        timeout: invocation.map(|runs| runs.timeout).or(call.map(|call| call.timeout)).map(|timeout| duration::show(timeout).to_string()),
        env: invocation.map(|runs| runs.env.clone()).unwrap_or_default(),
        is_idempotent: action.is_idempotent(),
        url: call.map(|call| one_way(&call.url)),
        secret: call.and_then(|call| call.secret.clone()),
        others: invocation.map(others).or(call.map(others)).unwrap_or_default(),
        arguments: payload::fields(&action.args, manifests),
    }
}

fn file(artifact: &Artifact) -> File {
    let digest = artifact.digest.as_ref().map_or_else(String::new, ToString::to_string);
    File { path: one_way(&artifact.path.display().to_string()), digest }
}

/// Everything else that the document says about a command or a call, so that the page omits nothing
/// that is approved.
fn others(runs: &impl Serialize) -> Vec<(String, String)> {
    const NAMED: [&str; 10] = ["command", "program", "files", "working_dir", "user", "env", "timeout", "idempotent", "url", "secret"];
    let Ok(Value::Object(all)) = serde_json::to_value(runs) else { return Vec::new() };
    fields(&all).into_iter().filter(|(name, _)| !NAMED.contains(&name.as_str())).collect()
}

/// Unambiguous text: unchanged if it is plain, otherwise quoted as in JSON.
fn one_way(word: &str) -> String {
    let plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@%+,".contains(character);
    if !word.is_empty() && word.chars().all(plain) { word.to_owned() } else { Value::from(word).to_string() }
}

fn fields(object: &serde_json::Map<String, Value>) -> Vec<(String, String)> {
    object.iter().map(|(name, value)| (name.clone(), value.to_string())).collect()
}

fn target(web: &Web, task: &Task, about: &Target) -> Vec<Aspect> {
    let (rules, known) = (web.service.rules(), web.service.known(task));
    let facts = known.facts.as_ref();
    let of_runbook = |part: fn(&Facts) -> Option<&str>| facts.and_then(part).map(str::to_owned);
    let same = |vocabulary: &crate::domain::task::vocabulary::Vocabulary, one: &str, other: &str| {
        one == other || vocabulary.resolve(one).is_some_and(|word| Some(word) == vocabulary.resolve(other))
    };
    let operation = of_runbook(|facts| facts.operation.as_deref()).into_iter().collect();
    let environments = known.environment.clone().into_iter().chain(of_runbook(|facts| facts.environment.as_deref()));
    let resource = of_runbook(|facts| facts.resource.as_deref()).into_iter().collect();
    let types = known.resource_types.iter().cloned().chain(of_runbook(|facts| facts.resource_type.as_deref()));
    let plain = crate::domain::task::vocabulary::Vocabulary::default();
    let rows = [
        ("operation", Some(&task.operation), operation, &rules.operations),
        ("environment", task.environment.as_ref(), once_each(environments), &rules.environments),
        ("resource", task.resource.as_ref(), resource, &plain),
        ("resource type", task.resource_type.as_ref(), once_each(types), &rules.resource_types),
    ];
    rows.into_iter()
        .map(|(name, claimed, known, vocabulary): (&'static str, Option<&String>, Vec<String>, _)| {
            // What was known at submission comes first; the configuration may say something else
            // now.
            let then = about.differs.iter().filter(|one| one.field.replace('_', " ") == name).map(|one| one.known.clone());
            let known = once_each(then.chain(known));
            Aspect {
                name,
                differs: about.differs.iter().any(|one| one.field.replace('_', " ") == name)
                    || claimed.is_some_and(|claimed| known.iter().any(|known| !same(vocabulary, claimed, known))),
                is_foreign: claimed.is_some_and(|claimed| !claimed.is_ascii()),
                claimed: claimed.cloned(),
                known,
            }
        })
        .collect()
}

fn once_each(words: impl Iterator<Item = String>) -> Vec<String> {
    words.fold(Vec::new(), |mut all, word| {
        if !all.contains(&word) {
            all.push(word);
        }
        all
    })
}

fn claim(task: &Task, manifests: Manifests<'_>) -> Claim {
    let finding = |finding: &crate::domain::task::SecurityFinding| Finding {
        severity: finding.severity.clone(),
        id: finding.id.clone().unwrap_or_default(),
        title: finding.title.clone().unwrap_or_default(),
    };
    Claim {
        metadata: payload::fields(&task.metadata, manifests),
        description: task.description.clone(),
        findings: task.security_findings.iter().map(finding).collect(),
        cost: task.estimated_cost.map(|cost| format!("${cost}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_argument_reads_in_one_way_only() {
        let words = ["deploy.sh", "--version=1.4", "", "a b", "it's", "\"", "a\nb", "x\u{200b}", "аpi"];
        let written = words.map(one_way);
        assert_eq!(
            written,
            ["deploy.sh", "--version=1.4", "\"\"", "\"a b\"", "\"it's\"", "\"\\\"\"", "\"a\\nb\"", "\"x\u{200b}\"", "\"аpi\""]
        );
    }
}
