//! Halting everything or one environment, lifting a halt, and drills. This file decides who may,
//! what they have to send and what they get back, for every way in. The database ensures that
//! nothing starts during a halt.

use crate::domain::hold::{Halt, Held};
use crate::domain::policy::{PrincipalKind, roles};
use crate::domain::workflow::{Status, Workflow, approval};
use crate::identity::Caller;
use crate::service::admission::Permit;
use crate::service::decide::short;
use crate::service::lists::only_people;
use crate::service::{Listed, Service, ServiceError};
use crate::storage::{Halted, Lift, Lifted, NewHalt, OperationRow};
use chrono::{DateTime, Utc};
use std::sync::Arc;
use uuid::Uuid;

pub use crate::actors::halting::{Drill, DrilledServer};

/// The most log entries in a list.
const LISTED: i64 = 50;

/// What to halt or resume.
#[derive(Debug, Default)]
pub struct Scope {
    /// In any spelling that the configuration knows; `None` is everything.
    pub environment: Option<String>,
    pub reason: Option<String>,
}

/// The state of an environment, or of everything, after a call.
#[derive(Debug)]
pub struct Standing {
    /// The canonical word; `None` is everything.
    pub environment: Option<String>,
    pub is_halted: bool,
    /// Whether this call changed it.
    pub is_changed: bool,
    /// Who halted or resumed it; `None` if it was not halted.
    pub by: Option<String>,
    pub since: Option<DateTime<Utc>>,
    /// Every halt in force, oldest first.
    pub halts: Vec<Halt>,
    /// The measurements of a drill.
    pub drill: Option<Drill>,
}

/// The halts in force, and the log of halts.
#[derive(Debug)]
pub struct HaltPage {
    pub halts: Vec<Halt>,
    /// Newest first.
    pub log: Vec<Operation>,
}

/// An entry of the log.
#[derive(Debug)]
pub struct Operation {
    pub number: i64,
    pub at: DateTime<Utc>,
    /// `halted`, `resumed`, `drill_began` or `drill_ended`.
    pub kind: String,
    /// `None` is everything.
    pub environment: Option<String>,
    pub actor: String,
    pub via: String,
    pub reason: Option<String>,
    /// The measurements of a drill, as JSON.
    pub figures: Option<String>,
}

impl From<OperationRow> for Operation {
    fn from(row: OperationRow) -> Self {
        let OperationRow { number, at, kind, environment, actor, via, reason, figures } = row;
        Self { number, at, kind, environment, actor, via, reason, figures }
    }
}

impl Service {
    /// Halts an environment, or everything. Once this returns, nothing that the halt covers starts.
    /// Halting again changes nothing and returns who halted it.
    ///
    /// # Errors
    /// The caller is not an admin, gives no reason, or names no environment; or it is not known
    /// whether the halt was stored.
    pub async fn halt(&self, by: &Caller, scope: Scope, permit: Arc<Permit>) -> Result<Standing, ServiceError> {
        let new = self.new_halt(by, scope, None)?;
        let environment = new.environment.clone();
        let (halted, halts) = self.engine.halt_for(new, permit).await?;
        let (halt, is_changed) = match halted {
            Halted::Now(halt) => (halt, true),
            Halted::Before(halt) | Halted::Occupied(halt) => (halt, false),
            Halted::Suspended => return Err(suspended(by)),
        };
        let (by, since) = (Some(halt.by), Some(halt.since));
        Ok(Standing { environment, is_halted: true, is_changed, by, since, halts, drill: None })
    }

    /// Lifts the halt of an environment, or the halt of everything; other halts stay. Lifting a
    /// halt that is not in force changes nothing.
    ///
    /// # Errors
    /// The caller is not an admin, or names no environment; or it is not known whether the halt was
    /// lifted.
    pub async fn resume(&self, by: &Caller, scope: Scope, permit: Arc<Permit>) -> Result<Standing, ServiceError> {
        only_admins(by)?;
        let environment = self.environment(scope.environment)?;
        let reason = visible(scope.reason)?;
        let lift = Lift { environment: environment.clone(), drill: None, by: by.name.clone(), via: by.via, reason };
        let (lifted, halts) = self.engine.lift_for(lift, permit).await?;
        let lifted_at = match lifted {
            Lifted::Now(at) => Some(at),
            Lifted::Before => None,
            Lifted::Suspended => return Err(suspended(by)),
        };
        let covers = |halt: &&Halt| halt.environment.is_none() || halt.environment == environment;
        let (who, since) = match halts.iter().find(covers) {
            Some(halt) => (Some(halt.by.clone()), Some(halt.since)),
            None => (lifted_at.map(|_| by.name.clone()), lifted_at),
        };
        let is_halted = halts.iter().any(|halt| covers(&halt));
        Ok(Standing { environment, is_halted, is_changed: lifted_at.is_some(), by: who, since, halts, drill: None })
    }

