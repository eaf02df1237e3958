//! The history of a workflow: every event, each with the data that its kind records.

mod details;
mod without_quorum;

use super::differences::FieldDifference;
use crate::domain::duration;
use crate::domain::via::Via;
use crate::domain::workflow::{Event, Recorded};
use crate::http::cover::Cover;
use crate::http::time::Time;
use details::{
    ApprovalRequestedDetail, ApprovedDetail, CancelRequestedDetail, CancelledDetail, CommentedDetail, DocumentRenewedDetail,
    EscalatedDetail, ExecutionCancelledDetail, ExecutionFailedDetail, ExecutionStartedDetail, ExecutionSucceededDetail, ExpiredDetail,
    FreezeExceptedDetail, OutcomeUnknownDetail, ProbedDetail, RejectedDetail, ReleasedDetail, ReportRequestedDetail, ResolvedDetail,
    RetryScheduledDetail, StartRefusedDetail, SubmittedDetail, SupersededDetail, WithdrawnDetail,
};
use serde::Serialize;
use std::borrow::Cow;
use utoipa::openapi::schema::{OneOfBuilder, Type};
use utoipa::openapi::{ObjectBuilder, Ref, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};
use without_quorum::{GlassBrokenDetail, GrantedDetail, ReviewedDetail};

/// One event.
#[derive(Debug, Serialize)]
pub struct Entry<'a> {
    version: u32,
    event: &'static str,
    actor: &'a str,
    at: Time,
    via: Via,
    detail: Detail<'a>,
}

impl<'a> From<&'a Recorded> for Entry<'a> {
    fn from(recorded: &'a Recorded) -> Self {
        Self {
            version: recorded.version,
            event: recorded.event.name(),
            actor: &recorded.actor,
            at: Time(recorded.at),
            via: recorded.via,
            detail: (&recorded.event).into(),
        }
    }
}

/// Defines the events, and the data of each, in the order in which the document lists them.
macro_rules! details {
    ($($event:literal: $detail:ident $(<$life:lifetime>)?,)*) => {
        /// The data of an event.
        #[derive(Debug, Serialize)]
        #[serde(untagged)]
        #[expect(clippy::enum_variant_names, reason = "each is named as its schema is")]
        enum Detail<'a> {
            $($detail($detail$(<$life>)?),)*
        }

        /// The schema of an entry: one alternative for each kind of event.
        impl PartialSchema for Entry<'_> {
            fn schema() -> RefOr<Schema> {
                let kinds = [$(kind::<$detail>($event),)*];
                let choice = kinds.into_iter().fold(OneOfBuilder::new(), OneOfBuilder::item);
                choice.description(Some("One event.")).into()
            }
        }

        impl ToSchema for Entry<'_> {
            fn name() -> Cow<'static, str> {
                "HistoryEntry".into()
            }

            fn schemas(schemas: &mut Vec<(String, RefOr<Schema>)>) {
                for (name, schema) in [named::<Time>(), named::<Via>()] {
                    schemas.push((name, schema));
                }
                $(
                    schemas.push(named::<$detail>());
                    <$detail as ToSchema>::schemas(schemas);
                )*
            }
        }
    };
}

details! {
    "submitted": SubmittedDetail<'a>,
    "approval_requested": ApprovalRequestedDetail<'a>,
    "approved": ApprovedDetail<'a>,
    "granted": GrantedDetail<'a>,
    "glass_broken": GlassBrokenDetail<'a>,
    "reviewed": ReviewedDetail<'a>,
    "rejected": RejectedDetail<'a>,
    "withdrawn": WithdrawnDetail<'a>,
    "escalated": EscalatedDetail<'a>,
    "expired": ExpiredDetail,
    "cancelled": CancelledDetail<'a>,
    "cancel_requested": CancelRequestedDetail<'a>,
    "superseded": SupersededDetail,
    "commented": CommentedDetail<'a>,
    "released": ReleasedDetail,
    "retry_scheduled": RetryScheduledDetail,
    "freeze_excepted": FreezeExceptedDetail<'a>,
    "document_renewed": DocumentRenewedDetail<'a>,
    "start_refused": StartRefusedDetail<'a>,
    "execution_started": ExecutionStartedDetail,
    "execution_succeeded": ExecutionSucceededDetail<'a>,
    "execution_failed": ExecutionFailedDetail<'a>,
    "execution_cancelled": ExecutionCancelledDetail<'a>,
    "report_requested": ReportRequestedDetail,
    "outcome_unknown": OutcomeUnknownDetail<'a>,
    "probed": ProbedDetail<'a>,
    "resolved": ResolvedDetail<'a>,
}

