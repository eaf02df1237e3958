//! The targets of requests: enough for a line of a list, without sending whole documents.

use super::pool::within;
use super::{Error, Storage};
use crate::domain::risk::target::Target;
use serde::Deserialize;
use uuid::Uuid;

/// The target of one request.
#[derive(Debug, Clone)]
pub struct AboutRow {
    pub workflow_id: Uuid,
    pub target: Target,
    pub action: Option<String>,
    pub action_name: Option<String>,
}

/// A target from its column; an unreadable one names nothing.
pub(super) fn read(stored: Option<&str>) -> Target {
    stored.and_then(Target::read).unwrap_or_else(|| Target { operation: "unknown".to_owned(), ..Target::default() })
}

/// The parts of a document that a list shows. Everything else is skipped: neither the database nor
/// this program parses it into a tree.
#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Outline {
    #[serde(default)]
    pub description: Option<String>,
    #[serde(default)]
    operation: Option<String>,
    #[serde(default)]
    environment: Option<String>,
    #[serde(default)]
    resource: Option<String>,
    #[serde(default)]
    resource_type: Option<String>,
    #[serde(default)]
    action: Option<Action>,
    #[serde(default)]
    gate: Option<String>,
}

#[derive(Debug, Default, PartialEq, Eq, Deserialize)]
struct Action {
    #[serde(default)]
    r#type: Option<String>,
    #[serde(default)]
    name: Option<String>,
}

impl Outline {
    /// The outline of a document; empty if the document is unreadable.
    pub fn of(document: &[u8]) -> Self {
        serde_json::from_slice(document).unwrap_or_default()
    }

    /// Whether it is a plan whose steps are approved one by one.
    pub fn is_stepwise(&self) -> bool {
        self.gate.as_deref() == Some("step")
    }

    /// The target from its column or, if that is empty, the one that the document claims.
    pub fn target(&self, stored: Option<&str>) -> Target {
        match stored {
            Some(stored) => read(Some(stored)),
            None => Target {
                operation: self.operation.clone().unwrap_or_else(|| "unknown".to_owned()),
                environment: self.environment.clone(),
                resource: self.resource.clone(),
                resource_type: self.resource_type.clone(),
                differs: Vec::new(),
            },
        }
    }
}

impl Storage {
    /// The targets of these workflows, in no order.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn targets(&self, workflow_ids: &[Uuid]) -> Result<Vec<AboutRow>, Error> {
        let mut db = self.lease_list().await?;
        let query = sqlx::query!(
            "select d.workflow_id, w.target, d.content from document d join workflow w using (workflow_id)
             where d.workflow_id = any ($1) and d.round = 1",
            workflow_ids
        );
        let rows = within(query.fetch_all(&mut *db)).await?;
        db.release();
        let about = rows.into_iter().map(|row| {
            let outline = Outline::of(&row.content);
            let target = outline.target(row.target.as_deref());
            let Action { r#type: action, name: action_name } = outline.action.unwrap_or_default();
            AboutRow { workflow_id: row.workflow_id, target, action, action_name }
        });
        Ok(about.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn outline(document: &serde_json::Value) -> Outline {
        Outline::of(document.to_string().as_bytes())
    }

    #[test]
    fn a_target_that_is_not_stored_is_what_the_document_claims() {
        let task = json!({
            "action": {"name": "disk-usage", "runs": {"command": ["df"]}, "type": "runbook"}, "description": "a \"b\"\n\u{1f600}",
            "environment": "production", "metadata": {"operation": "drop", "x": [1, {"description": "no"}]}, "operation": "read",
            "resource": "db-1"
        });
        let outline = outline(&task);
        let claimed = Target {
            operation: "read".to_owned(),
            environment: Some("production".to_owned()),
            resource: Some("db-1".to_owned()),
            ..Target::default()
        };
        assert_eq!(outline.target(None), claimed);
        assert_eq!(outline.description.as_deref(), Some("a \"b\"\n\u{1f600}"));
        assert!(!outline.is_stepwise() && Outline::of(br#"{"description": "d", "gate": "step"}"#).is_stepwise());
        let action = outline.action.unwrap();
        assert_eq!((action.r#type.as_deref(), action.name.as_deref()), (Some("runbook"), Some("disk-usage")));
    }

    #[test]
    fn a_target_that_is_stored_holds_whatever_the_document_claims() {
        let known = Target { operation: "drop".to_owned(), ..Target::default() };
        let stored = serde_json::to_string(&known).unwrap();
        assert_eq!(outline(&json!({"description": "d", "operation": "read"})).target(Some(&stored)), known);
        assert_eq!(outline(&json!({"description": "d", "operation": "read"})).target(Some("no target")).operation, "unknown");
    }

    #[test]
    fn a_document_that_cannot_be_read_names_nothing() {
        for unreadable in [&b"{"[..], b"\xff", b"[]", br#"{"description": 7}"#] {
            assert_eq!(Outline::of(unreadable), Outline::default());
            assert_eq!(Outline::of(unreadable).target(None).operation, "unknown");
        }
    }
}
