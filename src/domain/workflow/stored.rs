//! The stored form of an event: JSON with the number of its schema. Stored events are read forever.
//!
//! Thousands of requests share the same approval terms, so an event may refer to them by a digest,
//! which the seal of the event covers.

use crate::domain::policy::ApprovalTerms;
use crate::domain::task::digest::hex;
use crate::domain::workflow::Event;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use sha2::{Digest as _, Sha256};
use std::sync::Arc;

/// The schema of the events that this version writes. `tests/fixtures/events` has a folder for
/// each.
pub const SCHEMA: u32 = 3;
/// The schema of events that carry none.
const UNMARKED: u32 = 1;

/// Why the stored form of an event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    #[error("it is written in schema {0}, and this version of parkbrake reads up to schema {highest}: upgrade parkbrake", highest = SCHEMA + 1)]
    TooNew(u32),
    #[error("{0}")]
    NoEvent(#[from] serde_json::Error),
    #[error("the terms of approval that it names are not stored, or somebody has changed them")]
    NoTerms,
}

/// A reference to approval terms that are stored separately: the first half of the SHA-256 of their
/// stored form.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TermsName([u8; 16]);

impl TermsName {
    /// The name of terms with this stored form.
    pub fn of(stored: &str) -> Self {
        let mut name = [0; 16];
        name.copy_from_slice(&Sha256::digest(stored)[..16]);
        Self(name)
    }

    /// Its bytes.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Serialize for TermsName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&hex(&self.0))
    }
}

impl<'de> Deserialize<'de> for TermsName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let number = (text.len() == 32).then(|| u128::from_str_radix(&text, 16).ok()).flatten();
        number.map(|number| Self(number.to_be_bytes())).ok_or_else(|| D::Error::custom("a name of terms has 32 hexadecimal digits"))
    }
}

impl ApprovalTerms {
    /// The text that is stored.
    pub fn to_stored(&self) -> String {
        serde_json::to_string(self).expect("terms are made of strings, numbers and lists")
    }
}

/// An `ApprovalRequested` event that refers to its terms.
#[derive(Serialize, Deserialize)]
struct Asked {
    schema: u32,
    event: AskedTag,
    round: u32,
    terms: TermsName,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    step: Option<u32>,
}

#[derive(Serialize, Deserialize)]
enum AskedTag {
    #[serde(rename = "approval_requested")]
    ApprovalRequested,
}

#[derive(Deserialize)]
struct Marked {
    #[serde(default = "unmarked")]
    schema: u32,
}

fn unmarked() -> u32 {
    UNMARKED
}

impl Event {
    /// The text that is stored.
    pub fn to_stored(&self) -> String {
        // The schema comes before the event's own fields. Writing it here is cheaper than
        // flattening both into one object.
        let mut text = format!("{{\"schema\":{SCHEMA},").into_bytes();
        let start = text.len();
        serde_json::to_writer(&mut text, self).expect("events are made of strings, numbers, lists and objects");
        text.remove(start);
        String::from_utf8(text).expect("JSON is text")
    }

    /// The stored text of an event whose terms are stored separately under this name; `None` for an
    /// event without terms.
    pub fn to_stored_naming(&self, terms: TermsName) -> Option<String> {
        let Self::ApprovalRequested { round, reason, step, .. } = self else { return None };
        let asked = Asked { schema: SCHEMA, event: AskedTag::ApprovalRequested, round: *round, terms, reason: reason.clone(), step: *step };
        Some(serde_json::to_string(&asked).expect("strings and numbers"))
    }

    /// The name of the terms that a stored event refers to, if it does not contain them.
    pub fn terms_named(text: &str) -> Option<TermsName> {
        named(text).map(|asked| asked.terms)
    }

    /// Reads what [`Self::to_stored`] or [`Self::to_stored_naming`] wrote; `terms` looks up terms
    /// by name.
    ///
    /// # Errors
    /// This version does not know the event, or its terms are missing.
    pub fn from_stored_with(text: &str, terms: impl Fn(TermsName) -> Option<Arc<ApprovalTerms>>) -> Result<Self, Unreadable> {
        let Some(Asked { round, terms: name, reason, step, .. }) = named(text) else { return Self::from_stored(text) };
        Ok(Self::ApprovalRequested { round, terms: terms(name).ok_or(Unreadable::NoTerms)?, reason, step })
    }

