//! Standing grants: giving, revoking and listing them. The core decides who may give one. The
//! database ensures that a grant that is used up, expired or revoked releases nothing.

use crate::domain::duration;
use crate::domain::grant::binding;
use crate::domain::grant::pattern::{ActionPattern, ArgumentPattern, Like, Pattern};
use crate::domain::grant::{Grant, GrantTerms, Micros};
use crate::domain::policy::{PrincipalKind, roles};
use crate::domain::request::Fault;
use crate::domain::risk::level::Level;
use crate::domain::task::ActionKind;
use crate::domain::task::digest::Digest;
use crate::domain::task::plan::Document;
use crate::domain::task::vocabulary::Vocabulary;
use crate::domain::text::shown;
use crate::domain::workflow::approval;
use crate::domain::workflow::today::Today;
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::decide::short;
use crate::service::lists::only_people;
use crate::service::{Service, ServiceError};
use crate::storage::{NewGrant, Revocation};
use chrono::TimeDelta;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// The most grants in a list.
const LISTED: i64 = 200;
/// The refusal for agents.
pub(super) const FOR_PEOPLE: &str = "only people can list grants; each of your own workflows names its grant";

/// A grant as a person asks for it. Omitted fields come from the request in `like`; without one,
/// every field that the pattern needs is required.
#[derive(Debug, Default)]
pub struct WantedGrant {
    /// Chosen by the caller, so that giving the same grant twice is safe.
    pub id: Option<Uuid>,
    /// A request of the kind that the grant should release.
    pub like: Option<Uuid>,
    pub requester: Option<String>,
    pub operation: Option<String>,
    pub environment: Option<String>,
    pub resource: Option<String>,
    pub resource_type: Option<String>,
    pub action: Option<WantedAction>,
    pub level: Option<String>,
    /// How long the grant holds, such as `2h`.
    pub expires_in: Option<String>,
    pub uses: Option<u32>,
    /// In US dollars.
    pub cost: Option<f64>,
    pub justification: Option<String>,
}

/// The action of a grant.
#[derive(Debug, Default)]
pub struct WantedAction {
    pub kind: Option<ActionKind>,
    pub name: Option<String>,
    pub args: BTreeMap<String, Value>,
}

