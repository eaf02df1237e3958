//! Linear's GraphQL API: how a call is made, and what its errors mean.
//!
//! An error may come with status 200, and a rate limit with status 400. Whatever the status is,
//! `errors` says what went wrong, with a code in its `extensions`.

use crate::actors::ports::Undelivered;
use crate::domain::text::shown;
use crate::notify::http;
use crate::outbound::secret::Secret;
use reqwest::header::{AUTHORIZATION, HeaderValue};
use reqwest::{Client, StatusCode};
use serde_json::{Value, json};

/// The most bytes of an answer that are read.
const LONGEST_ANSWER: usize = 256 * 1024;

/// The API, called with the key of one member.
pub struct Api {
    client: Client,
    url: String,
    key: HeaderValue,
}

/// Why a call returned no data.
#[derive(Debug)]
pub enum Trouble {
    /// The call is wrong: something that it names is missing, or a value is invalid.
    Input(String),
    /// The connection, the key or the service is at fault.
    Undelivered(Undelivered),
}

impl From<Trouble> for Undelivered {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::Input(reason) => Self::Refused { reason },
            Trouble::Undelivered(undelivered) => undelivered,
        }
    }
}

impl From<Undelivered> for Trouble {
    fn from(undelivered: Undelivered) -> Self {
        Self::Undelivered(undelivered)
    }
}

impl Api {
    /// The API at a URL, with a personal key.
    ///
    /// # Errors
    /// No header can hold the key. The error does not show it.
    pub fn new(client: Client, url: &str, key: &Secret) -> Result<Self, String> {
        // A personal key is sent without `Bearer`, which is for OAuth.
        let mut value = HeaderValue::from_str(key.expose()).map_err(|_| "the Linear API key contains invalid characters".to_owned())?;
        value.set_sensitive(true);
        Ok(Self { client, url: url.to_owned(), key: value })
    }

    /// Calls one operation, and returns the data of its answer.
    ///
    /// # Errors
    /// Why there is no data.
    pub async fn call(&self, query: &str, variables: Value) -> Result<Value, Trouble> {
        let request = self.client.post(&self.url).header(AUTHORIZATION, &self.key).json(&json!({"query": query, "variables": variables}));
        let response = request.send().await.map_err(|error| http::unanswered(&error))?;
        let (status, after, otherwise) = (response.status(), http::retry_after(response.headers()), http::outcome(&response));
        let answer: Value = serde_json::from_str(&http::body(response, LONGEST_ANSWER).await?).unwrap_or_default();
        if let Some(error) = answer["errors"].as_array().and_then(|errors| errors.first()) {
            return Err(trouble(error, after));
        }
        otherwise?;
        if !answer["data"].is_object() {
            let reason = format!("the answer was {} without data: is `api_url` that of Linear's GraphQL?", status.as_u16());
            return Err(Undelivered::Later { reason, after: None }.into());
        }
        if status == StatusCode::OK { Ok(answer["data"].clone()) } else { Err(unexpected(status)) }
    }

    /// Whether an object exists.
    ///
    /// # Errors
    /// Why that is not known.
    pub async fn exists(&self, query: &str, field: &str, id: &str) -> Result<bool, Trouble> {
        match self.call(query, json!({"id": id})).await {
            Ok(data) => Ok(data[field]["id"] == *id),
            Err(Trouble::Input(_)) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }
}

fn unexpected(status: StatusCode) -> Trouble {
    Undelivered::Later { reason: format!("the answer was {}", status.as_u16()), after: None }.into()
}

/// What an error means. A refused key and a rate limit pass with time; an error in the call itself
/// does not.
fn trouble(error: &Value, after: Option<std::time::Duration>) -> Trouble {
    let extensions = &error["extensions"];
    let words = |field: &str| extensions[field].as_str().unwrap_or_default().to_ascii_lowercase().replace(['_', ' '], "");
    let (code, kind) = (words("code"), words("type"));
    let is = |word: &str| code == word || kind == word;
    let said = extensions["userPresentableMessage"].as_str().or_else(|| error["message"].as_str()).unwrap_or("an error without a message");
    let reason = format!("Linear says: {}", shown(said));
    if is("ratelimited") || is("internalservererror") || is("internalerror") || is("networkerror") || is("lockedtimeout") {
        return Undelivered::Later { reason, after }.into();
    }
    if is("authenticationerror") || is("unauthenticated") || is("forbidden") || is("featurenotaccessible") {
        let reason = format!("{reason}; check that the API key is valid and may write to the team");
        return Undelivered::Later { reason, after }.into();
    }
    Trouble::Input(reason)
}
