//! The schemas of words that the domain has its own types for. Their lists are the domain's, so
//! that a new word is in the document at once.

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
    Level, "Level": "How dangerous, the least first.";
    Status, "Status": "Where a workflow stands. Nothing follows `completed`, `failed`, `rejected`, `cancelled`, `expired` and `superseded`.";
    ApprovalStatus, "ApprovalStatus": "How the approval of a workflow stands.";
    StepStatus, "StepStatus": "Where one step of a plan stands. `waiting`: its turn has not come; `skipped`: the plan ended before its turn.";
    GrantStatus, "GrantStatus": "How a grant stands. Only one that is `live` lets requests pass.";
    Verdict, "Verdict": "A person's yes or no; `withdrawn`: the same person takes the yes of before back.";
    ProbeAnswer, "ProbeAnswer": "What a probe says of an attempt: that it happened, that it did not, or that it cannot tell.";
    Resolution, "Resolution": "What became of an unknown outcome: it happened (`succeeded`), it did not (`failed`), or it is released once more (`retry`).";
    ActionKind, "ActionKind": "Who acts: the requester itself (`external`), or parkbrake by a configured command (`runbook`) or by a call of a configured destination (`webhook`).";
    AttemptOutcome, "AttemptOutcome": "What became of an attempt: `unknown` is nobody knows whether it happened; `interrupted`: the server stopped, and another attempt follows; `refused`: it was not started, and nothing of it ran.";
    Via, "Via": "By which door somebody came. The command line and the scripts are `rest`; what parkbrake does by itself is `system`.";
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