impl Service {
    /// Gives a grant.
    ///
    /// # Errors
    /// Every fault of the grant, or why the caller may not give it; or an error if it is not known
    /// whether the grant was stored.
    pub async fn give_grant(&self, by: &Caller, wanted: WantedGrant, permit: Arc<Permit>) -> Result<Grant, ServiceError> {
        if by.kind != PrincipalKind::Person {
            return Err(ServiceError::NotAnApprover("only people give grants; an agent never decides".to_owned()));
        }
        let (pattern, known_level) = self.pattern(by, &wanted).await?;
        let WantedGrant { id, level, expires_in, uses, cost, justification, .. } = wanted;
        let limits = &self.engine.configuration.grants;
        let mut faults = Vec::new();
        let level = match level.as_deref() {
            Some(written) => Level::parse(written),
            None => known_level,
        };
        let Some(level) = level else {
            return Err(ServiceError::invalid("/level", "has to be low, medium or high: the highest risk that the grant may release"));
        };
        if !limits.levels.contains(&level) {
            let known: Vec<&str> = limits.levels.iter().map(|level| level.as_str()).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            faults.push(Fault::new("/level", format!("is {level}, and the policy has grants at: {known}")));
        }
        let expires_in = expires_in.as_deref().map(duration::parse);
        let expires_in = match expires_in {
            Some(Ok(within)) if within <= limits.longest => Some(within),
            _ => {
                faults.push(Fault::new(
                    "/expires_in",
                    format!("has to be a duration such as 2h, and at most {}", duration::show(limits.longest)),
                ));
                None
            }
        };
        let uses = uses.unwrap_or(limits.most_uses);
        if !(1..=limits.most_uses).contains(&uses) {
            faults.push(Fault::new("/uses", format!("has to be between 1 and {}", limits.most_uses)));
        }
        let cost = cost.map(Micros::of_dollars);
        if cost == Some(None) {
            faults.push(Fault::new("/cost", "has to be a sum in US dollars"));
        }
        let binding = self.bind(&pattern.action).await.unwrap_or_else(|fault| {
            faults.push(fault);
            None
        });
        let (Some(expires_in), true) = (expires_in, faults.is_empty()) else { return Err(ServiceError::InvalidTask(faults)) };
        let suspended = self.engine.suspensions.refresh().await?;
        let today = Today { policy: &self.engine.configuration.policy, suspended: &suspended, now: self.now() };
        let roles = today.may_grant(&by.principal(), level, &pattern.requester)?;
        let justification = short("/justification", justification)?;
        let justification = approval::justification(justification.as_deref()).ok_or(ServiceError::JustificationRequired)?;
        let expires_at = TimeDelta::from_std(expires_in).ok().and_then(|within| self.now().checked_add_signed(within));
        let new = NewGrant {
            id: id.unwrap_or_else(Uuid::new_v4),
            terms: GrantTerms { pattern, level, uses, cost: cost.flatten(), binding },
            given_by: by.name.clone(),
            roles,
            via: by.via,
            justification: justification.to_owned(),
            expires_at: expires_at.ok_or_else(ServiceError::internal)?,
        };
        let (terms, giver) = (new.terms.clone(), new.given_by.clone());
        let given = self.engine.give_grant_for(new, permit).await?;
        let given = given.ok_or_else(|| ServiceError::NotPermitted(format!("{} is suspended", by.name)))?;
        if given.terms != terms || given.given_by != giver {
            return Err(ServiceError::invalid("/grant_id", "is the id of another grant; leave it out, or choose a new one"));
        }
        Ok(given)
    }

    /// Revokes a grant: it releases nothing any more, and people are asked about what it released
    /// that has not started. A grant that was revoked or has expired stays as it is.
    ///
    /// # Errors
    /// There is no such grant, the caller may not decide, or it is not known whether the grant was
    /// revoked.
    pub async fn revoke_grant(&self, by: &Caller, id: Uuid, reason: Option<String>, permit: Arc<Permit>) -> Result<Grant, ServiceError> {
        let grant = self.grant(by, id).await?;
        if grant.given_by != by.name && !self.may_revoke(by) {
            let detail =
                "a grant is revoked by whoever gave it, and by people with a role that decides at some level, or with the role admin";
            return Err(ServiceError::NotPermitted(detail.to_owned()));
        }
        let reason = short("/reason", reason)?;
        let reason = approval::justification(reason.as_deref()).map(str::to_owned);
        let revocation = Revocation { id, by: by.name.clone(), via: by.via, reason };
        let revoked = self.engine.revoke_grant_for(revocation, permit).await?;
        revoked.ok_or_else(|| ServiceError::NotPermitted(format!("{} is suspended", by.name)))
    }

    /// An id for a new grant.
    pub fn new_grant_id(&self) -> Uuid {
        Uuid::new_v4()
    }

    /// Whether the caller may revoke grants of others.
    pub fn may_revoke(&self, by: &Caller) -> bool {
        let decides = || self.engine.configuration.policy.deciders().iter().any(|role| by.has_role(role));
        by.kind == PrincipalKind::Person && (by.has_role(roles::ADMIN) || decides())
    }

