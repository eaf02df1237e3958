//! What is different between two documents, as answers show it.

use crate::domain::task::difference::Difference;
use crate::domain::workflow::Renewal;
use crate::service::Earlier;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// Differences that are sent.
const MOST_DIFFERENCES: usize = 200;

/// A field that two tasks have otherwise.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldDifference {
    /// Where it stands (a JSON Pointer, RFC 6901).
    pointer: String,
    /// What stood there, as JSON text; null where nothing did.
    #[schema(required)]
    before: Option<String>,
    /// What stands there now, as JSON text; null where nothing does.
    #[schema(required)]
    after: Option<String>,
}

impl From<&Difference> for FieldDifference {
    fn from(Difference { pointer, before, after }: &Difference) -> Self {
        Self { pointer: pointer.clone(), before: before.clone(), after: after.clone() }
    }
}

/// As many as are sent, and how many there are beyond them.
fn sent(differences: &[Difference]) -> (Vec<FieldDifference>, usize) {
    let shown = differences.iter().take(MOST_DIFFERENCES).map(FieldDifference::from).collect();
    (shown, differences.len().saturating_sub(MOST_DIFFERENCES))
}

/// The earlier request whose place a workflow has taken, and what is different.
#[derive(Debug, Serialize, ToSchema)]
pub struct Supersedes {
    workflow_id: Uuid,
    /// At most 200 of them, in the order of their places. Null where the earlier request has been
    /// pruned.
    #[schema(required)]
    differences: Option<Vec<FieldDifference>>,
    /// How many more there are.
    #[schema(value_type = u32)]
    differences_left_out: usize,
}

impl Supersedes {
    /// An earlier request beside the document of the one that has taken its place.
    pub fn of(earlier: &Earlier, document: &[u8]) -> Self {
        let differences = earlier.differences(document).map(|all| sent(&all));
        let left_out = differences.as_ref().map_or(0, |(_, left_out)| *left_out);
        Self { workflow_id: earlier.workflow_id, differences: differences.map(|(shown, _)| shown), differences_left_out: left_out }
    }
}

/// Why people are asked about another document than before, and what is different.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RenewedDocument)]
pub struct Changed<'a> {
    reason: &'a str,
    /// At most 200 of them, in the order of their places.
    differences: Vec<FieldDifference>,
    /// How many more there are.
    #[schema(value_type = u32)]
    differences_left_out: usize,
}

impl<'a> From<&'a Renewal> for Changed<'a> {
    fn from(renewal: &'a Renewal) -> Self {
        let (differences, differences_left_out) = sent(&renewal.changes);
        Self { reason: &renewal.reason, differences, differences_left_out }
    }
}
