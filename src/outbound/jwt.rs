//! JSON Web Tokens (RFC 7515), whatever they are signed with.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::error::Unspecified;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

/// The private key in a PEM file; `None` if there is none. If its lines were joined by a literal
/// `\n`, as is common in environment variables, they are split again.
pub fn private_key(pem: &str) -> Option<PrivateKeyDer<'static>> {
    PrivateKeyDer::from_pem_slice(pem.replace("\\n", "\n").as_bytes()).ok()
}

/// A token with these claims.
///
/// # Errors
/// The system provides no random numbers, so `sign` fails.
pub fn token(algorithm: &str, claims: &Value, sign: impl FnOnce(&[u8]) -> Result<Vec<u8>, Unspecified>) -> Result<String, String> {
    let encode = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", encode(&json!({"alg": algorithm, "typ": "JWT"})), encode(claims));
    let signature = sign(message.as_bytes()).map_err(|_| "the system provides no random numbers, so nothing can be signed".to_owned())?;
    Ok(format!("{message}.{}", URL_SAFE_NO_PAD.encode(signature)))
}
