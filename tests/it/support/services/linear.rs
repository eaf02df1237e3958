//! Linear: a team with states, issues and comments behind GraphQL.

use super::http::{Call, Reply, Service, lock};
use super::linear_schema::{Field, read, selected};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

pub const API_KEY: &str = "lin_api_secret";
pub const TEAM: &str = "5f3d0a4e-0000-4000-8000-00000000team";

/// A workspace with one team.
pub struct Linear {
    pub service: Service,
    workspace: Arc<Workspace>,
}

/// The current state of an issue.
#[derive(Debug, Clone)]
pub struct Issue {
    pub title: String,
    pub description: String,
    pub priority: u64,
    pub state: String,
    pub comments: Vec<String>,
}

struct Workspace {
    issues: Mutex<BTreeMap<String, Issue>>,
    /// Comments, each with its issue's id.
    comments: Mutex<BTreeMap<String, String>>,
    states: Mutex<Vec<Value>>,
    complaints: Mutex<Vec<String>>,
}

impl Linear {
    pub async fn start() -> Self {
        let state = |name: &str, kind: &str, position: u32| json!({"id": format!("id-of-{name}"), "name": name, "type": kind, "position": position});
        let states = vec![
            state("Backlog", "backlog", 0),
            state("Todo", "unstarted", 1),
            state("Shipped", "completed", 5),
            state("Done", "completed", 3),
            state("Canceled", "canceled", 4),
            state("Duplicate", "canceled", 6),
        ];
        let workspace = Arc::new(Workspace {
            issues: Mutex::default(),
            comments: Mutex::default(),
            states: Mutex::new(states),
            complaints: Mutex::default(),
        });
        let inside = Arc::clone(&workspace);
        Self { service: Service::start(move |call| inside.take(call)).await, workspace }
    }

    pub fn api_url(&self) -> String {
        format!("{}/graphql", self.service.url)
    }

    pub fn issues(&self) -> Vec<Issue> {
        lock(&self.workspace.issues).values().cloned().collect()
    }

    /// The only issue.
    #[track_caller]
    pub fn issue(&self) -> Issue {
        let mut issues = self.issues();
        assert_eq!(issues.len(), 1, "{issues:#?}");
        issues.remove(0)
    }

    /// Simulates a person who removes an issue, or a state.
    pub fn clear_issues(&self) {
        lock(&self.workspace.issues).clear();
    }

    pub fn rename_state(&self, from: &str, to: &str) {
        for state in lock(&self.workspace.states).iter_mut().filter(|state| state["name"] == from) {
            *state = json!({"id": format!("id-of-{to}"), "name": to, "type": state["type"], "position": state["position"]});
        }
    }

    /// The refused calls, and the reasons.
    pub fn complaints(&self) -> Vec<String> {
        lock(&self.workspace.complaints).clone()
    }
}

/// An error in Linear's format.
pub fn error(message: &str, kind: &str, code: &str) -> Value {
    json!({"errors": [{"message": message, "locations": [], "path": [],
        "extensions": {"type": kind, "code": code, "userError": true, "userPresentableMessage": message}}], "data": null})
}

impl Workspace {
    fn take(&self, call: &Call) -> Reply {
        if call.method != "POST" || call.path != "/graphql" {
            return Reply::new(404, "Not Found");
        }
        if call.headers.get("authorization").map(|value| value.as_bytes()) != Some(API_KEY.as_bytes()) {
            let body = error("Authentication required, not authenticated", "authentication error", "AUTHENTICATION_ERROR");
            return Reply::new(400, body.to_string());
        }
        let read = call.json().and_then(|request| read(&request));
        let (field, variables) = match read {
            Ok(read) => read,
            Err(why) => {
                lock(&self.complaints).push(why.clone());
                return Reply::new(400, error(&why, "graphql error", "GRAPHQL_VALIDATION_FAILED").to_string());
            }
        };
        let body = match self.resolve(&field, &variables) {
            Ok(whole) => json!({"data": {field.name.clone(): selected(&field.selected, &whole)}}),
            Err(why) => error(&why, "invalid input", "INVALID_INPUT"),
        };
        Reply::new(200, body.to_string())
    }

    fn resolve(&self, field: &Field, variables: &Map<String, Value>) -> Result<Value, String> {
        let given = |name: &str| field.arguments.get(name).map_or(&Value::Null, |variable| &variables[variable]);
        let (id, input) = (given("id").as_str().unwrap_or_default(), given("input"));
        let text = |name: &str| input[name].as_str().unwrap_or_default().to_owned();
        let missing = |what: &str| format!("Entity not found: {what} - Could not find referenced {what}.");
        match field.name.as_str() {
            "issue" => lock(&self.issues).get(id).map(|_| json!({"id": id})).ok_or_else(|| missing("Issue")),
            "comment" => lock(&self.comments).get(id).map(|_| json!({"id": id})).ok_or_else(|| missing("Comment")),
            "team" if id == TEAM => Ok(json!({"id": TEAM, "states": {"nodes": *lock(&self.states)}})),
            "team" => Err(missing("Team")),
            "issueCreate" => {
                let id = new_id(input)?;
                if text("teamId") != TEAM {
                    return Err(missing("Team"));
                }
                let (title, priority) = (text("title"), input["priority"].as_u64().unwrap_or_default());
                if title.is_empty() || title.chars().count() > 255 || priority > 4 {
                    return Err("Argument Validation Error".to_owned());
                }
                let issue = Issue { title, description: text("description"), priority, state: "Todo".to_owned(), comments: Vec::new() };
                let mut issues = lock(&self.issues);
                if issues.contains_key(&id) {
                    return Err(format!("conflict on insert of Issue: {id} exists"));
                }
                issues.insert(id.clone(), issue);
                Ok(json!({"success": true, "issue": {"id": id}}))
            }
            "commentCreate" => {
                let (id, body) = (new_id(input)?, text("body"));
                let (mut issues, mut comments) = (lock(&self.issues), lock(&self.comments));
                let issue = issues.get_mut(&text("issueId")).ok_or_else(|| missing("Issue"))?;
                if body.is_empty() || comments.contains_key(&id) {
                    return Err(format!("conflict on insert of Comment: {id} exists"));
                }
                issue.comments.push(body);
                comments.insert(id.clone(), text("issueId"));
                Ok(json!({"success": true, "comment": {"id": id}}))
            }
            "issueUpdate" => {
                let states = lock(&self.states);
                let state = states.iter().find(|state| state["id"] == input["stateId"]).ok_or_else(|| missing("WorkflowState"))?;
                let mut issues = lock(&self.issues);
                issues.get_mut(id).ok_or_else(|| missing("Issue"))?.state = state["name"].as_str().unwrap_or_default().to_owned();
                Ok(json!({"success": true, "issue": {"id": id}}))
            }
            other => Err(format!("no field {other}")),
        }
    }
}

fn new_id(input: &Value) -> Result<String, String> {
    let id = input["id"].as_str().map_or_else(|| Uuid::new_v4().to_string(), str::to_owned);
    let valid = Uuid::parse_str(&id).is_ok_and(|id| id.get_version_num() == 4 && id.get_variant() == uuid::Variant::RFC4122);
    if valid { Ok(id) } else { Err("id must be a UUID".to_owned()) }
}
