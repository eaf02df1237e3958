//! A push service (RFC 8030) with the browsers that are subscribed to it. It takes only what is
//! signed (RFC 8292), and the browsers decrypt it (RFC 8291).

use super::http::{Call, Reply, Service, lock};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::Utc;
use p256::elliptic_curve::sec1::ToSec1Point as _;
use p256::{PublicKey, SecretKey};
use parkbrake::domain::notice::Subscription;
use ring::aead::{AES_128_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::hkdf::{HKDF_SHA256, KeyType, Salt};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// The private key with which parkbrake identifies itself.
pub const KEY: &str = include_str!("../../../fixtures/web_push/vapid-key.pem");
/// Whom the service can ask about it.
pub const SUBJECT: &str = "mailto:ops@example.com";

/// A push service.
pub struct PushService {
    pub service: Service,
    world: Arc<World>,
}

#[derive(Default)]
struct World {
    /// The browsers by the paths of their endpoints.
    browsers: Mutex<BTreeMap<String, Device>>,
    complaints: Mutex<Vec<String>>,
}

/// A subscribed browser, and what it was sent.
struct Device {
    secret: SecretKey,
    auth: [u8; 16],
    messages: Vec<Pushed>,
}

/// A message as a browser gets it.
#[derive(Debug, Clone)]
pub struct Pushed {
    pub said: Value,
    pub topic: Option<String>,
    pub urgency: String,
}

impl PushService {
    pub async fn start() -> Self {
        let world = Arc::new(World::default());
        let inside = Arc::clone(&world);
        Self { service: Service::start(move |call| inside.take(call)).await, world }
    }

    /// A new browser. Its keys follow from its name.
    pub fn browser(&self, name: &str) -> Subscription {
        let mut scalar = [7; 32];
        scalar[..name.len()].copy_from_slice(name.as_bytes());
        let (secret, auth, path) = (SecretKey::from_slice(&scalar).expect("a scalar"), [9; 16], format!("/push/{name}"));
        let p256dh = secret.public_key().to_sec1_point(false).as_bytes().to_vec();
        let endpoint = format!("{}{path}", self.service.url);
        lock(&self.world.browsers).insert(path, Device { secret, auth, messages: Vec::new() });
        Subscription { id: Uuid::new_v4(), endpoint, p256dh, auth: auth.to_vec() }
    }

    /// The browser unsubscribes, or is gone.
    pub fn forget(&self, name: &str) {
        lock(&self.world.browsers).remove(&format!("/push/{name}"));
    }

    /// What a browser was sent.
    pub fn messages(&self, name: &str) -> Vec<Pushed> {
        lock(&self.world.browsers).get(&format!("/push/{name}")).map(|device| device.messages.clone()).unwrap_or_default()
    }

    pub fn complaints(&self) -> Vec<String> {
        lock(&self.world.complaints).clone()
    }
}

impl World {
    fn take(&self, call: &Call) -> Reply {
        let mut browsers = lock(&self.browsers);
        let Some(device) = browsers.get_mut(&call.path) else { return Reply::new(410, "push subscription has unsubscribed or expired") };
        match received(call, device) {
            Ok(message) => {
                device.messages.push(message);
                Reply::new(201, "")
            }
            Err(why) => {
                lock(&self.complaints).push(why.clone());
                Reply::new(400, why)
            }
        }
    }
}

fn received(call: &Call, device: &Device) -> Result<Pushed, String> {
    let header = |name: &str| call.headers.get(name).and_then(|value| value.to_str().ok());
    let required = |name: &str| header(name).ok_or_else(|| format!("{name} is missing"));
    is_signed(required("authorization")?, &format!("http://{}", required("host")?))?;
    if call.method != "POST" || required("content-encoding")? != "aes128gcm" || call.body.len() > 4_096 {
        return Err(format!("{} with {} bytes", call.method, call.body.len()));
    }
    required("ttl")?.parse::<u32>().map_err(|error| format!("ttl: {error}"))?;
    let urgency = required("urgency")?.to_owned();
    if !["very-low", "low", "normal", "high"].contains(&urgency.as_str()) {
        return Err(format!("the urgency is {urgency}"));
    }
    let topic = header("topic").map(str::to_owned);
    let is_sound = |topic: &String| topic.len() <= 32 && topic.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte));
    if !topic.iter().all(is_sound) {
        return Err(format!("the topic is {topic:?}"));
    }
    let said = serde_json::from_slice(&decrypt(&call.body, device)?).map_err(|error| error.to_string())?;
    Ok(Pushed { said, topic, urgency })
}

/// Whether the token is for this service, short-lived, and signed with the key of the test.
fn is_signed(authorization: &str, origin: &str) -> Result<(), String> {
    let (token, key) =
        authorization.strip_prefix("vapid t=").and_then(|rest| rest.split_once(", k=")).ok_or_else(|| "no token of VAPID".to_owned())?;
    let (message, signature) = token.rsplit_once('.').ok_or("no token")?;
    let decode = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|error| error.to_string());
    let signed = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, decode(key)?).verify(message.as_bytes(), &decode(signature)?);
    signed.map_err(|_| "the signature is wrong".to_owned())?;
    let claims: Value =
        serde_json::from_slice(&decode(message.split('.').nth(1).unwrap_or_default())?).map_err(|error| error.to_string())?;
    let left = claims["exp"].as_i64().unwrap_or_default() - Utc::now().timestamp();
    let is_sound = claims["aud"] == *origin && claims["sub"] == SUBJECT && (0..86_400).contains(&left);
    if is_sound { Ok(()) } else { Err(format!("the claims are {claims}")) }
}

/// What the browser does with a message.
fn decrypt(body: &[u8], device: &Device) -> Result<Vec<u8>, String> {
    let (salt, peer, encrypted) = (&body[..16], &body[21..86], &body[86..]);
    let public = PublicKey::from_sec1_bytes(peer).map_err(|error| error.to_string())?;
    let shared = (public.to_projective() * *device.secret.to_nonzero_scalar()).to_affine().to_sec1_point(false);
    let own = device.secret.public_key().to_sec1_point(false);
    let shared = derived::<32>(&device.auth, shared.x().ok_or("no point")?, &[b"WebPush: info\0", own.as_bytes(), peer]);
    let key = derived::<16>(salt, &shared, &[b"Content-Encoding: aes128gcm\0"]);
    let nonce = derived::<12>(salt, &shared, &[b"Content-Encoding: nonce\0"]);
    let key = LessSafeKey::new(UnboundKey::new(&AES_128_GCM, &key).expect("a key"));
    let mut opened = encrypted.to_vec();
    let nonce = Nonce::assume_unique_for_key(nonce);
    let opened = key.open_in_place(nonce, Aad::empty(), &mut opened).map_err(|_| "it was not encrypted for this browser".to_owned())?;
    opened.strip_suffix(&[2]).map(<[u8]>::to_vec).ok_or_else(|| "the record has no end".to_owned())
}

fn derived<const LENGTH: usize>(salt: &[u8], secret: &[u8], info: &[&[u8]]) -> [u8; LENGTH] {
    struct Length(usize);
    impl KeyType for Length {
        fn len(&self) -> usize {
            self.0
        }
    }
    let mut derived = [0; LENGTH];
    let from = Salt::new(HKDF_SHA256, salt).extract(secret);
    from.expand(info, Length(LENGTH)).and_then(|okm| okm.fill(&mut derived)).expect("a key");
    derived
}
