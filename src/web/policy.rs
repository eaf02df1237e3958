//! The rules in effect, with file and line, and how they assess a task that somebody tries.

use crate::domain::risk::matrix::Matrix;
use crate::http::problem::Problem;
use crate::http::submitted::Submitted;
use crate::service::ServiceError;
use crate::service::policy::{AgentView, LevelView, PersonView, PolicyView, TriggerView};
use crate::service::submit::Assessed;
use crate::web::Web;
use crate::web::form::Fields;
use crate::web::page;
use crate::web::session::Session;
use axum::extract::State;
use axum::response::Response;
use serde_json::{Map, Value, json};

/// The fields of a task that the form has.
const WORDS: [&str; 4] = ["operation", "environment", "resource", "resource_type"];

/// `GET /inbox/policy`
pub async fn show(State(web): State<Web>, session: Session, query: Fields) -> Result<Response, Problem> {
    let policy = web.service.policy(&session.person).await?;
    let tried = match query.one("operation")? {
        Some(_) => Some(tried(&web, &session, &query).await?),
        None => None,
    };
    let mut asked = Map::new();
    for name in WORDS.into_iter().chain(["estimated_cost", "runbook", "args"]) {
        asked.insert(name.to_owned(), query.one(name)?.unwrap_or_default().into());
    }
    let PolicyView { people, agents, levels, triggers, .. } = policy;
    let shown = json!({
        "section": "policy", "asked": asked, "tried": tried, "version": policy.version, "weaknesses": policy.weaknesses,
        "people": people.into_iter().map(person).collect::<Vec<_>>(), "agents": agents.into_iter().map(agent).collect::<Vec<_>>(),
        "levels": levels.into_iter().map(level).collect::<Vec<_>>(), "triggers": triggers.into_iter().map(trigger).collect::<Vec<_>>(),
        "separation_of_duties": policy.separation_of_duties, "groups": policy.groups, "unrecognized": policy.unrecognized, "unregistered": policy.unregistered,
        "operations": policy.operations, "environments": policy.environments, "resource_types": policy.resource_types,
        "runbooks": policy.runbooks, "matrix": matrix(&policy.matrix)});
    Ok(page::render(&web, &session, "policy.html", shown))
}

/// How the rules assess the task in the form. It is assessed like any other task, and nothing is
/// stored.
async fn tried(web: &Web, session: &Session, query: &Fields) -> Result<Value, Problem> {
    let assessed = match task(query)? {
        Ok(task) => {
            let permit = web.service.admissions.changes.admit(&session.person.name, 0)?;
            let request = Submitted::new(task).request();
            match request {
                Ok(request) => web.service.assess(&session.person, request, permit).await,
                Err(error) => Err(error),
            }
        }
        Err(refused) => Err(refused),
    };
    match assessed {
        Ok(assessed) => Ok(outcome(&assessed)),
        Err(ServiceError::InvalidTask(faults)) => {
            let faults: Vec<String> = faults
                .iter()
                .map(|fault| format!("{} {}", fault.pointer.trim_start_matches('/'), fault.detail).trim().to_owned())
                .collect();
            Ok(json!({ "faults": faults }))
        }
        Err(other) => Err(other.into()),
    }
}

/// The task that the form describes.
fn task(query: &Fields) -> Result<Result<Value, ServiceError>, Problem> {
    let mut task = Map::new();
    task.insert("description".to_owned(), "Tried in the inbox".into());
    for name in WORDS {
        if let Some(word) = query.one(name)?.map(str::trim) {
            task.insert(name.to_owned(), word.into());
        }
    }
    if let Some(cost) = query.one("estimated_cost")?.map(str::trim) {
        let Ok(number) = cost.parse::<f64>() else { return Ok(Err(ServiceError::invalid("/estimated_cost", "has to be a number"))) };
        task.insert("estimated_cost".to_owned(), number.into());
    }
    if let Some(name) = query.one("runbook")? {
        let mut args = Map::new();
        for line in query.one("args")?.unwrap_or_default().lines().filter(|line| !line.trim().is_empty()) {
            let Some((name, value)) = line.split_once('=') else {
                return Ok(Err(ServiceError::invalid("/action/args", "write each argument on its own line, as name=value")));
            };
            args.insert(name.trim().to_owned(), value.trim().into());
        }
        task.insert("action".to_owned(), json!({"type": "runbook", "name": name, "args": args}));
    }
    Ok(Ok(task.into()))
}

fn outcome(assessed: &Assessed) -> Value {
    let reasons =
        assessed.assessment.reasons.iter().map(|reason| json!({"trigger": reason.trigger, "level": reason.level, "detail": reason.detail}));
    json!({
        "faults": [], "level": assessed.assessment.level, "headline": assessed.target.headline(), "called": assessed.target.called(),
        "reasons": reasons.collect::<Vec<_>>(),
        "approvers": assessed.terms.as_ref().map(|terms| terms.approvers.join(", ")), "required": assessed.terms.as_ref().map(|terms| terms.required)})
}

fn person(person: PersonView) -> Value {
    let PersonView { name, roles, team, away, is_suspended, position } = person;
    let away = away.map(|away| json!({"until": away.until.format("%Y-%m-%d %H:%M UTC").to_string(), "cover": away.cover}));
    json!({"name": name, "away": away, "roles": roles, "team": team, "is_suspended": is_suspended, "position": position})
}

fn agent(agent: AgentView) -> Value {
    let AgentView { name, on_behalf_of, is_suspended, position } = agent;
    json!({"name": name, "on_behalf_of": on_behalf_of, "is_suspended": is_suspended, "position": position})
}

fn level(level: LevelView) -> Value {
    let LevelView { level, auto_approve, approvers, required, terms, position } = level;
    json!({"level": level, "auto_approve": auto_approve, "approvers": approvers, "required": required, "terms": terms, "position": position})
}

fn trigger(trigger: TriggerView) -> Value {
    let TriggerView { name, level, condition, position } = trigger;
    json!({"name": name, "level": level, "condition": condition, "position": position})
}

fn matrix(matrix: &Matrix) -> Value {
    let rows = matrix.rows.iter().map(|row| json!({"operation": row.operation, "environment": row.environment, "levels": row.levels}));
    json!({"columns": matrix.resource_types, "rows": rows.collect::<Vec<_>>()})
}
