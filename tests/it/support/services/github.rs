//! GitHub: the two calls of its API by which an App answers for a deployment, with the rules of its
//! documentation
//! (docs.github.com/rest/actions/workflow-runs#review-custom-deployment-protection-rules-for-a-workflow-run).

use super::http::{Call, Reply, Service, lock};
use super::slack::keys;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::signature::{KeyPair as _, RSA_PKCS1_2048_8192_SHA256, RsaKeyPair, UnparsedPublicKey};
use rustls::pki_types::PrivatePkcs1KeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// The App's private key, which was made for the tests.
pub const PRIVATE_KEY: &str = include_str!("../../../fixtures/github/app-key.pem");
pub const APP_ID: &str = "1234";
pub const INSTALLATION: u64 = 3001;

/// GitHub, with one App that is installed once, in one repository.
pub struct Github {
    pub service: Service,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    /// Created and unused tokens; each is valid for one call, so that a cached token is noticed.
    tokens: Mutex<Vec<String>>,
    made: Mutex<u32>,
    /// Waiting runs, with the environment that they wait for.
    waiting: Mutex<Vec<(u64, String)>>,
    /// Runs, with the environment and the answer.
    answers: Mutex<Vec<(u64, Value)>>,
    complaints: Mutex<Vec<String>>,
}

impl Github {
    pub async fn start() -> Self {
        let state = Arc::new(State::default());
        let inside = Arc::clone(&state);
        Self { service: Service::start(move |call| inside.take(call)).await, state }
    }

    /// From now on this run waits for this environment.
    pub fn waits(&self, run: u64, environment: &str) {
        lock(&self.state.waiting).push((run, environment.to_owned()));
    }

    /// The answers about a run, in order.
    pub fn answers(&self, run: u64) -> Vec<Value> {
        lock(&self.state.answers).iter().filter(|(of, _)| *of == run).map(|(_, answer)| answer.clone()).collect()
    }

    pub fn complaints(&self) -> Vec<String> {
        lock(&self.state.complaints).clone()
    }

    pub fn tokens_made(&self) -> u32 {
        *lock(&self.state.made)
    }
}

impl State {
    fn take(&self, call: &Call) -> Reply {
        let parts: Vec<&str> = call.path.trim_start_matches('/').split('/').collect();
        let refused = |status: u16, why: String| {
            lock(&self.complaints).push(why.clone());
            Reply::new(status, json!({"message": why, "documentation_url": "https://docs.github.com/rest"}).to_string())
        };
        if call.method != "POST" {
            return refused(404, "Not Found".to_owned());
        }
        if let Err(why) = headers(call) {
            return refused(400, why);
        }
        match parts.as_slice() {
            ["app", "installations", id, "access_tokens"] => match self.token(call, id) {
                Ok(token) => Reply::new(201, json!({"token": token, "expires_at": "2026-11-27T08:00:00Z"}).to_string()),
                Err((status, why)) => refused(status, why),
            },
            ["repos", "example", "shop", "actions", "runs", run, "deployment_protection_rule"] => match self.answer(call, run) {
                Ok(()) => Reply::new(204, ""),
                Err((status, why)) => refused(status, why),
            },
            _ => refused(404, "Not Found".to_owned()),
        }
    }

    fn token(&self, call: &Call, installation: &str) -> Result<String, (u16, String)> {
        signed(bearer(call)).map_err(|why| (401, why))?;
        if installation != INSTALLATION.to_string() {
            return Err((404, "Not Found".to_owned()));
        }
        let body = call.json().map_err(|why| (422, why))?;
        if body != json!({"repositories": ["shop"], "permissions": {"deployments": "write"}}) {
            return Err((422, format!("the token may do more than it has to: {body}")));
        }
        let mut made = lock(&self.made);
        *made += 1;
        let token = format!("ghs_token{made}");
        lock(&self.tokens).push(token.clone());
        Ok(token)
    }

    fn answer(&self, call: &Call, run: &str) -> Result<(), (u16, String)> {
        let mut tokens = lock(&self.tokens);
        let index = tokens.iter().position(|token| token == bearer(call));
        tokens.remove(index.ok_or((401, "Bad credentials".to_owned()))?);
        let body = call.json().map_err(|why| (422, why))?;
        let fields = keys(&body, &["environment_name", "state", "comment"], &[]).map_err(|why| (422, why))?;
        let run: u64 = run.parse().map_err(|_| (404, "Not Found".to_owned()))?;
        let is_valid = ["approved", "rejected"].contains(&fields["state"].as_str().unwrap_or_default())
            && fields["comment"].as_str().is_some_and(|text| !text.is_empty());
        let mut waiting = lock(&self.waiting);
        let before = waiting.len();
        waiting.retain(|(of, environment)| *of != run || body["environment_name"] != environment.as_str());
        if !is_valid || waiting.len() == before {
            return Err((422, "No pending deployment requests to approve or reject".to_owned()));
        }
        let mut answers = lock(&self.answers);
        answers.push((run, body));
        Ok(())
    }
}

fn headers(call: &Call) -> Result<(), String> {
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    for (name, value) in [("accept", "application/vnd.github+json"), ("x-github-api-version", "2022-11-28")] {
        if header(name) != value {
            return Err(format!("{name} is `{}`", header(name)));
        }
    }
    if header("user-agent").is_empty() { Err("Request forbidden by administrative rules".to_owned()) } else { Ok(()) }
}

fn bearer(call: &Call) -> &str {
    let written = call.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
    written.strip_prefix("Bearer ").unwrap_or_default()
}

/// Whether a token is the App's own, signed with its key, and valid now for no more than ten
/// minutes.
fn signed(token: &str) -> Result<(), String> {
    let unreadable = || "A JSON web token could not be decoded".to_owned();
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| unreadable());
    let (message, signature) = token.rsplit_once('.').ok_or_else(unreadable)?;
    let key = PrivatePkcs1KeyDer::from_pem_slice(PRIVATE_KEY.as_bytes()).expect("a key");
    let key = RsaKeyPair::from_der(key.secret_pkcs1_der()).expect("a key");
    let public = UnparsedPublicKey::new(&RSA_PKCS1_2048_8192_SHA256, key.public_key().as_ref());
    public.verify(message.as_bytes(), &decode(signature)?).map_err(|_| unreadable())?;
    let (_, claims) = message.split_once('.').ok_or_else(unreadable)?;
    let claims: Value = serde_json::from_slice(&decode(claims)?).map_err(|_| unreadable())?;
    let (now, time) = (chrono::Utc::now().timestamp(), |name: &str| claims[name].as_i64().unwrap_or_default());
    if claims["iss"] != APP_ID {
        return Err("Integration not found".to_owned());
    }
    if time("iat") > now || time("exp") <= now || time("exp") - now > 600 {
        return Err("'Expiration time' claim ('exp') is too far in the future".to_owned());
    }
    Ok(())
}