fn named<T: ToSchema>() -> (String, RefOr<Schema>) {
    (T::name().into_owned(), T::schema())
}

fn reference<T: ToSchema>() -> Ref {
    Ref::from_schema_name(T::name())
}

/// The schema of an entry for the event with this name.
fn kind<T: ToSchema>(event: &'static str) -> ObjectBuilder {
    let number = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).description(Some("1, 2, 3 and so on without a gap."));
    let actor = ObjectBuilder::new().schema_type(Type::String).description(Some("Who caused it: a principal, or `parkbrake`."));
    ["version", "event", "actor", "at", "via", "detail"]
        .into_iter()
        .fold(ObjectBuilder::new(), ObjectBuilder::required)
        .title(Some(event))
        .property("version", number)
        .property("event", ObjectBuilder::new().schema_type(Type::String).enum_values(Some([event])))
        .property("actor", actor)
        .property("at", reference::<Time>())
        .property("via", reference::<Via>())
        .property("detail", reference::<T>())
}

impl<'a> From<&'a Event> for Detail<'a> {
    fn from(event: &'a Event) -> Self {
        match event {
            Event::Submitted(submission) => Self::SubmittedDetail((&**submission).into()),
            Event::ApprovalRequested { round, terms, reason, step } => {
                let terms = (&**terms).into();
                Self::ApprovalRequestedDetail(ApprovalRequestedDetail { round: *round, terms, reason: reason.as_deref(), step: *step })
            }
            Event::Approved(approval) => Self::ApprovedDetail(approval.into()),
            Event::Granted(granted) => Self::GrantedDetail(granted.into()),
            Event::GlassBroken(broken) => Self::GlassBrokenDetail(broken.into()),
            Event::Reviewed { broken_by, roles, finding } => Self::ReviewedDetail(ReviewedDetail { broken_by, roles, finding }),
            Event::Rejected { round, digest, roles, reason, cover } => {
                Self::RejectedDetail(RejectedDetail { round: *round, digest, roles, reason, cover: Cover::all(cover) })
            }
            Event::Withdrawn { round, roles, reason, remaining } => {
                Self::WithdrawnDetail(WithdrawnDetail { round: *round, roles, reason, remaining: *remaining })
            }
            Event::Escalated { round, level, to } => Self::EscalatedDetail(EscalatedDetail { round: *round, level: *level, to }),
            Event::Expired { round } => Self::ExpiredDetail(ExpiredDetail { round: *round }),
            Event::Cancelled { round, reason } => Self::CancelledDetail(CancelledDetail { round: *round, reason }),
            Event::Superseded { round, by } => Self::SupersededDetail(SupersededDetail { round: *round, by: *by }),
            Event::Commented { text, ask } => Self::CommentedDetail(CommentedDetail { text, ask: *ask }),
            Event::Released { step, attempt } => Self::ReleasedDetail(ReleasedDetail { step: *step, attempt: *attempt }),
            Event::RetryScheduled { step, attempt, after } => Self::RetryScheduledDetail(RetryScheduledDetail {
                step: *step,
                attempt: *attempt,
                after: duration::show(*after).to_string(),
            }),
            Event::FreezeExcepted(given) => Self::FreezeExceptedDetail(given.into()),
            Event::DocumentRenewed { step, attempt, digest, reason, changes } => Self::DocumentRenewedDetail(DocumentRenewedDetail {
                step: *step,
                attempt: *attempt,
                digest,
                reason,
                changes: changes.iter().map(FieldDifference::from).collect(),
            }),
            Event::StartRefused { step, attempt, reason } => {
                Self::StartRefusedDetail(StartRefusedDetail { step: *step, attempt: *attempt, reason })
            }
            Event::ExecutionStarted { step, attempt, owner, token } => {
                Self::ExecutionStartedDetail(ExecutionStartedDetail { step: *step, attempt: *attempt, owner: *owner, token: *token })
            }
            Event::ExecutionSucceeded { step, attempt, output } => {
                Self::ExecutionSucceededDetail(ExecutionSucceededDetail { step: *step, attempt: *attempt, output: output.as_ref() })
            }
            Event::ExecutionFailed { step, attempt, output, error } => {
                Self::ExecutionFailedDetail(ExecutionFailedDetail { step: *step, attempt: *attempt, output: output.as_ref(), error })
            }
            Event::CancelRequested { step, attempt, reason } => {
                Self::CancelRequestedDetail(CancelRequestedDetail { step: *step, attempt: *attempt, reason })
            }
            Event::ExecutionCancelled { step, attempt, output, error } => {
                Self::ExecutionCancelledDetail(ExecutionCancelledDetail { step: *step, attempt: *attempt, output: output.as_ref(), error })
            }
            Event::ReportRequested { step, attempt } => {
                Self::ReportRequestedDetail(ReportRequestedDetail { step: *step, attempt: *attempt })
            }
            Event::OutcomeUnknown { step, attempt, reason } => {
                Self::OutcomeUnknownDetail(OutcomeUnknownDetail { step: *step, attempt: *attempt, reason })
            }
            Event::Probed { step, attempt, answer, output, reason } => Self::ProbedDetail(ProbedDetail {
                step: *step,
                attempt: *attempt,
                answer: *answer,
                output: output.as_ref(),
                reason: reason.as_deref(),
            }),
            Event::Resolved { step, attempt, outcome, roles, justification } => {
                Self::ResolvedDetail(ResolvedDetail { step: *step, attempt: *attempt, outcome: *outcome, roles, justification })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Map, Value, json};
    use std::collections::BTreeSet;
    use std::fs;
    use std::path::Path;

    /// Every event in the fixtures, of every schema version.
    fn stored() -> Vec<Event> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/events");
        let schemas = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).filter(|path| path.is_dir());
        let files = schemas.flat_map(|schema| fs::read_dir(schema).unwrap().map(|entry| entry.unwrap().path()));
        files.map(|file| Event::from_stored(&fs::read_to_string(file).unwrap()).unwrap()).collect()
    }

    #[test]
    fn the_history_shows_every_stored_field_of_every_event() {
        let mut names = BTreeSet::new();
        for event in stored() {
            names.insert(event.name());
            let mut fields: Map<String, Value> = serde_json::to_value(&event).unwrap().as_object().unwrap().clone();
            assert_eq!(fields.shift_remove("event"), Some(json!(event.name())));
            // The API rounds times to the microsecond everywhere.
            if let Event::FreezeExcepted(given) = &event {
                fields.insert("until".to_owned(), json!(Time(given.until)));
            }
            for cover in fields.get_mut("cover").and_then(Value::as_array_mut).into_iter().flatten() {
                let until = cover["until"].as_str().unwrap().replace("00Z", "00.000000Z");
                cover["until"] = json!(until);
            }
            assert_eq!(serde_json::to_value(Detail::from(&event)).unwrap(), Value::Object(fields), "{}", event.name());
        }
        let RefOr::T(Schema::OneOf(kinds)) = Entry::schema() else { panic!("one kind of entry for each event") };
        let described = serde_json::to_value(kinds).unwrap();
        let described: BTreeSet<&str> =
            described["oneOf"].as_array().unwrap().iter().map(|kind| kind["properties"]["event"]["enum"][0].as_str().unwrap()).collect();
        assert_eq!(described, names);
    }
}
