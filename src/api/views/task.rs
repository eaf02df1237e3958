//! The stored document, as the schema describes it. It is sent as its canonical bytes and never
//! parsed, so that readers can compute its digest; these structs are never constructed.
#![expect(dead_code, reason = "these structs only describe the bytes that are sent")]

use super::evidence::DocumentEvidence;
use super::plan_request::GateWord;
use crate::domain::task::ActionKind;
use crate::domain::task::digest::Digest;
use serde_json::{Map, Value};
use utoipa::ToSchema;

/// What people approve and what would run: the task that was submitted, with the command of a
/// runbook or the call of a webhook. The digest is that of its canonical form (RFC 8785).
#[derive(ToSchema)]
#[schema(as = Document)]
pub struct Document {
    task_id: Option<String>,
    /// The requester's description: a claim.
    description: String,
    operation: String,
    environment: Option<String>,
    resource: Option<String>,
    resource_type: Option<String>,
    #[schema(required = false)]
    security_findings: Vec<DocumentFinding>,
    /// In US dollars.
    estimated_cost: Option<f64>,
    /// The evidence that the requester sent.
    evidence: Option<DocumentEvidence>,
    action: DocumentAction,
    #[schema(required = false, value_type = Object)]
    metadata: Map<String, Value>,
}

/// What is stored: one task, or a plan of several.
#[derive(ToSchema)]
#[serde(untagged)]
pub enum StoredDocument {
    Task(Box<Document>),
    Plan(Box<PlanDocument>),
}

/// A plan that was submitted: every step in order, each with what would run. The digest covers the
/// whole plan.
#[derive(ToSchema)]
pub struct PlanDocument {
    task_id: Option<String>,
    /// The requester's description: a claim.
    description: String,
    /// What the requester says about all steps.
    #[schema(required = false, value_type = Object)]
    metadata: Map<String, Value>,
    /// The playbook that made the steps; left out if the requester sent them.
    playbook: Option<PlaybookUse>,
    /// Left out if the whole plan is approved at once.
    gate: Option<GateWord>,
    steps: Vec<StepDocument>,
}

/// The playbook that was used.
#[derive(ToSchema)]
struct PlaybookUse {
    name: String,
    /// The digest of its configuration at that time.
    digest: String,
    #[schema(required = false, value_type = Object)]
    args: Map<String, Value>,
}

/// One step of a plan.
#[derive(ToSchema)]
struct StepDocument {
    name: Option<String>,
    /// What undoes it if it has succeeded and a later step fails.
    compensate: Option<Box<Document>>,
    /// The requester's description: a claim.
    description: String,
    operation: String,
    environment: Option<String>,
    resource: Option<String>,
    resource_type: Option<String>,
    #[schema(required = false)]
    security_findings: Vec<DocumentFinding>,
    /// In US dollars.
    estimated_cost: Option<f64>,
    evidence: Option<DocumentEvidence>,
    action: DocumentAction,
    #[schema(required = false, value_type = Object)]
    metadata: Map<String, Value>,
}

/// A finding of a scanner that the requester reported.
#[derive(ToSchema)]
struct DocumentFinding {
    severity: String,
    id: Option<String>,
    title: Option<String>,
}

/// What happens once it is released.
#[derive(ToSchema)]
struct DocumentAction {
    r#type: ActionKind,
    /// The name of the runbook or webhook; for an external action, whatever the requester calls it.
    name: Option<String>,
    #[schema(required = false, value_type = Object)]
    args: Map<String, Value>,
    /// For a step of a plan: the arguments that take an output of an earlier step as their value
    /// when the turn of this one comes.
    #[schema(required = false)]
    awaits: Vec<String>,
    /// Filled in by parkbrake, for a runbook.
    runs: Option<Invocation>,
    /// Filled in by parkbrake, for a webhook.
    calls: Option<Call>,
}

/// What parkbrake would call: a POST of JSON with the action's `args`.
#[derive(ToSchema)]
struct Call {
    url: String,
    /// The name of the variable that holds the secret, never its value; left out if the call is not
    /// signed.
    secret: Option<String>,
    /// How long the response may take.
    #[schema(examples("30s"))]
    timeout: String,
    /// Whether it may be called again, with the same key, if the outcome of a call is unknown.
    idempotent: bool,
    /// Whether the address may be on the server's own machine or in a private network.
    #[schema(required = false)]
    allow_private: bool,
    retry: Option<Retry>,
}

/// What parkbrake would run.
#[derive(ToSchema)]
struct Invocation {
    /// The argument vector; never a shell line.
    command: Vec<String>,
    program: Option<Artifact>,
    /// The files that the runbook lists.
    #[schema(required = false)]
    files: Vec<Artifact>,
    /// The real path.
    working_dir: String,
    /// The account, if it is not the server's.
    user: Option<String>,
    /// The names of the variables that are passed on, never their values.
    #[schema(required = false)]
    env: Vec<String>,
    /// After this time parkbrake kills the whole process tree.
    #[schema(examples("10m"))]
    timeout: String,
    /// Whether it may run again, with the same key, after a crash.
    idempotent: bool,
    concurrency: Option<Concurrency>,
    retry: Option<Retry>,
    /// The command that checks whether an attempt of unknown outcome happened.
    #[schema(required = false)]
    probe: Vec<String>,
    precondition: Option<Precondition>,
    /// The limits of this runbook, if they differ from those for all.
    limits: Option<Limits>,
    /// Left out if it does not run in a sandbox.
    sandbox: Option<Sandbox>,
    /// Whether programs that it starts may gain privileges, as `sudo` does.
    #[schema(required = false)]
    new_privileges: bool,
}

/// A command that has to print the same right before the start as at the submit; otherwise the
/// action does not start.
#[derive(ToSchema)]
struct Precondition {
    /// The argument vector.
    command: Vec<String>,
    /// What it printed when the task was submitted, without secrets. Left out if it was not run,
    /// and for compensations, which are exempt.
    output: Option<String>,
}

/// Limits that the kernel enforces for a command.
#[derive(ToSchema)]
struct Limits {
    /// The processor time of each process.
    #[schema(examples("5m"))]
    cpu: Option<String>,
    /// The memory that each process may write to and does not share.
    #[schema(examples("2GiB"))]
    memory: Option<String>,
    /// The processes and threads of its account.
    #[schema(minimum = 1)]
    processes: Option<u32>,
    /// The files that each process may have open.
    #[schema(minimum = 16)]
    open_files: Option<u32>,
    /// The size of each file that it writes.
    #[schema(examples("10GiB"))]
    file_size: Option<String>,
}

/// What a sandboxed command may access; it can read whatever its account can read.
#[derive(ToSchema)]
struct Sandbox {
    /// Whether it may use the machine's network; otherwise it has none.
    network: bool,
    /// The real paths that it may write to.
    write: Vec<String>,
}

/// How often a failing attempt is repeated; the pause doubles with each failure, up to an hour.
#[derive(ToSchema)]
struct Retry {
    /// The most attempts, the first included.
    #[schema(minimum = 2)]
    attempts: u32,
    /// The pause after the first failure.
    #[schema(examples("30s"))]
    backoff: String,
}

/// How many commands with the same key run at once, across all runbooks; the others wait in order.
#[derive(ToSchema)]
struct Concurrency {
    key: String,
    #[schema(minimum = 1)]
    limit: u32,
}

/// A file on the server. Its path and content have to be unchanged right before the start.
#[derive(ToSchema)]
struct Artifact {
    /// The real path, with links resolved.
    path: String,
    /// The digest of its content when the task was submitted.
    digest: Option<Digest>,
}
