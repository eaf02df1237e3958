//! Request bodies: admitted before they are read, read within limits of size and time, and then
//! parsed.
//!
//! A handler never reads a body itself: the extractor of its way in calls [`receive`], and passes
//! on what was read with its permit.

use crate::http::problem::{Code, Problem};
use crate::service::admission::{Admission, Permit};
use axum::body::HttpBody as _;
use axum::body::{Body, Bytes};
use axum::http::Request;
use axum::http::request::Parts;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// The largest body, in bytes.
const LARGEST: usize = 256 * 1024;
/// The largest form that anybody may send, in bytes: a token, and a page to go to.
const SMALL: usize = 8 * 1024;
/// How long a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// A type that is parsed from the bytes of a body.
pub trait FromBody: Sized {
    /// Parses all bytes of a body; the head says which format they claim to have.
    ///
    /// # Errors
    /// The bytes have another format, or do not match the schema.
    fn from_body(head: Parts, bytes: Bytes) -> impl Future<Output = Result<Self, Problem>> + Send;
}

/// The raw bytes of a body, with the head that describes them: for bodies that are signed, or
/// parsed by a library.
pub struct Raw {
    pub head: Parts,
    pub bytes: Bytes,
}

impl FromBody for Raw {
    async fn from_body(head: Parts, bytes: Bytes) -> Result<Self, Problem> {
        Ok(Self { head, bytes })
    }
}

/// Receives the body of a request. Its bytes are counted under the caller's name before the first
/// of them is read: by the length that the client declares, or else as the largest possible. The
/// permit belongs to whatever is done with the body.
///
/// # Errors
/// The body is invalid, or too much is in progress.
pub async fn receive<T: FromBody>(admission: &Arc<Admission>, name: &str, request: Request<Body>) -> Result<(T, Arc<Permit>), Problem> {
    let (head, body) = request.into_parts();
    let announced = body.size_hint().upper().map_or(LARGEST, |length| usize::try_from(length).unwrap_or(usize::MAX));
    if announced > LARGEST {
        return Err(too_long(LARGEST));
    }
    let mut permit = admission.admit(name, announced)?;
    let bytes = collect(body, LARGEST).await?;
    Permit::shrink(&mut permit, bytes.len());
    Ok((T::from_body(head, bytes).await?, permit))
}

/// Receives a small body of a caller who is not known yet.
///
/// # Errors
/// The body is invalid.
pub async fn receive_small<T: FromBody>(request: Request<Body>) -> Result<T, Problem> {
    let (head, body) = request.into_parts();
    let bytes = collect(body, SMALL).await?;
    T::from_body(head, bytes).await
}

/// Reads a whole body, within limits of size and time.
async fn collect(body: Body, largest: usize) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, largest).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_long(largest)),
        Ok(Err(_)) => Err(Problem::new(Code::MalformedJson, "the body ended too early")),
        Err(_) => Err(Problem::new(Code::MalformedJson, format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs()))),
    }
}

fn too_long(largest: usize) -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("a body has at most {largest} bytes"))
}
