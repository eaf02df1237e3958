//! The rules in effect, and the levels that they give, for people who want to know before they
//! submit or to understand a result.

use crate::domain::duration;
use crate::domain::policy::{Away, EscalationStep, GroupRoles};
use crate::domain::risk::level::Level;
use crate::domain::risk::matrix::Matrix;
use crate::domain::risk::triggers::{Condition, Trigger};
use crate::identity::Caller;
use crate::service::lists::only_people;
use crate::service::{Service, ServiceError};
use std::sync::Arc;

/// The rules in effect.
#[derive(Debug)]
pub struct PolicyView {
    pub version: String,
    pub people: Vec<PersonView>,
    pub agents: Vec<AgentView>,
    pub levels: Vec<LevelView>,
    pub triggers: Vec<TriggerView>,
    pub separation_of_duties: bool,
    /// The groups of the sign-in provider, with the roles that each gives.
    pub groups: Vec<(String, Vec<String>)>,
    /// The level of a word that is on no list.
    pub unrecognized: Level,
    /// The least level of a named resource that is not registered, if there is one.
    pub unregistered: Option<Level>,
    pub operations: Vec<String>,
    pub environments: Vec<String>,
    pub resource_types: Vec<String>,
    pub runbooks: Vec<String>,
    /// Where the configuration is weaker than the shipped one.
    pub weaknesses: Vec<String>,
    pub matrix: Arc<Matrix>,
}

/// One person.
#[derive(Debug)]
pub struct PersonView {
    pub name: String,
    pub roles: Vec<String>,
    pub team: Option<String>,
    /// Until when they are away, and who covers for them.
    pub away: Option<Away>,
    pub is_suspended: bool,
    /// The file and line of the entry.
    pub position: Option<String>,
}

/// One agent.
#[derive(Debug)]
pub struct AgentView {
    pub name: String,
    pub on_behalf_of: Option<String>,
    pub is_suspended: bool,
    pub position: Option<String>,
}

/// The approval terms of a level.
#[derive(Debug)]
pub struct LevelView {
    pub level: Level,
    pub auto_approve: bool,
    pub approvers: Vec<String>,
    pub required: u32,
    /// Further terms, each as a short phrase.
    pub terms: Vec<String>,
    pub position: Option<String>,
}

/// One trigger.
#[derive(Debug)]
pub struct TriggerView {
    pub name: String,
    pub level: Level,
    /// The condition in CEL; `None` if the trigger is built in.
    pub condition: Option<String>,
    pub position: Option<String>,
}

fn group_roles(given: &GroupRoles) -> Vec<(String, Vec<String>)> {
    given.roles.iter().map(|(group, roles)| (group.clone(), roles.iter().cloned().collect())).collect()
}

impl Service {
    /// The rules in effect on this server.
    ///
    /// # Errors
    /// The caller is an agent, or the database, which knows who is suspended, is unavailable.
    pub async fn policy(&self, by: &Caller) -> Result<PolicyView, ServiceError> {
        only_people(by, "only people can read the policy; an agent can ask how a task would be assessed")?;
        let matrix = self.matrix().await?;
        let suspended = self.engine.suspended().await?;
        let configuration = &self.engine.configuration;
        let position = |section: &str, name: &str| configuration.positions.get(&format!("{section}.{name}")).cloned();
        let person = |(name, person): (&String, &crate::domain::policy::Person)| PersonView {
            roles: person.roles.iter().cloned().collect(),
            team: person.team.clone(),
            away: person.away.as_ref().filter(|away| self.now() < away.until).cloned(),
            is_suspended: suspended.contains(name),
            position: position("people", name),
            name: name.clone(),
        };
        let agent = |(name, agent): (&String, &crate::domain::policy::Agent)| AgentView {
            on_behalf_of: agent.on_behalf_of.clone(),
            is_suspended: suspended.contains(name),
            position: position("agents", name),
            name: name.clone(),
        };
        let trigger = |trigger: &Trigger| TriggerView {
            name: trigger.name.clone(),
            level: trigger.level,
            condition: match &trigger.condition {
                Condition::Expression(condition) => Some(condition.source().to_owned()),
                Condition::BuiltIn(_) => None,
            },
            position: position("triggers", &trigger.name),
        };
        let level = |level: Level| LevelView {
            position: position("policies", level.as_str()).or_else(|| position("risk_levels", level.as_str())),
            ..self.level_view(level)
        };
        let words = |names: &mut dyn Iterator<Item = &str>| names.map(str::to_owned).collect::<Vec<_>>();
        let rules = &configuration.rules;
        Ok(PolicyView {
            version: configuration.version.to_string(),
            people: configuration.policy.people().iter().map(person).collect(),
            agents: configuration.policy.agents().iter().map(agent).collect(),
            levels: Level::ALL.map(level).into(),
            triggers: rules.triggers.iter().map(trigger).collect(),
            groups: configuration.policy.group_roles().map(group_roles).unwrap_or_default(),
            separation_of_duties: configuration.policy.level(Level::Critical).terms.separation_of_duties,
            unrecognized: rules.unrecognized,
            unregistered: rules.unregistered,
            operations: words(&mut rules.operations.names()),
            environments: words(&mut rules.environments.names()),
            resource_types: words(&mut rules.resource_types.names()),
            runbooks: configuration.runbooks.keys().cloned().collect(),
            weaknesses: configuration.weaknesses.iter().map(ToString::to_string).collect(),
            matrix,
        })
    }

    fn level_view(&self, level: Level) -> LevelView {
        let policy = self.engine.configuration.policy.level(level);
        let terms = &policy.terms;
        let mut said = Vec::new();
        let mut say = |holds: bool, words: &str| said.extend(holds.then(|| words.to_owned()));
        say(terms.distinct_roles, "each approval from a different role");
        say(terms.require_justification, "with a justification");
        say(terms.require_digest, "with the digest");
        said.extend(policy.recent_sign_in.map(|within| format!("by whoever has signed in within the last {}", duration::show(within))));
        let step = |step: &EscalationStep| format!("escalates to {} after {}", step.to.join(", "), duration::show(step.after));
        said.extend(terms.escalation.iter().map(step));
        said.extend(terms.expire_after.map(|after| format!("expires after {}", duration::show(after))));
        if let Some(goal) = &policy.goal {
            said.push(format!("should be decided within {}", duration::show(goal.within)));
            let percents: Vec<_> = goal.remind.iter().map(|percent| format!("{percent}%")).collect();
            said.extend((!percents.is_empty()).then(|| format!("reminds when {} of that time has passed", percents.join(", "))));
        }
        if !policy.break_glass.is_empty() {
            said.push(format!("{} may break the glass", policy.break_glass.join(", ")));
        }
        LevelView {
            level,
            auto_approve: policy.auto_approve,
            approvers: terms.approvers.clone(),
            required: terms.required,
            terms: if policy.auto_approve { Vec::new() } else { said },
            position: None,
        }
    }

    /// The matrix of the rules, computed once. If conditions read the time, it is computed for
    /// every hour of a week.
    async fn matrix(&self) -> Result<Arc<Matrix>, ServiceError> {
        let find = || async {
            let engine = Arc::clone(&self.engine);
            tokio::task::spawn_blocking(move || Arc::new(engine.configuration.rules.matrix())).await.map_err(|_| ServiceError::internal())
        };
        self.matrix.get_or_try_init(find).await.cloned()
    }
}
