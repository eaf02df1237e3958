//! Checks that what would run now is what people approved.
//!
//! A row in the database can never make a command or a call by itself. The runbook or webhook is
//! resolved again from the running configuration, by its name and arguments; a runbook's program
//! and files are read again; and every part of the result has to be what the approved document
//! says.

use crate::actors::ports::{Executor, Work};
use crate::domain::request::Actions;
use crate::domain::request::arguments::Misfit;
use crate::domain::task::digest::Digest;
use crate::domain::task::plan::Document;
use crate::domain::task::{Action, ActionKind};

/// The work of a step of an approved document, if its runbook or webhook would do exactly that
/// today; `None` for a step that was planned as external.
///
/// # Errors
/// The reason why it must not run, for people.
pub async fn work_as_approved(
    document: &[u8],
    approved: &Digest,
    (step, planned): (u32, ActionKind),
    actions: Actions<'_>,
    executor: &dyn Executor,
) -> Result<Option<Work>, String> {
    let found = Digest::of(document);
    if found != *approved {
        return Err(format!("its document has been changed since it was approved: approved was {approved}, found was {found}"));
    }
    let document = Document::read(document).map_err(|error| format!("its document cannot be read: {error}"))?;
    let task = document.task(step).ok_or("its document has no such step")?;
    let Action { kind, name, args, awaits, runs, calls } = task.action.clone();
    if planned == ActionKind::External {
        return if kind == planned { Ok(None) } else { Err("its document names another kind of action than was planned".to_owned()) };
    }
    let what = match kind {
        ActionKind::Runbook => "runbook",
        ActionKind::Webhook => "webhook",
        ActionKind::External => return Err("its document names no command".to_owned()),
    };
    let name = name.ok_or_else(|| format!("its document names no {what}"))?;
    let changed = |difference: &str| format!("the {what} `{name}` is no longer what was approved: {difference}; submit the task again");
    let gone = || changed("it is not in the configuration any more");
    let misfit = |misfits: Vec<Misfit>| {
        let misfits: Vec<_> = misfits.iter().map(|misfit| format!("its argument `{}` {}", misfit.argument, misfit.detail)).collect();
        changed(&misfits.join(", "))
    };
    let (difference, work) = if kind == ActionKind::Runbook {
        let approved = runs.ok_or("its document names no command")?;
        let (now, _) = actions.runbooks.get(&name).ok_or_else(gone)?.resolve_awaiting(&args, &awaits).map_err(misfit)?;
        let now = executor.identify(now).await.map_err(|reason| changed(&reason))?;
        (approved.difference(&now), Work::Run(approved))
    } else {
        let approved = calls.ok_or("its document names no call")?;
        let (now, _) = actions.webhooks.get(&name).ok_or_else(gone)?.resolve_awaiting(&args, &awaits).map_err(misfit)?;
        (approved.difference(&now), Work::Call { name: name.clone(), call: approved, args })
    };
    match difference {
        None => Ok(Some(work)),
        Some(difference) => Err(changed(&difference)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::actors::ports::Job;
    use crate::actors::ports::MayStart;
    use crate::domain::request::arguments::{Argument, Pattern, Template};
    use crate::domain::request::runbook::Runbook;
    use crate::domain::task::confinement::Limits;
    use crate::domain::task::invocation::{Artifact, Invocation};
    use crate::domain::workflow::Outcome;
    use futures_util::future::{BoxFuture, FutureExt as _, ready};
    use serde_json::json;
    use std::collections::BTreeMap;
    use std::path::PathBuf;
    use std::sync::Mutex;
    use std::time::Duration;
    use uuid::Uuid;

    type Change<T> = fn(&mut T);

    /// A machine on which the program has this content.
    struct Machine(Mutex<Result<&'static str, &'static str>>);

    impl Executor for Machine {
        fn run(&self, _: Job, _: MayStart) -> BoxFuture<'static, Option<Outcome>> {
            panic!("nothing is run here")
        }

        fn identify(&self, invocation: Invocation) -> BoxFuture<'static, Result<Invocation, String>> {
            let content = *self.0.lock().unwrap();
            let program = |text: &str| Some(Artifact { path: "/srv/deploy.sh".into(), digest: Some(Digest::of(text.as_bytes())) });
            ready(content.map(|text| Invocation { program: program(text), ..invocation }).map_err(str::to_owned)).boxed()
        }

        fn end_stragglers(&self, _: Uuid) -> BoxFuture<'static, ()> {
            ready(()).boxed()
        }
    }

    fn argument(pattern: &str) -> Argument {
        Argument { pattern: Pattern::new(pattern).unwrap(), dash: false, output_without_approval: false }
    }

    fn runbook() -> Runbook {
        let template = |text: &str| Template::parse(text).unwrap();
        Runbook {
            name: "deploy".to_owned(),
            operation: template("deploy"),
            environment: None,
            resource: None,
            resource_type: None,
            command: ["deploy.sh", "{{ service }}"].map(template).to_vec(),
            args: [("service".to_owned(), argument("[a-z]+"))].into(),
            timeout: Duration::from_secs(60),
            idempotent: false,
            concurrency: None,
            limits: Limits::default(),
            sandbox: None,
            new_privileges: false,
            retry: None,
            probe: Vec::new(),
            precondition: Vec::new(),
            env: BTreeMap::new(),
            working_dir: PathBuf::from("/srv"),
            files: Vec::new(),
            user: None,
        }
    }

    struct Case {
        runbook: Option<Runbook>,
        machine: Machine,
        document: Vec<u8>,
        approved: Digest,
    }

    impl Case {
        async fn new() -> Self {
            let machine = Machine(Mutex::new(Ok("as approved")));
            let args = json!({"service": "api"});
            let (runs, _) = runbook().resolve(args.as_object().unwrap()).unwrap();
            let runs = machine.identify(runs).await.unwrap();
            let action = json!({"type": "runbook", "name": "deploy", "args": args, "runs": runs});
            let document = serde_json::to_vec(&json!({"description": "d", "operation": "deploy", "action": action})).unwrap();
            Self { runbook: Some(runbook()), machine, approved: Digest::of(&document), document }
        }

        async fn looked_at(&self) -> Result<Work, String> {
            let runbooks = self.runbook.iter().map(|runbook| (runbook.name.clone(), runbook.clone())).collect();
            let actions = Actions { runbooks: &runbooks, webhooks: &BTreeMap::new(), playbooks: &BTreeMap::new() };
            let step = (1, ActionKind::Runbook);
            work_as_approved(&self.document, &self.approved, step, actions, &self.machine).await.map(|work| work.expect("something to do"))
        }

        /// Says something else in the document, and has that approved.
        fn forge(&mut self, from: &str, to: &str) {
            let text = String::from_utf8(self.document.clone()).unwrap();
            assert!(text.contains(from), "{from} in {text}");
            self.document = text.replace(from, to).into_bytes();
            self.approved = Digest::of(&self.document);
        }
    }

    #[tokio::test]
    async fn an_unchanged_action_may_run() {
        let Work::Run(runs) = Case::new().await.looked_at().await.unwrap() else { panic!("a runbook calls nothing") };
        assert_eq!(runs.command, ["deploy.sh", "api"]);
    }

    #[tokio::test]
    async fn a_document_cannot_make_a_command_even_with_its_own_digest() {
        for (from, to, said) in [
            (r#"["deploy.sh","api"]"#, r#"["/bin/sh","-c","id"]"#, "its command"),
            ("/srv/deploy.sh", "/bin/sh", "its program"),
            (r#""working_dir":"/srv""#, r#""working_dir":"/tmp""#, "its folder"),
            (r#""timeout":"1m""#, r#""timeout":"1h""#, "its timeout"),
            (r#""idempotent":false"#, r#""idempotent":true"#, "`idempotent`"),
            (r#""idempotent":false"#, r#""idempotent":false,"env":["DATABASE_URL"]"#, "its variables"),
            (r#""idempotent":false"#, r#""idempotent":false,"user":"root""#, "its account"),
            (r#""name":"deploy""#, r#""name":"other""#, "not in the configuration"),
            (r#""service":"api""#, r#""service":"db""#, "its command"),
            (r#""service":"api""#, r#""service":"; id""#, "does not match"),
            (r#""type":"runbook""#, r#""type":"external""#, "names no command"),
            (r#""runs":"#, r#""ran":"#, "names no command"),
            (r#""description":"d""#, r#""description":7"#, "cannot be read"),
        ] {
            let mut case = Case::new().await;
            case.forge(from, to);
            let reason = case.looked_at().await.unwrap_err();
            assert!(reason.contains(said), "{to}: {reason}");
        }
    }

    #[tokio::test]
    async fn an_action_that_changed_since_its_approval_is_refused() {
        let mut case = Case::new().await;
        case.document.push(b' ');
        assert!(case.looked_at().await.unwrap_err().contains("has been changed since it was approved"));
        let changes: [(&str, Change<Case>); 6] = [
            ("not in the configuration any more", |case| case.runbook = None),
            ("content of its program", |case| case.machine = Machine(Mutex::new(Ok("edited")))),
            ("is gone", |case| case.machine = Machine(Mutex::new(Err("deploy.sh is gone")))),
            ("its timeout", |case| case.runbook.as_mut().unwrap().timeout = Duration::from_secs(1)),
            ("does not match", |case| drop(case.runbook.as_mut().unwrap().args.insert("service".to_owned(), argument("db")))),
            ("its command", |case| case.runbook.as_mut().unwrap().command.push(Template::parse("--force").unwrap())),
        ];
        for (said, change) in changes {
            let mut case = Case::new().await;
            change(&mut case);
            let reason = case.looked_at().await.unwrap_err();
            assert!(reason.contains(said) && reason.ends_with("submit the task again"), "{reason}");
        }
    }
}
