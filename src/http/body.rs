//! Bodies as bytes, within limits of size and time.

use crate::http::problem::{Code, Problem};
use crate::service::admission::{Admission, Permit};
use axum::body::HttpBody as _;
use axum::body::{Body, Bytes};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use std::sync::Arc;
use std::time::Duration;

/// Bytes of a body.
pub const LARGEST: usize = 256 * 1024;
/// How long a client may take to send its body.
const PATIENCE: Duration = Duration::from_secs(15);

/// All of a body, within limits of size and time. Its bytes are counted before the first of them is taken: by the length that the
/// client gives, and as the largest that there may be where it gives none.
///
/// # Errors
/// What is wrong with it, or that too much is under way.
pub async fn take(admission: &Arc<Admission>, name: &str, body: Body) -> Result<(Bytes, Arc<Permit>), Problem> {
    let announced = body.size_hint().upper().map_or(LARGEST, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > LARGEST {
        return Err(too_long(LARGEST));
    }
    let mut permit = admission.admit(name, announced)?;
    let bytes = collect(body, LARGEST).await?;
    Permit::shrink(&mut permit, bytes.len());
    Ok((bytes, permit))
}

/// All of a body, within limits of size and time.
///
/// # Errors
/// What is wrong with it.
pub async fn collect(body: Body, largest: usize) -> Result<Bytes, Problem> {
    match tokio::time::timeout(PATIENCE, Limited::new(body, largest).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_long(largest)),
        Ok(Err(_)) => Err(Problem::new(Code::MalformedJson, "the body broke off")),
        Err(_) => Err(Problem::new(Code::MalformedJson, format!("the body did not arrive within {} s", PATIENCE.as_secs()))),
    }
}

fn too_long(largest: usize) -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("a body has at most {largest} bytes"))
}