    /// Reads what [`Self::to_stored`] of this or an earlier version wrote. During a rolling
    /// upgrade, events of the next schema are read as far as this version knows them.
    ///
    /// # Errors
    /// This version does not know the event.
    pub fn from_stored(text: &str) -> Result<Self, Unreadable> {
        let Marked { schema } = serde_json::from_str(text)?;
        if schema > SCHEMA + 1 {
            return Err(Unreadable::TooNew(schema));
        }
        Ok(serde_json::from_str(text)?)
    }
}

/// An event that refers to its terms, if it is one. The quotation mark before a name distinguishes
/// it from inline terms.
fn named(text: &str) -> Option<Asked> {
    text.contains(r#""terms":""#).then(|| serde_json::from_str(text).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(required: u32) -> Arc<ApprovalTerms> {
        let text = r#"{"approvers":["tech_lead"],"required":1,"distinct_roles":false,"require_justification":false,"require_digest":false,
                       "separation_of_duties":true,"escalation":[],"expire_after":"1d"}"#;
        Arc::new(ApprovalTerms { required, ..serde_json::from_str(text).unwrap() })
    }

    #[test]
    fn a_request_names_terms_that_are_stored_apart_and_is_read_with_these_and_no_others() {
        let stored = terms(2).to_stored();
        let name = TermsName::of(&stored);
        let event =
            Event::ApprovalRequested { round: 3, terms: terms(2), reason: Some(r#"say "terms":"x" again"#.to_owned()), step: Some(2) };
        let text = event.to_stored_naming(name).unwrap();
        assert!(text.len() < event.to_stored().len() - 100, "{text}");
        assert_eq!(Event::terms_named(&text), Some(name));
        assert_eq!(Event::from_stored_with(&text, |asked| (asked == name).then(|| terms(2))).unwrap(), event);
        assert!(matches!(Event::from_stored_with(&text, |_| None), Err(Unreadable::NoTerms)));
        assert_ne!(TermsName::of(&terms(1).to_stored()), name, "other terms have another name");
        assert!(Event::Expired { round: 1 }.to_stored_naming(name).is_none());
    }

    #[test]
    fn an_event_that_holds_its_terms_or_speaks_of_terms_names_none() {
        let holds = Event::ApprovalRequested { round: 1, terms: terms(1), reason: None, step: None };
        let output = serde_json::json!({"terms": "00112233445566778899aabbccddeeff"});
        let speaks = Event::ExecutionSucceeded { step: 1, attempt: 1, output: Some(output) };
        for event in [holds, speaks] {
            let text = event.to_stored();
            assert_eq!(Event::terms_named(&text), None, "{text}");
            assert_eq!(Event::from_stored_with(&text, |_| None).unwrap(), event);
        }
    }

    #[test]
    fn an_event_carries_its_schema_and_is_read_with_an_earlier_one_or_none() {
        let event = Event::Expired { round: 1 };
        assert_eq!(event.to_stored(), r#"{"schema":3,"event":"expired","round":1}"#);
        for text in [r#"{"event":"expired","round":1}"#, r#"{"schema":2,"event":"expired","round":1}"#, &event.to_stored()] {
            assert_eq!(Event::from_stored(text).unwrap(), event, "{text}");
        }
    }

    #[test]
    fn known_events_of_the_next_schema_are_read_and_newer_schemas_ask_for_an_upgrade() {
        let next = r#"{"schema":4,"event":"expired","round":1,"since":"a later version"}"#;
        assert_eq!(Event::from_stored(next).unwrap(), Event::Expired { round: 1 });
        assert!(matches!(Event::from_stored(r#"{"schema":4,"event":"foretold"}"#), Err(Unreadable::NoEvent(_))));
        let newer = Event::from_stored(r#"{"schema":5,"event":"expired","round":1}"#).unwrap_err().to_string();
        assert!(newer.contains("schema 5") && newer.contains("upgrade parkbrake"), "{newer}");
    }
}
