//! An OpenID Connect provider: discovery, keys, and the token endpoint, with the checks that RFC
//! 6749 and RFC 7636 require. The contents and signatures of its ID tokens can be falsified.

use super::http::{Call, Reply, Service, lock};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use reqwest::Url;
use ring::rand::SystemRandom;
use ring::rsa::PublicKeyComponents;
use ring::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, RSA_PKCS1_SHA256, RsaKeyPair};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

pub const CLIENT: &str = "parkbrake";
pub const CLIENT_SECRET: &str = "s3cret of the client";

/// How the next ID tokens are signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signing {
    Es256,
    Rs256,
    /// With a key that the provider does not publish.
    Foreign,
    /// With the client's secret.
    Hs256,
    None,
}

/// A person whom the provider knows.
#[derive(Debug, Clone)]
pub struct Subject {
    pub subject: &'static str,
    pub email: Option<(&'static str, bool)>,
}

/// Changes the contents of the next ID tokens.
type Twist = Box<dyn Fn(&mut Value) + Send>;

/// A running provider.
pub struct OpenId {
    pub service: Service,
    shared: Arc<Shared>,
}

struct Shared {
    keys: Mutex<Keys>,
    signing: Mutex<Signing>,
    twist: Mutex<Twist>,
    codes: Mutex<HashMap<String, Grant>>,
    complaints: Mutex<Vec<String>>,
}

struct Keys {
    number: usize,
    elliptic: EcdsaKeyPair,
}

/// The data behind a code.
struct Grant {
    subject: Subject,
    nonce: String,
    challenge: String,
    redirect: String,
}

impl OpenId {
    pub async fn start() -> Self {
        let shared = Arc::new(Shared {
            keys: Mutex::new(Keys { number: 1, elliptic: elliptic() }),
            signing: Mutex::new(Signing::Es256),
            twist: Mutex::new(Box::new(|_| {})),
            codes: Mutex::default(),
            complaints: Mutex::default(),
        });
        let inside = Arc::clone(&shared);
        let service = Service::start(move |call| inside.answer(call)).await;
        Self { service, shared }
    }

    pub fn issuer(&self) -> &str {
        &self.service.url
    }

    pub fn sign_with(&self, signing: Signing) {
        *lock(&self.shared.signing) = signing;
    }

    /// From now on ID tokens have these contents instead of the right ones.
    pub fn twist(&self, twist: impl Fn(&mut Value) + Send + 'static) {
        *lock(&self.shared.twist) = Box::new(twist);
    }

    /// Switches to another key, and no longer publishes the old one.
    pub fn rotate(&self) {
        let mut keys = lock(&self.shared.keys);
        *keys = Keys { number: keys.number + 1, elliptic: elliptic() };
    }

    /// Simulates a person who signs in at the address to which a browser was sent. Returns where
    /// the browser is sent back to.
    #[track_caller]
    pub fn sign_in(&self, address: &str, subject: Subject) -> String {
        let address = Url::parse(address).expect("an address");
        let asked: HashMap<String, String> = address.query_pairs().into_owned().collect();
        assert_eq!(address.as_str().split('?').next().unwrap(), format!("{}/authorize", self.issuer()));
        for (name, value) in [("response_type", "code"), ("client_id", CLIENT), ("code_challenge_method", "S256")] {
            assert_eq!(asked.get(name).map(String::as_str), Some(value), "{name} in {asked:?}");
        }
        assert!(asked["scope"].split(' ').any(|scope| scope == "openid"), "{asked:?}");
        let code = format!("code-{}", uuid::Uuid::new_v4());
        let (nonce, challenge, redirect) = (asked["nonce"].clone(), asked["code_challenge"].clone(), asked["redirect_uri"].clone());
        let mut back = Url::parse(&redirect).expect("an address");
        back.query_pairs_mut().append_pair("code", &code).append_pair("state", &asked["state"]).append_pair("iss", self.issuer());
        lock(&self.shared.codes).insert(code, Grant { subject, nonce, challenge, redirect });
        format!("{}?{}", back.path(), back.query().unwrap())
    }

    pub fn complaints(&self) -> Vec<String> {
        lock(&self.shared.complaints).clone()
    }
}

fn elliptic() -> EcdsaKeyPair {
    let random = SystemRandom::new();
    let key = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).expect("a key");
    EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, key.as_ref(), &random).expect("a key")
}

fn rsa() -> RsaKeyPair {
    RsaKeyPair::from_pkcs8(include_bytes!("../../../fixtures/openid/rsa-of-the-tests.pk8")).expect("a key")
}

