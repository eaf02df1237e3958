//! Bodies: let in before they are read, within limits of size and time, and then read by their
//! format.
//!
//! A handler never takes a body itself: an extractor of its way in calls [`receive`], and hands
//! over what was read with its permit.

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

/// Bytes of a body.
const LARGEST: usize = 256 * 1024;
/// Bytes of a form that anybody can send: a token, and a page to go to.
const SMALL: usize = 8 * 1024;
/// How long a client may take to send its body.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// What the bytes of a body are read as.
pub trait FromBody: Sized {
    /// Reads all bytes of a body; the head says what format they claim to have.
    ///
    /// # Errors
    /// The bytes have another format, or do not match the schema.
    fn from_body(head: Parts, bytes: Bytes) -> impl Future<Output = Result<Self, Problem>> + Send;
}

/// The bytes of a body as they came, with the head that says what they are: for what is signed, or
/// read by a library.
pub struct Raw {
    pub head: Parts,
    pub bytes: Bytes,
}

impl FromBody for Raw {
    async fn from_body(head: Parts, bytes: Bytes) -> Result<Self, Problem> {
        Ok(Self { head, bytes })
    }
}

/// Receives the body of a request. Its bytes are counted under a name before the first of them is
/// taken: by the length that the client gives, and as the largest that there may be where it gives
/// none. The permit belongs to whatever is done with the body.
///
/// # Errors
/// What is wrong with it, or that too much is under way.
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

/// Receives a small body of somebody who is not known yet.
///
/// # Errors
/// What is wrong with it.
pub async fn receive_small<T: FromBody>(request: Request<Body>) -> Result<T, Problem> {
    let (head, body) = request.into_parts();
    let bytes = collect(body, SMALL).await?;
    T::from_body(head, bytes).await
}

/// All of a body, within limits of size and time.
async fn collect(body: Body, largest: usize) -> Result<Bytes, Problem> {
    match tokio::time::timeout(BODY_TIMEOUT, Limited::new(body, largest).collect()).await {
        Ok(Ok(body)) => Ok(body.to_bytes()),
        Ok(Err(error)) if error.downcast_ref::<LengthLimitError>().is_some() => Err(too_long(largest)),
        Ok(Err(_)) => Err(Problem::new(Code::MalformedJson, "the body broke off")),
        Err(_) => Err(Problem::new(Code::MalformedJson, format!("the body did not arrive within {} s", BODY_TIMEOUT.as_secs()))),
    }
}

fn too_long(largest: usize) -> Problem {
    Problem::new(Code::PayloadTooLarge, format!("a body has at most {largest} bytes"))
}
