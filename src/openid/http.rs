//! The calls to the provider.

use crate::outbound::client;
use futures_util::future::BoxFuture;
use openidconnect::{AsyncHttpClient, HttpRequest, HttpResponse};
use std::time::Duration;

/// How long the provider may take for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most bytes of an answer. No valid answer is nearly as large.
const LARGEST: usize = 512 * 1024;

/// Why a call failed. The text never contains what was sent.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Failed(String);

/// The HTTP client. It follows no redirects, because requests are meant for the provider alone.
pub struct Http(reqwest::Client);

impl Http {
    /// # Errors
    /// TLS cannot be set up.
    pub fn new() -> Result<Self, String> {
        client::client(TIMEOUT).map(Self)
    }
}

impl AsyncHttpClient<'_> for Http {
    type Error = Failed;
    type Future = BoxFuture<'static, Result<HttpResponse, Failed>>;

    fn call(&self, request: HttpRequest) -> Self::Future {
        let client = self.0.clone();
        Box::pin(async move { call(&client, request).await })
    }
}

/// Makes a call and reads the answer, up to a limit.
async fn call(client: &reqwest::Client, request: HttpRequest) -> Result<HttpResponse, Failed> {
    let failed = |error: reqwest::Error| Failed(client::cause(&error.without_url()));
    let request = reqwest::Request::try_from(request).map_err(failed)?;
    let mut answer = client.execute(request).await.map_err(failed)?;
    let mut response = HttpResponse::new(Vec::new());
    *response.status_mut() = answer.status();
    *response.headers_mut() = answer.headers().clone();
    while let Some(chunk) = answer.chunk().await.map_err(failed)? {
        if response.body().len() + chunk.len() > LARGEST {
            return Err(Failed(format!("its answer is larger than {LARGEST} bytes")));
        }
        response.body_mut().extend_from_slice(&chunk);
    }
    Ok(response)
}
