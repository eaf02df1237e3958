//! Protection from cross-site request forgery: whether a form was sent from one of our pages.
//!
//! Three conditions have to hold, and each alone would be enough in a correct browser: the session
//! cookie is `SameSite=Lax`, so another site's form comes without it; the browser says that the
//! form came from this origin; and the form carries a token that only a page of the same session
//! can know.

use crate::domain::task::digest::hex;
use crate::http::body;
use crate::http::problem::{Code, Problem};
use crate::service::admission::Permit;
use crate::web::Web;
use crate::web::form::Fields;
use crate::web::session::{self, Session};
use axum::body::Body;
use axum::extract::FromRequest;
use axum::http::{HeaderMap, Request, header};
use axum::response::{IntoResponse as _, Response};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use std::sync::Arc;

/// The field of a form that holds its token.
pub const FIELD: &str = "form_token";
/// The text that is sealed to make the token of forms. No sealed message can equal it.
const FORM: &str = "form";
/// Bytes of a seal.
const SEAL: usize = 32;

/// A form that a signed-in person sent from one of our pages. A handler that takes this type cannot
/// be reached in any other way.
pub struct Posted {
    pub session: Session,
    pub fields: Fields,
    /// Held until the form has been handled.
    pub permit: Arc<Permit>,
}

impl FromRequest<Web> for Posted {
    type Rejection = Response;

    async fn from_request(request: Request<Body>, web: &Web) -> Result<Self, Response> {
        let foreign = || {
            let detail = "this form did not come from a page of your session, so nothing was done; reload the page and send the form again";
            Problem::new(Code::NotPermitted, detail).into_response()
        };
        if !is_from_here(request.headers()) {
            return Err(foreign());
        }
        let session = match session::of(web, request.headers(), true).await {
            Ok(Some(session)) => session,
            Ok(None) => return Err(session::ask_to_sign_in(request.uri().path())),
            Err(problem) => return Err(problem.into_response()),
        };
        let read = body::receive::<Fields>(&web.service.admissions.changes, &session.person.name, request).await;
        let (fields, permit) = read.map_err(Problem::into_response)?;
        let token = fields.one(FIELD).map_err(Problem::into_response)?.unwrap_or_default();
        if is_form_token(session.id(), token) { Ok(Self { session, fields, permit }) } else { Err(foreign()) }
    }
}

impl Session {
    /// A token for the forms of one page of this session.
    ///
    /// # Errors
    /// The system provides no random numbers.
    pub fn form_token(&self) -> Result<String, Problem> {
        form_token(self.id())
    }
}

/// A token for the forms of one page. It does not reveal the session's id.
///
/// Pages are compressed, and the length of a compressed page would tell an attacker who can put
/// words into it how much of a secret they have guessed (BREACH). So no two pages have the same
/// token: each is a random pad, followed by the session's seal of that pad, masked with the pad.
fn form_token(session_id: &str) -> Result<String, Problem> {
    let mut pad = [0; SEAL];
    getrandom::fill(&mut pad).map_err(|error| {
        tracing::error!(%error, "the system provides no random numbers");
        Problem::internal()
    })?;
    let seal = keyed(session_id, FORM).finalize().into_bytes();
    let masked: Vec<u8> = pad.iter().zip(&seal).map(|(pad, byte)| pad ^ byte).collect();
    Ok(hex(&pad) + &hex(&masked))
}

/// Whether a page of this session had this token.
fn is_form_token(session_id: &str, token: &str) -> bool {
    let Some(token) = unhex(token).filter(|token| token.len() == 2 * SEAL) else { return false };
    let (pad, masked) = token.split_at(SEAL);
    let seal: Vec<u8> = pad.iter().zip(masked).map(|(pad, byte)| pad ^ byte).collect();
    keyed(session_id, FORM).verify_slice(&seal).is_ok()
}

/// The seal of a text: a MAC that only this session could have made.
pub fn seal(session_id: &str, text: &str) -> String {
    hex(&keyed(session_id, text).finalize().into_bytes())
}

/// Whether this session made the seal, compared in constant time.
pub fn is_seal(session_id: &str, text: &str, seal: &str) -> bool {
    unhex(seal).is_some_and(|seal| keyed(session_id, text).verify_slice(&seal).is_ok())
}

fn keyed(session_id: &str, text: &str) -> Hmac<Sha256> {
    let mut keyed = Hmac::<Sha256>::new_from_slice(session_id.as_bytes()).expect("a key of any length is accepted");
    keyed.update(text.as_bytes());
    keyed
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes();
    let pair = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    (digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit)).then(|| digits.chunks(2).map(pair).collect())?
}

/// Whether the browser says that a request came from this origin. A request without that header is
/// refused: every browser that supports `__Host-` cookies sends it with each form.
pub fn is_from_here(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    if let Some(site) = text("sec-fetch-site") {
        return site == "same-origin";
    }
    let origin = text(header::ORIGIN.as_str()).and_then(|origin| origin.split_once("://")).map(|(_, host)| host);
    origin.is_some() && origin == text(header::HOST.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn forms_from_other_sites_are_recognized() {
        assert!(is_from_here(&headers(&[("sec-fetch-site", "same-origin")])));
        assert!(is_from_here(&headers(&[("origin", "https://park.example"), ("host", "park.example")])));
        for foreign in [
            &[("sec-fetch-site", "cross-site")][..],
            &[("sec-fetch-site", "same-site"), ("origin", "https://park.example"), ("host", "park.example")],
            &[("origin", "https://evil.example"), ("host", "park.example")],
            &[("origin", "null"), ("host", "park.example")],
            &[("host", "park.example")],
            &[],
        ] {
            assert!(!is_from_here(&headers(foreign)), "{foreign:?}");
        }
    }

    #[test]
    fn a_seal_holds_for_one_session_and_one_text() {
        let token = seal("one", FORM);
        assert!(is_seal("one", FORM, &token));
        for (id, text, seal) in [("two", FORM, token.as_str()), ("one", "approved", &token), ("one", FORM, ""), ("one", FORM, &token[2..])]
        {
            assert!(!is_seal(id, text, seal));
        }
        assert!(!is_seal("one", FORM, "zz") && !is_seal("one", FORM, "é0"));
    }

    #[test]
    fn each_page_has_a_token_of_its_own_and_each_of_them_holds() {
        let tokens: Vec<String> = (0..3).map(|_| form_token("one").unwrap()).collect();
        for token in &tokens {
            assert!(is_form_token("one", token) && !is_form_token("two", token));
            assert_eq!(tokens.iter().filter(|other| *other == token).count(), 1);
            // Neither half is the same on two pages, and neither the seal itself nor a part of a
            // token is a valid token.
            assert!(tokens.iter().all(|other| other == token || (other[..64] != token[..64] && other[64..] != token[64..])));
            assert!(!is_form_token("one", &token[..64]) && !is_form_token("one", &token[64..]) && !is_form_token("one", &token[2..]));
        }
        let other_half = format!("{}{}", &tokens[0][..64], &tokens[1][64..]);
        for forged in [seal("one", FORM).as_str(), &seal("one", FORM).repeat(2), "", "zz", "é0", &other_half, &"0".repeat(128)] {
            assert!(!is_form_token("one", forged), "{forged}");
        }
    }
}
