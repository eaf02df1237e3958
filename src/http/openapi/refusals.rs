//! What calls can be refused with. Every handler names its codes, and the document lists them by
//! status.

use super::problems;
use crate::http::problem::Code;
use std::collections::BTreeMap;
use utoipa::openapi::{RefOr, Response};

/// What any call can be answered with, whoever makes it.
pub const EVERY: &[Code] = &[Code::InvalidTask, Code::MisdirectedRequest, Code::Internal];
/// What a call is refused with that does not say who makes it.
pub const CALLER: &[Code] = &[Code::Unauthenticated, Code::Unavailable];
/// What a call with a body can be refused with before anybody looks at what it asks for.
pub const BODY: &[Code] = &[Code::MalformedJson, Code::PayloadTooLarge, Code::UnsupportedMediaType, Code::RateLimited, Code::Busy];
/// What a call is refused with that changes a workflow. A caller who is suspended while the call is
/// under way is not permitted any more.
pub const CHANGE: &[Code] = &[Code::NotPermitted, Code::WorkflowNotFound, Code::WrongState];
/// What a call is refused with that would be held for too long, beside too many others.
pub const WAIT: &[Code] = &[Code::RateLimited, Code::Busy];

/// The answers that carry these codes, by status, with those that every call can be answered with.
///
/// `plain` are statuses for which plain HTTP has a name, and no code is given.
pub fn responses(groups: &[&[Code]], plain: &[u16]) -> BTreeMap<String, RefOr<Response>> {
    let mut by_status: BTreeMap<u16, Vec<Code>> = BTreeMap::new();
    for code in Code::ALL {
        if groups.iter().chain(&[EVERY]).any(|group| group.contains(&code)) {
            by_status.entry(code.facts().0.as_u16()).or_default().push(code);
        }
    }
    // A head that can be read in two ways, or is too large.
    let plain = [plain, &[400, 431]].concat();
    for status in &plain {
        by_status.entry(*status).or_default();
    }
    let response =
        |(status, codes): (u16, Vec<Code>)| (status.to_string(), problems::response(status, &codes, plain.contains(&status)).into());
    by_status.into_iter().map(response).collect()
}

/// Makes a name for what a call can be refused with, for `responses(…)` of its description.
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
