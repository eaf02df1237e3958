//! The schemas of words for which the domain has types. The lists come from the domain, so that a
//! new word is in the document at once.

use crate::domain::grant::GrantStatus;
use crate::domain::risk::level::Level;
use crate::domain::task::ActionKind;
use crate::domain::task::digest::Digest;
use crate::domain::via::Via;
use crate::domain::workflow::attempt_history::AttemptOutcome;
use crate::domain::workflow::{ApprovalStatus, ProbeAnswer, Resolution, Status, StepStatus, Verdict};
use std::borrow::Cow;
use utoipa::openapi::schema::Type;
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// Describes each type as one of its words.
macro_rules! words {
    ($($type:ty, $name:literal: $description:literal;)*) => {$(
        impl PartialSchema for $type {
            fn schema() -> RefOr<Schema> {
                let words = <$type>::ALL.map(<$type>::as_str);
                ObjectBuilder::new().schema_type(Type::String).enum_values(Some(words)).description(Some($description)).into()
            }
        }

        impl ToSchema for $type {
            fn name() -> Cow<'static, str> {
                $name.into()
            }
        }
    )*};
}

words! {
    Level, "Level": "The risk level, the lowest first.";
    Status, "Status": "The status of a workflow. `completed`, `failed`, `rejected`, `cancelled`, `expired` and `superseded` are final.";
    ApprovalStatus, "ApprovalStatus": "The state of a workflow's approval.";
    StepStatus, "StepStatus": "The status of one step of a plan. `waiting`: its turn has not come; `skipped`: the plan ended before its turn.";
    GrantStatus, "GrantStatus": "The state of a grant. Only a `live` grant releases requests.";
    Verdict, "Verdict": "A person's decision; `withdrawn`: the same person withdraws their earlier approval.";
    ProbeAnswer, "ProbeAnswer": "What a probe reports about an attempt: it happened, it did not, or the probe cannot tell.";
    Resolution, "Resolution": "How an unknown outcome was resolved: the action happened (`succeeded`), it did not (`failed`), or it is released once more (`retry`).";
    ActionKind, "ActionKind": "Who acts: the requester itself (`external`), or parkbrake by a configured command (`runbook`) or by calling a configured URL (`webhook`).";
    AttemptOutcome, "AttemptOutcome": "The outcome of an attempt. `unknown`: nobody knows whether it happened; `interrupted`: the server stopped, and another attempt follows; `refused`: it was not started, and nothing of it ran.";
    Via, "Via": "The way in that was used. The command line and the scripts use `rest`; `system` marks what parkbrake does on its own.";
}

impl PartialSchema for Digest {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .pattern(Some("^sha256:[0-9a-f]{64}$"))
            .description(Some("A SHA-256 digest."))
            .examples(["sha256:d3e3528b56ce32761e89b19215ec111ec2529d83bb9aa614784bb5b2c64416fa"])
            .into()
    }
}

impl ToSchema for Digest {
    fn name() -> Cow<'static, str> {
        "Digest".into()
    }
}
