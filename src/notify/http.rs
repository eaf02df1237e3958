//! What an answer means for a notice that was sent over HTTP. No error that comes from here names
//! an address.

use crate::actors::ports::Undelivered;
use crate::outbound::client::cause;
use chrono::DateTime;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use std::time::Duration;

/// The longest pause that the other side may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(60 * 60);

/// What an answer means for the notice: accepted, gone forever (410), or to be tried again. A
/// channel recognizes the refusals of its own service before it asks here.
///
/// # Errors
/// The notice was not accepted.
pub fn outcome(response: &Response) -> Result<(), Undelivered> {
    judge(response.status(), response.headers())
}

fn judge(status: StatusCode, headers: &HeaderMap) -> Result<(), Undelivered> {
    let reason = || format!("the answer was {}", worded(status));
    match status {
        status if status.is_success() => Ok(()),
        StatusCode::GONE => Err(Undelivered::Gone { reason: reason() }),
        status if status.is_redirection() => {
            Err(Undelivered::Later { reason: format!("{}, and redirects are not followed", reason()), after: None })
        }
        _ => Err(Undelivered::Later { reason: reason(), after: retry_after(headers) }),
    }
}

fn worded(status: StatusCode) -> String {
    status.canonical_reason().map_or_else(|| status.as_u16().to_string(), |words| format!("{} {words}", status.as_u16()))
}

/// The pause that the other side asks for, in seconds or as a date. A date is compared with the
/// other side's own clock, so that neither clock has to be right.
pub fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let written = text(RETRY_AFTER)?;
    let asked = match written.parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            let (until, now) = (DateTime::parse_from_rfc2822(written).ok()?, DateTime::parse_from_rfc2822(text(DATE)?).ok()?);
            until.signed_duration_since(now).to_std().unwrap_or_default()
        }
    };
    Some(asked.min(LONGEST_PAUSE))
}

/// What a failed connection means for the notice. The reason does not show the address.
pub fn unanswered(error: &reqwest::Error) -> Undelivered {
    let reason = if error.is_timeout() { "there was no answer in time".to_owned() } else { format!("no connection: {}", cause(error)) };
    Undelivered::Later { reason, after: None }
}

/// Reads the beginning of a body.
///
/// # Errors
/// The connection broke.
pub async fn body(mut response: Response, most: usize) -> Result<String, Undelivered> {
    let mut bytes = Vec::new();
    while bytes.len() < most {
        match response.chunk().await {
            Ok(Some(chunk)) => bytes.extend_from_slice(&chunk),
            Ok(None) => break,
            Err(error) => return Err(unanswered(&error)),
        }
    }
    bytes.truncate(most);
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::HeaderValue;

    fn headers(pairs: &[(reqwest::header::HeaderName, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn an_answer_is_taken_gone_or_for_later() {
        let none = HeaderMap::new();
        for status in [200, 201, 202, 204] {
            assert_eq!(judge(StatusCode::from_u16(status).unwrap(), &none), Ok(()), "{status}");
        }
        assert_eq!(judge(StatusCode::GONE, &none), Err(Undelivered::Gone { reason: "the answer was 410 Gone".to_owned() }));
        for status in [301, 302, 307, 400, 401, 404, 429, 500, 503] {
            let answer = judge(StatusCode::from_u16(status).unwrap(), &none);
            assert!(matches!(answer, Err(Undelivered::Later { after: None, .. })), "{status}: {answer:?}");
        }
        let answer = judge(StatusCode::SERVICE_UNAVAILABLE, &headers(&[(RETRY_AFTER, "7")]));
        let after = Some(Duration::from_secs(7));
        assert_eq!(answer, Err(Undelivered::Later { reason: "the answer was 503 Service Unavailable".to_owned(), after }));
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_as_a_date() {
        let date = "Wed, 21 Oct 2015 07:28:00 GMT";
        let pause = |pairs: &[(reqwest::header::HeaderName, &'static str)]| retry_after(&headers(pairs));
        assert_eq!(pause(&[(RETRY_AFTER, "120")]), Some(Duration::from_secs(120)));
        assert_eq!(pause(&[(RETRY_AFTER, "999999999")]), Some(LONGEST_PAUSE));
        assert_eq!(pause(&[(RETRY_AFTER, date), (DATE, "Wed, 21 Oct 2015 07:27:15 GMT")]), Some(Duration::from_secs(45)));
        assert_eq!(pause(&[(RETRY_AFTER, date), (DATE, "Wed, 21 Oct 2015 07:29:00 GMT")]), Some(Duration::ZERO));
        for nothing in [&[][..], &[(RETRY_AFTER, "soon")], &[(RETRY_AFTER, "-1")], &[(RETRY_AFTER, date)]] {
            assert_eq!(pause(nothing), None, "{nothing:?}");
        }
    }
}
