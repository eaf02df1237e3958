//! Asks the server: one blocking call with a deadline; its answer counts only if it is completely
//! valid.

use crate::cli::client::{DEFAULT_URL, base_url, env, is_loopback};
use crate::cli::dev_home::{self, Kind};
use crate::cli::hook::ShimArgs;
use serde::Deserialize;
use serde_json::Value;
use std::io::Read as _;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use ureq::http::Response;
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::{Agent, Body};

/// The longest answer, in bytes.
const LARGEST: u64 = 64 * 1024;

/// A server, and the caller's token.
pub struct Server {
    agent: Agent,
    /// Without a slash at the end.
    base: String,
    authorization: String,
}

/// The server's decision about a call.
#[derive(Debug, Deserialize)]
pub struct Decision {
    pub decision: Word,
    pub reason: String,
    #[serde(default)]
    pub workflow_id: Option<uuid::Uuid>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Word {
    Allow,
    Deny,
    Parked,
}

impl Server {
    /// The server according to the flags and the environment.
    ///
    /// # Errors
    /// There is no address or no token that may be used.
    pub fn of(args: &ShimArgs, deadline: Duration) -> Result<Self, String> {
        let given = args.url.clone().or_else(|| env("PARKBRAKE_URL")).unwrap_or_else(|| DEFAULT_URL.to_owned());
        let url = base_url(&given).map_err(|error| error.to_string())?;
        let is_local = is_loopback(&url);
        let is_https = url.scheme() == "https";
        if !is_https && !is_local {
            return Err(format!("{given} is on another machine, and a token may go there only over https"));
        }
        let token = token(args, is_local)?;
        let mut config = Agent::config_builder()
            .timeout_global(Some(deadline))
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("parkbrake-hook/", env!("CARGO_PKG_VERSION")));
        // A server on this machine is never reached through a proxy, whatever the environment says.
        if is_local {
            config = config.proxy(None);
        }
        if is_https {
            config = config.tls_config(tls());
        }
        let base = url.as_str().trim_end_matches('/').to_owned();
        Ok(Self { agent: config.build().new_agent(), base, authorization: format!("Bearer {token}") })
    }

    /// Asks whether a call may run.
    ///
    /// # Errors
    /// Anything other than a decision; the call is then not allowed.
    pub fn decide(&self, call: &Value) -> Result<Decision, String> {
        let body = self.post("/agents/tool-calls", call)?;
        let decision: Decision =
            serde_json::from_slice(&body).map_err(|error| format!("the answer of {} is not a decision: {error}", self.base))?;
        if decision.decision == Word::Allow && decision.workflow_id.is_none() {
            return Err(format!("{} allows a call and names no workflow", self.base));
        }
        Ok(decision)
    }

    /// Reports the result of a call.
    ///
    /// # Errors
    /// The server did not accept the report.
    pub fn report(&self, result: &Value) -> Result<(), String> {
        self.post("/agents/tool-results", result).map(drop)
    }

    /// Checks whether the server knows the token.
    ///
    /// # Errors
    /// The server does not know it, or does not answer.
    pub fn check(&self) -> Result<(), String> {
        let request = self.agent.get(format!("{}/workflows/pending?limit=1", self.base)).header("authorization", &self.authorization);
        self.answer(request.call()).map(drop)
    }

    fn post(&self, path: &str, body: &Value) -> Result<Vec<u8>, String> {
        let request = self.agent.post(format!("{}{path}", self.base)).header("authorization", &self.authorization);
        self.answer(request.content_type("application/json").send(body.to_string()))
    }

    /// The body of a 200, which has to be JSON.
    fn answer(&self, answered: Result<Response<Body>, ureq::Error>) -> Result<Vec<u8>, String> {
        let response = answered.map_err(|error| format!("no answer from {}: {error}", self.base))?;
        let status = response.status().as_u16();
        let media_type = response.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_json = media_type.split(';').next().is_some_and(|kind| kind == "application/json" || kind.ends_with("+json"));
        let mut bytes = Vec::new();
        let mut reader = response.into_body().into_reader().take(LARGEST + 1);
        reader.read_to_end(&mut bytes).map_err(|error| format!("the answer of {} ended too early: {error}", self.base))?;
        if bytes.len() as u64 > LARGEST {
            return Err(format!("the answer of {} is longer than {LARGEST} bytes", self.base));
        }
        match status {
            200 if is_json => Ok(bytes),
            200 => Err(format!("the answer of {} is not JSON", self.base)),
            _ => Err(match detail(&bytes) {
                Some(detail) if is_json => format!("{} refused ({status}): {detail}", self.base),
                _ => format!("{} answered {status}", self.base),
            }),
        }
    }
}

/// The detail of a problem document.
fn detail(body: &[u8]) -> Option<String> {
    let problem: Value = serde_json::from_slice(body).ok()?;
    problem.get("detail")?.as_str().map(str::to_owned)
}

/// The certificates that this machine trusts, with the cryptography of the rest of the program.
fn tls() -> TlsConfig {
    let trusted = rustls_native_certs::load_native_certs().certs;
    let roots: Vec<Certificate<'static>> = trusted.iter().map(|one| Certificate::from_der(one).to_owned()).collect();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    TlsConfig::builder().root_certs(RootCerts::Specific(Arc::new(roots))).unversioned_rustls_crypto_provider(provider).build()
}

/// The agent's token: from the given file, from the environment, or, on this machine, that of the
/// development server.
fn token(args: &ShimArgs, is_local: bool) -> Result<String, String> {
    let token = match (&args.token_file, env("PARKBRAKE_TOKEN"), env("PARKBRAKE_TOKEN_FILE")) {
        (Some(file), ..) => of_file(file)?,
        (None, Some(token), _) => token,
        (None, None, Some(file)) => of_file(Path::new(&file))?,
        (None, None, None) if is_local => {
            let known = dev_home::folder().and_then(|folder| dev_home::read(&folder));
            let known = known.map_err(|_| "there is no token: name a file with --token-file, or set PARKBRAKE_TOKEN".to_owned())?;
            let name = env("PARKBRAKE_AS");
            dev_home::choose(&known, name.as_deref(), Kind::Agent).map_err(|error| error.to_string())?.token.clone()
        }
        (None, None, None) => return Err("there is no token: name a file with --token-file, or set PARKBRAKE_TOKEN".to_owned()),
    };
    let token = token.trim();
    let is_one = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_one { Ok(token.to_owned()) } else { Err("the token contains an invalid character; copy it again".to_owned()) }
}

/// The token in a file that only its owner may read.
fn of_file(path: &Path) -> Result<String, String> {
    let shown = path.display();
    let file = std::fs::File::open(path).map_err(|error| format!("cannot open the token file {shown}: {error}"))?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = file
            .metadata()
            .map_err(|error| format!("cannot read the permissions of the token file {shown}: {error}"))?
            .permissions()
            .mode();
        if mode & 0o077 != 0 {
            return Err(format!("others may read the token file {shown}: chmod 600 {shown}"));
        }
    }
    let mut text = String::new();
    file.take(4_096).read_to_string(&mut text).map_err(|error| format!("cannot read the token file {shown}: {error}"))?;
    Ok(text)
}
