//! The client of the API that every command uses: where the server is, who is calling, and what a
//! response means.
//!
//! The token goes into one header, marked as sensitive, and nowhere else: not into errors, not into
//! `Debug`. A development token goes only to this machine, and no redirect is followed, so no token
//! reaches the wrong server.

use crate::cli::dev_home::{self, Kind};
use crate::cli::problem::Problem;
use crate::cli::{Error, terminal};
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue, RETRY_AFTER};
use reqwest::{Method, RequestBuilder, Url, redirect};
use serde_json::Value;
use std::time::Duration;

pub(super) const DEFAULT_URL: &str = "http://127.0.0.1:8001";

/// How long a server may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(5);

/// How long it may take to answer, in addition to the wait that was requested.
const ANSWER: Duration = Duration::from_secs(30);

/// Where the server is and who is calling: the same flags for every command.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Connection {
    /// Where the server is [env: PARKBRAKE_URL] [default: http://127.0.0.1:8001]
    #[arg(long, value_name = "URL")]
    pub url: Option<String>,
    /// Act as this person or agent of the development server [env: PARKBRAKE_AS]
    #[arg(long = "as", value_name = "NAME")]
    pub identity: Option<String>,
    /// Print the server's response unchanged, as one line of JSON
    #[arg(long)]
    pub json: bool,
}

/// A connection to one server as one principal.
#[derive(Debug)]
pub struct Client {
    http: reqwest::Client,
    /// Without a slash at the end.
    base: String,
    json: bool,
}

/// A response of the server: the raw body, and the parsed value.
#[derive(Debug, Clone)]
pub struct Answer {
    pub body: String,
    pub value: Value,
}

impl Answer {
    /// The workflow in a response about one.
    pub fn workflow(&self) -> &Value {
        self.value.get("workflow").unwrap_or(&self.value)
    }
}

