//! Fills the outputs of earlier steps into the step that refers to them, when it is next.
//!
//! The document with these values differs from the one that people read. So they are asked about
//! it, unless the runbook or the webhook says for each such argument that an output that matches
//! its pattern needs no approval, or the step's level needs nobody.

use crate::actors::gate::{Candidate, Gate, Verdict, can_be_asked, the_lease_holds};
use crate::domain::policy::Suspended;
use crate::domain::request::arguments::Misfit;
use crate::domain::task::outputs::{self, Reference};
use crate::domain::task::plan::Document;
use crate::domain::task::{Action, ActionKind, Task};
use crate::domain::text::shown;
use crate::domain::workflow::today::{Standing, Today};
use crate::domain::workflow::{Event, Recorded, Renewed, StepName, Workflow};
use serde_json::Value;
use std::sync::Arc;

/// A step that uses outputs, with their values in it.
struct Filled {
    action: Action,
    /// The values and the arguments that get them, for a sentence.
    values: Vec<String>,
    /// Whether the configuration permits each of these values without an approval.
    is_allowed: bool,
}

impl Gate {
    /// The verdict for a step that uses outputs and does not have them yet; `None` for every other
    /// step.
    pub(super) async fn fill_in(&self, candidate: &Candidate<'_>, log: &[Recorded], suspended: &Suspended) -> Option<Verdict> {
        let (workflow, attempt) = (candidate.workflow, candidate.attempt);
        workflow.submission.planned(attempt.step).filter(|planned| planned.awaits)?;
        let mut document = Document::read(candidate.document).ok()?;
        let task = document.task(attempt.step).filter(|task| !task.action.awaits.is_empty())?.clone();
        let objection = the_lease_holds(&self.fence).or_else(|| self.nothing_holds_it(candidate));
        let objection = match objection {
            Some(objection) => Some(objection),
            None => self.what_was_approved(candidate).await.err(),
        };
        if let Some(objection) = objection {
            return Some(self.verdict(candidate, attempt, objection));
        }
        let refused = |reason: String| Verdict::Refuse { attempt, reason: format!("not started: {reason}") };
        let filled = match self.filled(&task, workflow, log).await {
            Ok(filled) => filled,
            Err(reason) => return Some(refused(reason)),
        };
        let title = workflow.submission.step_title(attempt.step);
        let reason = format!("{title} uses outputs of earlier steps: {}", filled.values.join(", "));
        document.task_mut(attempt.step)?.action = filled.action;
        let renewed = Arc::new(Renewed::of(candidate.document, document.canonical(), reason.clone()));
        let ask = |terms| Verdict::AskAgain { attempt, reason: reason.clone(), terms, renewed: Some(Arc::clone(&renewed)) };
        let nobody = || refused(format!("{reason}; and nobody can be asked at its level"));
        let today = Today { policy: &self.configuration.policy, suspended, now: self.holds.now() };
        Some(match (today.standing(workflow, attempt.step, self.holds.now()), workflow.round_of(attempt.step)) {
            (Standing::Refused { reason }, _) => refused(reason),
            (Standing::AskAgain { terms, .. }, _) if can_be_asked(&terms) => ask(terms),
            (Standing::AskAgain { .. }, _) => nobody(),
            (Standing::Holds, Some(round)) if !filled.is_allowed => self.terms_of_today(workflow, round).map_or_else(nobody, ask),
            (Standing::Holds, _) => Verdict::Renew { attempt, renewed },
        })
    }

    /// The action of a step with the outputs filled in, resolved and found on this machine as at
    /// the submission.
    async fn filled(&self, task: &Task, workflow: &Workflow, log: &[Recorded]) -> Result<Filled, String> {
        let mut action = task.action.clone();
        let name = action.name.clone().unwrap_or_default();
        let (runbook, webhook) = (self.configuration.runbooks.get(&name), self.configuration.webhooks.get(&name));
        let declared = match action.kind {
            ActionKind::Runbook => runbook.map(|runbook| &runbook.args),
            ActionKind::Webhook => webhook.and_then(|webhook| webhook.args.as_ref()),
            ActionKind::External => None,
        };
        let (mut values, mut is_allowed) = (Vec::new(), true);
        for argument in std::mem::take(&mut action.awaits) {
            let text = action.args.get(&argument).and_then(Value::as_str).unwrap_or_default();
            let reference = Reference::read(text).ok_or_else(|| format!("its argument `{argument}` names no output"))?;
            let value = output_of(workflow, log, &reference)?;
            let said = value.as_str().map_or_else(|| value.to_string(), shown);
            values.push(format!("`{argument}` is `{said}`"));
            is_allowed &= declared.and_then(|declared| declared.get(&argument)).is_some_and(|declared| declared.output_without_approval);
            action.args.insert(argument, value);
        }
        let misfit = |misfits: Vec<Misfit>| {
            let misfits: Vec<_> = misfits.iter().map(|misfit| format!("its argument `{}` {}", misfit.argument, misfit.detail)).collect();
            format!("outputs of earlier steps do not fit: {}", misfits.join(", "))
        };
        if let (Some(approved), Some(runbook)) = (&action.runs, runbook) {
            let (now, _) = runbook.resolve(&action.args).map_err(misfit)?;
            let mut found = self.executor.identify(now).await?;
            found.precondition.clone_from(&approved.precondition);
            action.runs = Some(found);
        } else if let (Some(_), Some(webhook)) = (&action.calls, webhook) {
            webhook.resolve(&action.args).map_err(misfit)?;
        }
        Ok(Filled { action, values, is_allowed })
    }
}

/// The output of a step with this name.
fn output_of(workflow: &Workflow, log: &[Recorded], reference: &Reference) -> Result<Value, String> {
    let submission = &workflow.submission;
    let missing = || format!("the plan has no step `{}`", reference.step);
    let number = submission.step_named(&StepName::Name(reference.step.clone())).ok_or_else(missing)?;
    let kind = workflow.plan.step(number).ok_or_else(missing)?.action;
    let recorded = log.iter().rev().find_map(|recorded| match &recorded.event {
        Event::ExecutionSucceeded { step, output, .. } if *step == number => output.as_ref(),
        _ => None,
    });
    outputs::of_attempt(kind, recorded, &reference.output).map_err(|why| format!("{} {why}", submission.step_title(number)))
}
