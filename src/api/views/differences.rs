//! The differences between two documents, as answers show them.

use crate::domain::task::difference::Difference;
use crate::domain::workflow::Renewal;
use crate::service::Earlier;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// The most differences that an answer contains.
const MOST_DIFFERENCES: usize = 200;

/// A field that differs between two tasks.
#[derive(Debug, Serialize, ToSchema)]
pub struct FieldDifference {
    /// Where the field is (a JSON Pointer, RFC 6901).
    pointer: String,
    /// The value before, as JSON text; null if there was none.
    #[schema(required)]
    before: Option<String>,
    /// The value now, as JSON text; null if there is none.
    #[schema(required)]
    after: Option<String>,
}

impl From<&Difference> for FieldDifference {
    fn from(Difference { pointer, before, after }: &Difference) -> Self {
        Self { pointer: pointer.clone(), before: before.clone(), after: after.clone() }
    }
}

/// The differences to send, and the number of those left out.
fn sent(differences: &[Difference]) -> (Vec<FieldDifference>, usize) {
    let shown = differences.iter().take(MOST_DIFFERENCES).map(FieldDifference::from).collect();
    (shown, differences.len().saturating_sub(MOST_DIFFERENCES))
}

/// The earlier request that a workflow superseded, and the differences.
#[derive(Debug, Serialize, ToSchema)]
pub struct Supersedes {
    workflow_id: Uuid,
    /// At most 200, in the order of their pointers. Null if the earlier request has been pruned.
    #[schema(required)]
    differences: Option<Vec<FieldDifference>>,
    /// The number of differences left out.
    #[schema(value_type = u32)]
    differences_left_out: usize,
}

impl Supersedes {
    /// Compares an earlier request with the document that superseded it.
    pub fn of(earlier: &Earlier, document: &[u8]) -> Self {
        let differences = earlier.differences(document).map(|all| sent(&all));
        let left_out = differences.as_ref().map_or(0, |(_, left_out)| *left_out);
        Self { workflow_id: earlier.workflow_id, differences: differences.map(|(shown, _)| shown), differences_left_out: left_out }
    }
}

/// Why people are asked about a different document than before, and the differences.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RenewedDocument)]
pub struct Changed<'a> {
    reason: &'a str,
    /// At most 200, in the order of their pointers.
    differences: Vec<FieldDifference>,
    /// The number of differences left out.
    #[schema(value_type = u32)]
    differences_left_out: usize,
}

impl<'a> From<&'a Renewal> for Changed<'a> {
    fn from(renewal: &'a Renewal) -> Self {
        let (differences, differences_left_out) = sent(&renewal.changes);
        Self { reason: &renewal.reason, differences, differences_left_out }
    }
}
