//! The refusals of calls. Every handler names its codes, and the document lists them by status.

use super::problems;
use crate::http::problem::Code;
use std::collections::BTreeMap;
use utoipa::openapi::{RefOr, Response};

/// Refusals of any call, whoever makes it.
pub const EVERY: &[Code] = &[Code::InvalidTask, Code::MisdirectedRequest, Code::Internal];
/// Refusals of calls that need a caller.
pub const CALLER: &[Code] = &[Code::Unauthenticated, Code::Unavailable];
/// Refusals of calls with a body, before their content is considered.
pub const BODY: &[Code] = &[Code::MalformedJson, Code::PayloadTooLarge, Code::UnsupportedMediaType, Code::RateLimited, Code::Busy];
/// Refusals of calls that change a workflow. A caller who is suspended during the call is no longer
/// permitted.
pub const CHANGE: &[Code] = &[Code::NotPermitted, Code::WorkflowNotFound, Code::WrongState];
/// Refusals of calls that may be held, because too many others are held already.
pub const WAIT: &[Code] = &[Code::RateLimited, Code::Busy];

/// The answers with these codes, by status, and those that every call can have.
///
/// `plain` lists statuses that come without a code.
pub fn responses(groups: &[&[Code]], plain: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL {
        if groups.iter().chain(&[EVERY]).any(|group| group.contains(&code)) {
            by_status.entry(code.facts().0.as_u16()).or_default().push(code);
        }
    }
    // For a head that can be read in two ways, or is too large.
    let plain = [plain, &[400, 431]].concat();
    for status in &plain {
        by_status.entry(*status).or_default();
    }
    let response =
        |(status, codes): (u16, Vec<Code>)| (status.to_string(), problems::response(status, &codes, plain.contains(&status)).into());
    by_status.into_iter().map(response).collect()
}

/// Defines a named set of refusals, for `responses(…)` in the annotation of a call.
macro_rules! refused_with {
    ($name:ident = $($codes:expr),+ $(; plain $($plain:literal),+)?) => {
        enum $name {}

        impl utoipa::IntoResponses for $name {
            fn responses() -> std::collections::BTreeMap<String, utoipa::openapi::RefOr<utoipa::openapi::Response>> {
                $crate::http::openapi::responses(&[$(&$codes[..]),+], &[$($($plain),+)?])
            }
        }
    };
}
pub(crate) use refused_with;