    /// The latest grants, whatever their status, newest first.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn grants(&self, by: &Caller) -> Result<Vec<Grant>, ServiceError> {
        only_people(by, FOR_PEOPLE)?;
        Ok(self.engine.storage.grants(LISTED).await?)
    }

    /// One grant.
    ///
    /// # Errors
    /// There is no grant with this id, the caller is an agent, or the database is unavailable.
    pub async fn grant(&self, by: &Caller, id: Uuid) -> Result<Grant, ServiceError> {
        only_people(by, FOR_PEOPLE)?;
        self.engine.storage.grant(id).await?.ok_or(ServiceError::GrantNotFound)
    }

    /// The pattern of the grant, and the level of the request in `like`.
    pub(super) async fn pattern(&self, by: &Caller, wanted: &WantedGrant) -> Result<(Pattern, Option<Level>), ServiceError> {
        let (base, level) = match wanted.like {
            None => (None, None),
            Some(id) => {
                let (pattern, level) = self.pattern_of(by, id).await?;
                (Some(pattern), Some(level))
            }
        };
        let mut faults = Vec::new();
        let rules = &self.engine.configuration.rules;
        let mut missing =
            |pointer: &str, what: &str| faults.push(Fault::new(pointer, format!("is missing: {what}, or name a request in `like`")));
        let requester = wanted.requester.clone().or_else(|| base.as_ref().map(|base| base.requester.clone()));
        let operation = wanted.operation.clone().or_else(|| base.as_ref().map(|base| base.operation.clone()));
        let environment = wanted.environment.clone().or_else(|| base.as_ref().map(|base| base.environment.clone()));
        for (pointer, what, is_there) in [
            ("/requester", "say whose requests it may release", requester.is_some()),
            ("/operation", "say what they do", operation.is_some()),
            ("/environment", "say where", environment.is_some()),
            ("/action", "say what carries them out", wanted.action.is_some() || base.is_some()),
        ] {
            if !is_there {
                missing(pointer, what);
            }
        }
        let (Some(requester), Some(operation), Some(environment)) = (requester, operation, environment) else {
            return Err(ServiceError::InvalidTask(faults));
        };
        if self.engine.configuration.policy.principal(&requester).is_none() {
            faults.push(Fault::new("/requester", "is not a person or an agent in the configuration"));
        }
        let operation = word(&mut faults, "/operation", &rules.operations, &operation);
        let environment = word(&mut faults, "/environment", &rules.environments, &environment);
        let resource_type = match &wanted.resource_type {
            Some(written) => Some(word(&mut faults, "/resource_type", &rules.resource_types, written)),
            None => base.as_ref().and_then(|base| base.resource_type.clone()),
        };
        let resource = match wanted.resource.as_deref().map(Like::new) {
            Some(Ok(like)) => Some(like),
            Some(Err(detail)) => {
                faults.push(Fault::new("/resource", detail));
                None
            }
            None => base.as_ref().and_then(|base| base.resource.clone()),
        };
        let action = self.action(&mut faults, wanted.action.as_ref(), base.map(|base| base.action));
        match action {
            Some(action) if faults.is_empty() => {
                Ok((Pattern { requester, operation, environment, resource, resource_type, action }, level))
            }
            _ => Err(ServiceError::InvalidTask(faults)),
        }
    }

    /// The narrowest pattern of a request, and its level.
    async fn pattern_of(&self, by: &Caller, id: Uuid) -> Result<(Pattern, Level), ServiceError> {
        let unfit = |detail: &str| ServiceError::invalid("/like", detail);
        let workflow = match self.history(by, id).await {
            Err(ServiceError::WorkflowNotFound) => return Err(unfit("is not a workflow that you may see")),
            found => found?.workflow,
        };
        let bytes = self.engine.storage.document(id, workflow.document_number()).await?.unwrap_or_default();
        let document = Document::read(&bytes).ok().filter(|_| Digest::of(&bytes) == *workflow.document());
        let document = document.ok_or_else(|| unfit("is a workflow whose document cannot be read"))?;
        let task = document.single().ok_or_else(|| unfit("is a plan, and plans are not granted: each is decided as a whole"))?;
        let submission = &workflow.submission;
        let target =
            submission.target.as_ref().ok_or_else(|| unfit("is a workflow from before parkbrake recorded the target of a task"))?;
        if let Some(called) = target.called() {
            return Err(unfit(&format!("is a request with a false claim, which no grant releases. {called}")));
        }
        let pattern = Pattern::exactly(&submission.requested_by, target, &task.action)
            .map_err(|detail| unfit(&format!("cannot be granted: {detail}")))?;
        Ok((pattern, submission.assessment.level))
    }

    /// The action of the pattern. Each argument is the one asked for, or else that of the request
    /// in `like`.
    fn action(&self, faults: &mut Vec<Fault>, wanted: Option<&WantedAction>, base: Option<ActionPattern>) -> Option<ActionPattern> {
        let Some(wanted) = wanted else { return base };
        let kind = wanted.kind.or_else(|| base.as_ref().map(|base| base.kind)).unwrap_or(ActionKind::External);
        let name = wanted.name.clone().or_else(|| base.as_ref().and_then(|base| base.name.clone()));
        let mut args = base.map(|base| base.args).unwrap_or_default();
        for (argument, written) in &wanted.args {
            match ArgumentPattern::try_from(written.clone()) {
                Ok(pattern) => drop(args.insert(argument.clone(), pattern)),
                Err(detail) => faults.push(Fault::new(format!("/action/args/{argument}"), detail)),
            }
        }
        let actions = self.engine.configuration.actions();
        let declared = match (kind, name.as_deref()) {
            (ActionKind::External, _) => None,
            (ActionKind::Runbook, Some(name)) if actions.runbooks.contains_key(name) => {
                actions.runbooks.get(name).map(|runbook| &runbook.args)
            }
            (ActionKind::Webhook, Some(name)) if actions.webhooks.contains_key(name) => {
                actions.webhooks.get(name).and_then(|webhook| webhook.args.as_ref())
            }
            (ActionKind::Runbook | ActionKind::Webhook, name) => {
                let named = name.map_or_else(|| "is missing".to_owned(), |name| format!("is `{}`", shown(name)));
                faults.push(Fault::new("/action/name", format!("{named}, and has to be a {} of the configuration", kind.as_str())));
                None
            }
        };
        if let Some(declared) = declared {
            for argument in declared.keys().filter(|argument| !args.contains_key(*argument)) {
                let detail = r#"is missing: name every argument; write {"any": true} if its value does not matter"#;
                faults.push(Fault::new(format!("/action/args/{argument}"), detail));
            }
            for argument in args.keys().filter(|argument| !declared.contains_key(*argument)) {
                faults.push(Fault::new(format!("/action/args/{argument}"), "is not an argument of it, so no request would ever match"));
            }
        }
        Some(ActionPattern { kind, name, args })
    }

    /// The digest of what parkbrake itself would run or call now.
    pub(super) async fn bind(&self, action: &ActionPattern) -> Result<Option<Digest>, Fault> {
        let unfit = |detail: String| Fault::new("/action/name", detail);
        let actions = self.engine.configuration.actions();
        let name = action.name.as_deref().unwrap_or_default();
        match action.kind {
            ActionKind::External => Ok(None),
            ActionKind::Runbook => {
                let Some(runbook) = actions.runbooks.get(name) else { return Ok(None) };
                let unfilled = runbook.unfilled().map_err(unfit)?;
                let found = self.engine.find_command(unfilled.invocation).await;
                let found = found.map_err(|reason| unfit(format!("the runbook cannot run on the server: {reason}")))?;
                Ok(Some(binding::of_command(&found)))
            }
            ActionKind::Webhook => Ok(actions.webhooks.get(name).map(|webhook| binding::of_call(&webhook.call))),
        }
    }
}

/// The canonical word. A word that is on no list cannot be granted.
fn word(faults: &mut Vec<Fault>, pointer: &str, known: &Vocabulary, written: &str) -> String {
    known.resolve(written).map_or_else(
        || {
            let known = known.names().collect::<Vec<_>>().join(", ");
            faults.push(Fault::new(pointer, format!("is `{}`, which is not a word of the configuration: {known}", shown(written))));
            written.to_owned()
        },
        str::to_owned,
    )
}
