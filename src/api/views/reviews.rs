//! The reviews that follow when somebody breaks the glass.

use super::Success;
use crate::domain::workflow::{self, Workflow};
use crate::http::time::Time;
use crate::service::reviews::OpenReview;
use serde::Serialize;
use utoipa::ToSchema;
use uuid::Uuid;

/// A review that was closed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ReviewClosed)]
pub struct Reviewed<'a> {
    success: Success,
    workflow_id: Uuid,
    #[schema(required)]
    review: Option<AfterReview<'a>>,
}

impl<'a> Reviewed<'a> {
    /// The last review of a workflow.
    pub fn of(workflow: &'a Workflow) -> Self {
        Self { success: Success, workflow_id: workflow.id, review: workflow.reviews.last().map(AfterReview::from) }
    }
}

/// The review, by somebody else, of one person's releasing an action alone.
#[derive(Debug, Serialize, ToSchema)]
pub struct AfterReview<'a> {
    /// Who broke the glass, and may not break it again while this is open.
    broken_by: &'a str,
    opened_at: Time,
    /// Who closed it; null while it is open, like the next two.
    #[schema(required)]
    closed_by: Option<&'a str>,
    #[schema(required)]
    closed_at: Option<Time>,
    #[schema(required)]
    finding: Option<&'a str>,
}

impl<'a> From<&'a workflow::AfterReview> for AfterReview<'a> {
    fn from(review: &'a workflow::AfterReview) -> Self {
        let closed = review.closed.as_ref();
        Self {
            broken_by: &review.broken_by,
            opened_at: Time(review.opened_at),
            closed_by: closed.map(|closed| closed.by.as_str()),
            closed_at: closed.map(|closed| Time(closed.at)),
            finding: closed.map(|closed| closed.finding.as_str()),
        }
    }
}

/// The open reviews.
#[derive(Debug, Serialize, ToSchema)]
pub struct ReviewPage<'a> {
    success: Success,
    /// The oldest first; at most one for each person.
    reviews: Vec<Open<'a>>,
}

/// A review that nobody has closed.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OpenReview)]
pub struct Open<'a> {
    workflow_id: Uuid,
    /// What it acts on, in one line; null if that cannot be read.
    #[schema(required)]
    headline: Option<&'a str>,
    /// Who broke the glass.
    broken_by: &'a str,
    since: Time,
}

impl<'a> From<&'a OpenReview> for Open<'a> {
    fn from(review: &'a OpenReview) -> Self {
        Self {
            workflow_id: review.workflow_id,
            headline: review.headline.as_deref(),
            broken_by: &review.broken_by,
            since: Time(review.since),
        }
    }
}

impl<'a> ReviewPage<'a> {
    /// The page for these reviews.
    pub fn of(reviews: &'a [OpenReview]) -> Self {
        Self { success: Success, reviews: reviews.iter().map(Open::from).collect() }
    }
}