    /// Runs a drill: halts, waits until every server has confirmed it, and lifts the halt again.
    /// The log keeps it.
    ///
    /// # Errors
    /// As [`Self::halt`]; or a halt is in force already, so that a drill would show nothing.
    pub async fn drill(&self, by: &Caller, scope: Scope, permit: Arc<Permit>) -> Result<Standing, ServiceError> {
        let new = self.new_halt(by, scope, Some(()))?;
        let environment = new.environment.clone();
        let (answer, halts) = self.engine.drill_for(new, permit).await?;
        match answer {
            Ok(drill) => {
                let (by, since) = (Some(by.name.clone()), Some(drill.ended_at));
                Ok(Standing { environment, is_halted: false, is_changed: true, by, since, halts, drill: Some(drill) })
            }
            Err(Halted::Suspended) => Err(suspended(by)),
            Err(Halted::Now(halt) | Halted::Before(halt) | Halted::Occupied(halt)) => Err(ServiceError::Halted(format!(
                "{halt}; a drill would show nothing, so none was held: lift that first, or wait for its end"
            ))),
        }
    }

    /// The halts in force, and the latest entries of the log.
    ///
    /// # Errors
    /// The caller is an agent, or the database is unavailable.
    pub async fn halt_page(&self, by: &Caller) -> Result<HaltPage, ServiceError> {
        only_people(by, "only people can read the log of halts; each of your own workflows says whether it is held")?;
        let halts = self.engine.holds.refresh().await?.halts.clone();
        Ok(HaltPage { halts, log: self.engine.storage.operations(LISTED).await?.into_iter().map(Operation::from).collect() })
    }

    /// The halts in force as this server last read them, at most moments ago.
    pub fn halts(&self) -> Vec<Halt> {
        self.engine.holds.known().halts.clone()
    }

    /// Whether the caller may halt and lift halts.
    pub fn may_halt(&self, by: &Caller) -> bool {
        only_admins(by).is_ok()
    }

    /// The environments of the configuration.
    pub fn environments(&self) -> impl Iterator<Item = &str> {
        self.engine.configuration.rules.environments.names()
    }

    /// The hold that keeps a queued workflow from starting.
    pub fn held(&self, workflow: &Workflow) -> Option<Held> {
        self.engine.holds.held(workflow)
    }

    /// The same for a line of the list.
    pub(super) fn held_in_list(&self, row: &Listed) -> Option<Held> {
        let is_queued = row.status == Status::Queued.as_str();
        is_queued.then(|| self.engine.holds.held_at(&row.target))?
    }

    fn new_halt(&self, by: &Caller, scope: Scope, drill: Option<()>) -> Result<NewHalt, ServiceError> {
        only_admins(by)?;
        let environment = self.environment(scope.environment)?;
        let reason =
            visible(scope.reason)?.ok_or_else(|| ServiceError::invalid("/reason", "has no visible text; give the reason in a sentence"))?;
        let drill_for = drill.map(|()| crate::actors::halting::LONGEST_DRILL.as_secs_f64());
        Ok(NewHalt { id: Uuid::new_v4(), environment, by: by.name.clone(), via: by.via, reason, drill_for })
    }

    /// The canonical word for an environment.
    fn environment(&self, written: Option<String>) -> Result<Option<String>, ServiceError> {
        let Some(written) = written else { return Ok(None) };
        let known = &self.engine.configuration.rules.environments;
        let word = known.resolve(&written).ok_or_else(|| {
            let known = known.names().collect::<Vec<_>>().join(", ");
            ServiceError::invalid("/environment", format!("is not an environment of the configuration; they are: {known}"))
        })?;
        Ok(Some(word.to_owned()))
    }
}

/// Only people with the role `admin` may halt.
fn only_admins(by: &Caller) -> Result<(), ServiceError> {
    if by.kind == PrincipalKind::Person && by.has_role(roles::ADMIN) {
        return Ok(());
    }
    Err(ServiceError::NotPermitted("only a person with the role admin may halt parkbrake or lift a halt".to_owned()))
}

/// The reason, if it has visible text.
fn visible(reason: Option<String>) -> Result<Option<String>, ServiceError> {
    Ok(approval::justification(short("/reason", reason)?.as_deref()).map(str::to_owned))
}

fn suspended(by: &Caller) -> ServiceError {
    ServiceError::NotPermitted(format!("{} is suspended", by.name))
}