fn coded(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Shared {
    fn answer(&self, call: &Call) -> Reply {
        let host = call.headers["host"].to_str().expect("a host");
        let issuer = format!("http://{host}");
        let answer = match call.path.as_str() {
            "/.well-known/openid-configuration" => Ok(json!({
                "issuer": issuer, "authorization_endpoint": format!("{issuer}/authorize"), "token_endpoint": format!("{issuer}/token"),
                "jwks_uri": format!("{issuer}/keys"), "response_types_supported": ["code"], "subject_types_supported": ["public"],
                // It offers weak algorithms as well, which must not be used.
                "id_token_signing_alg_values_supported": ["RS256", "ES256", "HS256", "none"],
                "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            })),
            "/keys" => Ok(self.shown()),
            "/token" => self.token(call, &issuer),
            path => Err(format!("{path} is not here")),
        };
        match answer {
            Ok(body) => Reply::new(200, body.to_string()).with("content-type", "application/json"),
            Err(why) => {
                lock(&self.complaints).push(why.clone());
                let body = json!({"error": "invalid_grant", "error_description": why});
                Reply::new(400, body.to_string()).with("content-type", "application/json")
            }
        }
    }

    fn shown(&self) -> Value {
        let keys = lock(&self.keys);
        let point = keys.elliptic.public_key().as_ref();
        let public = PublicKeyComponents::<Vec<u8>>::from(rsa().public());
        json!({"keys": [
            {"kty": "EC", "use": "sig", "alg": "ES256", "crv": "P-256", "kid": format!("ec-{}", keys.number), "x": coded(&point[1..33]), "y": coded(&point[33..65])},
            {"kty": "RSA", "use": "sig", "alg": "RS256", "kid": "rsa", "n": coded(public.n), "e": coded(public.e)},
        ]})
    }

    fn token(&self, call: &Call, issuer: &str) -> Result<Value, String> {
        let body = String::from_utf8(call.body.clone()).map_err(|error| error.to_string())?;
        let sent = Url::parse(&format!("http://x/?{body}")).map_err(|error| error.to_string())?;
        let sent: HashMap<String, String> = sent.query_pairs().into_owned().collect();
        let authorization = call.headers.get("authorization").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let secret = CLIENT_SECRET.replace(' ', "+");
        if authorization != format!("Basic {}", STANDARD.encode(format!("{CLIENT}:{secret}"))) {
            return Err("the client is not known".to_owned());
        }
        let get = |name: &str| sent.get(name).map(String::as_str).unwrap_or_default();
        // Showing a code uses it up, whether or not it is right.
        let grant = lock(&self.codes).remove(get("code")).ok_or("this code is not known, or was used")?;
        if get("grant_type") != "authorization_code" || get("redirect_uri") != grant.redirect {
            return Err("another grant, or another address".to_owned());
        }
        if coded(Sha256::digest(get("code_verifier"))) != grant.challenge {
            return Err("the verifier is not the challenge's".to_owned());
        }
        let now = chrono::Utc::now().timestamp();
        let mut claims = json!({
            "iss": issuer, "sub": grant.subject.subject, "aud": CLIENT, "exp": now + 300, "iat": now, "auth_time": now, "nonce": grant.nonce,
        });
        if let Some((email, verified)) = grant.subject.email {
            claims["email"] = json!(email);
            claims["email_verified"] = json!(verified);
        }
        (lock(&self.twist))(&mut claims);
        Ok(json!({"access_token": "of no use here", "token_type": "Bearer", "expires_in": 300, "id_token": self.signed(&claims)}))
    }

    fn signed(&self, claims: &Value) -> String {
        let keys = lock(&self.keys);
        let signing = *lock(&self.signing);
        let (algorithm, key) = match signing {
            Signing::Es256 | Signing::Foreign => ("ES256", Some(format!("ec-{}", keys.number))),
            Signing::Rs256 => ("RS256", Some("rsa".to_owned())),
            Signing::Hs256 => ("HS256", None),
            Signing::None => ("none", None),
        };
        let message = format!("{}.{}", coded(json!({"alg": algorithm, "kid": key}).to_string()), coded(claims.to_string()));
        let (random, bytes) = (SystemRandom::new(), message.as_bytes());
        let signature = match signing {
            Signing::Es256 => keys.elliptic.sign(&random, bytes).expect("a signature").as_ref().to_vec(),
            Signing::Foreign => elliptic().sign(&random, bytes).expect("a signature").as_ref().to_vec(),
            Signing::Rs256 => {
                let key = rsa();
                let mut signature = vec![0; key.public().modulus_len()];
                key.sign(&RSA_PKCS1_SHA256, &random, bytes, &mut signature).expect("a signature");
                signature
            }
            Signing::Hs256 => {
                let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, CLIENT_SECRET.as_bytes());
                ring::hmac::sign(&key, bytes).as_ref().to_vec()
            }
            Signing::None => Vec::new(),
        };
        format!("{message}.{}", coded(signature))
    }
}