impl Connection {
    /// Makes the client. `usual` is the kind of principal that gives such commands on a development
    /// server.
    ///
    /// # Errors
    /// The URL is invalid, or there is no identity to act as.
    pub fn client(&self, usual: Kind) -> Result<Client, Error> {
        let given = self.url.clone().or_else(|| env("PARKBRAKE_URL")).unwrap_or_else(|| DEFAULT_URL.to_owned());
        let url = base_url(&given)?;
        let local = is_loopback(&url);
        let headers = HeaderMap::from_iter([(AUTHORIZATION, self.authorization(usual, local, &given)?)]);
        // Fails only if a provider is already installed, which then does as well.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = reqwest::Client::builder()
            .default_headers(headers)
            .user_agent(concat!("parkbrake/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(CONNECT)
            .redirect(redirect::Policy::none());
        if local {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| Error::Other(format!("cannot set up a connection: {}", cause(&error))))?;
        Ok(Client { http, base: url.as_str().trim_end_matches('/').to_owned(), json: self.json })
    }

    fn authorization(&self, usual: Kind, local: bool, url: &str) -> Result<HeaderValue, Error> {
        let token = match (env("PARKBRAKE_TOKEN"), &self.identity) {
            (Some(_), Some(name)) => {
                return Err(Error::Other(format!(
                    "PARKBRAKE_TOKEN already says who is calling: unset it to act as `{name}` of the development server, or leave --as out"
                )));
            }
            (Some(token), None) => token.trim().to_owned(),
            (None, _) if !local => {
                return Err(Error::Other(format!(
                    "PARKBRAKE_TOKEN is not set, and development tokens go only to this machine, not to {url}: set PARKBRAKE_TOKEN"
                )));
            }
            (None, name) => {
                let name = name.clone().or_else(|| env("PARKBRAKE_AS"));
                let known = dev_home::read(&dev_home::folder()?)?;
                dev_home::choose(&known, name.as_deref(), usual)?.token.clone()
            }
        };
        // The text of the error would show the token, so it is left out.
        let mut value = HeaderValue::from_str(&format!("Bearer {token}"))
            .map_err(|_| Error::Other("PARKBRAKE_TOKEN contains an invalid character: copy it again".to_owned()))?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl Client {
    /// The address of the server, without a slash at the end.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// A call; its path begins with a slash.
    pub fn call(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base)).timeout(ANSWER)
    }

    /// A call that the server may hold for as long as requested.
    pub fn patient_call(&self, method: Method, path: &str, held: Duration) -> RequestBuilder {
        self.call(method, path).timeout(ANSWER + held)
    }

    /// A call whose response may be long, and so may take any time.
    pub fn long_call(&self, method: Method, path: &str) -> RequestBuilder {
        self.http.request(method, format!("{}{path}", self.base))
    }

    /// Sends a call and passes on the body of the response piece by piece, as it arrives.
    ///
    /// # Errors
    /// The server refused, or closed the connection before the end; or the error of `take`.
    pub async fn receive(&self, call: RequestBuilder, mut take: impl FnMut(&[u8]) -> Result<(), Error>) -> Result<(), Error> {
        let silent =
            || Error::Other(format!("{} has sent nothing for {} s: the response is incomplete; try again", self.base, ANSWER.as_secs()));
        let response = tokio::time::timeout(ANSWER, call.send()).await.map_err(|_| silent())?;
        let mut response = response.map_err(|error| self.failure(&error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await?);
        }
        let broken = |error: reqwest::Error| {
            Error::Other(format!(
                "the server closed the connection ({}): the response is incomplete; try again, or for a shorter period",
                cause(&error)
            ))
        };
        while let Some(piece) = tokio::time::timeout(ANSWER, response.chunk()).await.map_err(|_| silent())?.map_err(broken)? {
            take(&piece)?;
        }
        Ok(())
    }

    /// The error in a response that is not a success.
    async fn refusal(&self, response: reqwest::Response) -> Result<Error, Error> {
        let status = response.status();
        let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()).map(str::to_owned);
        if !status.is_client_error() && !status.is_server_error() {
            return Ok(Error::Strange { url: self.base.clone(), detail: format!("status {}", status.as_u16()) });
        }
        let body = response.bytes().await.map_err(|error| self.failure(&error))?;
        if self.json && serde_json::from_slice::<Value>(&body).is_ok_and(|problem| problem.is_object()) {
            terminal::print_json(&String::from_utf8_lossy(&body))?;
        }
        Ok(Error::Refused(Box::new(Problem::new(status.as_u16(), &body, retry_after.as_deref()))))
    }

    /// Sends a call and reads the response.
    ///
    /// # Errors
    /// The server refused, did not answer, or is not parkbrake.
    pub async fn send(&self, call: RequestBuilder) -> Result<Answer, Error> {
        let response = call.send().await.map_err(|error| self.failure(&error))?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await?);
        }
        let body = response.bytes().await.map_err(|error| self.failure(&error))?;
        let strange = |detail: String| Error::Strange { url: self.base.clone(), detail };
        let body = String::from_utf8(body.into()).map_err(|_| strange("it is not UTF-8".to_owned()))?;
        let value: Value = serde_json::from_str(&body).map_err(|_| strange("it is not JSON".to_owned()))?;
        if !value.is_object() {
            return Err(strange("it is not a JSON object".to_owned()));
        }
        Ok(Answer { body, value })
    }

    /// Sends a call and returns the body of the response, whatever its status.
    ///
    /// # Errors
    /// The server did not answer.
    pub async fn text(&self, call: RequestBuilder) -> Result<String, Error> {
        let response = call.send().await.map_err(|error| self.failure(&error))?;
        response.text().await.map_err(|error| self.failure(&error))
    }

    fn failure(&self, error: &reqwest::Error) -> Error {
        let url = self.base.clone();
        if error.is_connect() {
            Error::Unreachable { url, cause: cause(error) }
        } else if error.is_timeout() {
            Error::TooSlow { url }
        } else {
            Error::Broken { url, cause: cause(error) }
        }
    }
}

/// The innermost cause of a connection error.
fn cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

#[expect(clippy::disallowed_methods, reason = "a client is not a server: it reads whose token it sends")]
pub(super) fn env(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.trim().is_empty())
}

pub(super) fn base_url(text: &str) -> Result<Url, Error> {
    let wrong = |why: &str| Error::Other(format!("`{text}` {why}: write something like {DEFAULT_URL} into --url or PARKBRAKE_URL"));
    let url = Url::parse(text.trim()).map_err(|_| wrong("is not a URL"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(wrong("is not the address of a server"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::Other("a URL with a password in it would be shown in errors: use PARKBRAKE_TOKEN".to_owned()));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(wrong("has a query, which a server's address cannot have"));
    }
    Ok(url)
}

/// Whether it is this machine, judged by the name as written, without resolving it.
pub(super) fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_is_known_by_its_names() {
        let local = |text: &str| is_loopback(&base_url(text).unwrap());
        for text in ["http://127.0.0.1:8001", "http://localhost", "https://[::1]:8001/prefix", "http://127.9.9.9"] {
            assert!(local(text), "{text}");
        }
        for text in ["http://parkbrake.example.com", "http://127.0.0.1.example.com", "http://10.0.0.1", "http://localhost.example.com"] {
            assert!(!local(text), "{text}");
        }
    }

    #[test]
    fn an_invalid_server_address_is_refused_without_its_secret() {
        for text in ["", "127.0.0.1:8001", "ftp://example.com", "http://", "http://a/?b=c", "http://u:p@example.com"] {
            assert!(base_url(text).is_err(), "{text}");
        }
        assert!(!base_url("http://u:secret@example.com").unwrap_err().to_string().contains("secret"));
    }
}
