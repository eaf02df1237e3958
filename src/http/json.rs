//! Strict JSON.
//!
//! Parkbrake refuses what two parsers could read differently: duplicate keys, and numbers that a
//! double cannot hold. It also refuses what the database cannot store byte for byte, and documents
//! that only cause work.

use crate::domain::json::{DEEPEST, FIRST_INEXACT, LARGEST_INTEGER, may_hold_nul};
use crate::domain::request::{Fault, Named, escaped};
use crate::http::body::FromBody;
use crate::http::problem::{Code, Problem};
use crate::service::ServiceError;
use axum::body::Bytes;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::map::Entry;
use serde_json::{Map, Number, Value};
use std::fmt;
use utoipa::ToSchema;

/// Most objects have no more fields; memory for this many is reserved at once.
const USUAL_FIELDS: usize = 12;

/// Any type that a call takes is decoded field by field; an empty body counts as `{}`.
impl<T: DeserializeOwned + ToSchema + Send> FromBody for T {
    async fn from_body(head: Parts, bytes: Bytes) -> Result<Self, Problem> {
        Ok(decode(read(&head.headers, &bytes)?)?)
    }
}

/// Reads the bytes of a body as JSON.
///
/// # Errors
/// The bytes are not declared as JSON, are not JSON, or are JSON that two readers could read
/// differently.
pub fn read(headers: &HeaderMap, bytes: &[u8]) -> Result<Value, Problem> {
    if bytes.is_empty() {
        return Ok(Value::Object(Map::new()));
    }
    if !is_json(headers) {
        return Err(Problem::new(Code::UnsupportedMediaType, "send the body as `Content-Type: application/json`"));
    }
    let value = parse(bytes).map_err(|error| Problem::new(Code::MalformedJson, error.to_string()))?;
    let mut faults = Vec::new();
    if may_hold_nul(bytes) {
        find_nul(&value, &mut String::new(), &mut faults);
    }
    if faults.is_empty() { Ok(value) } else { Err(Problem::invalid(&faults)) }
}

/// Decodes a value as the type that a call takes.
///
/// # Errors
/// The first fault, with its position.
pub fn decode<T: DeserializeOwned + ToSchema>(value: Value) -> Result<T, ServiceError> {
    serde_path_to_error::deserialize(value).map(|Named(decoded)| decoded).map_err(|error| {
        let pointer: String = error
            .path()
            .iter()
            .filter_map(|segment| match segment {
                serde_path_to_error::Segment::Seq { index } => Some(format!("/{index}")),
                serde_path_to_error::Segment::Map { key } => Some(format!("/{}", escaped(key))),
                serde_path_to_error::Segment::Enum { .. } | serde_path_to_error::Segment::Unknown => None,
            })
            .collect();
        ServiceError::invalid(pointer, error.inner().to_string())
    })
}

/// Whether a body claims to be JSON.
pub fn is_json(headers: &HeaderMap) -> bool {
    let written = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = written.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

fn parse(bytes: &[u8]) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = Strict { depth: 0 }.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

/// Reads one value, at a certain depth.
#[derive(Clone, Copy)]
struct Strict {
    depth: u32,
}

impl Strict {
    fn deeper<E: Error>(self) -> Result<Self, E> {
        let depth = self.depth + 1;
        if depth > DEEPEST {
            Err(E::custom(format!("lists and objects are nested deeper than {DEEPEST} levels")))
        } else {
            Ok(Self { depth })
        }
    }
}

impl<'de> DeserializeSeed<'de> for Strict {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Strict {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        if value > LARGEST_INTEGER { Err(too_large(value)) } else { Ok(Value::from(value)) }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        if value.unsigned_abs() > LARGEST_INTEGER { Err(too_large(value)) } else { Ok(Value::from(value)) }
    }

    /// Whole numbers with more digits than 64 bits hold come here too, and are as large as in any
    /// other spelling.
    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        let in_range = value.abs() < FIRST_INEXACT;
        in_range.then(|| Number::from_f64(value)).flatten().map(Value::Number).ok_or_else(|| too_large(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(Value::String(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Value, E> {
        Ok(Value::String(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(inner)? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let inner = self.deeper()?;
        let mut map = Map::with_capacity(USUAL_FIELDS);
        while let Some(key) = entries.next_key::<String>()? {
            match map.entry(key) {
                Entry::Vacant(entry) => {
                    entry.insert(entries.next_value_seed(inner)?);
                }
                Entry::Occupied(twice) => {
                    return Err(A::Error::custom(format!("the key `{}` appears twice", crate::domain::text::shown(twice.key()))));
                }
            }
        }
        Ok(Value::Object(map))
    }
}

fn too_large<E: Error>(number: impl fmt::Display) -> E {
    E::custom(format!("{number} is beyond what every JSON reader reads the same (2^53 - 1); send it as text"))
}

/// Finds NUL characters, in keys too: PostgreSQL cannot store them, and no text for people needs
/// them.
fn find_nul(value: &Value, pointer: &mut String, faults: &mut Vec<Fault>) {
    match value {
        Value::String(text) if text.contains('\0') => faults.push(Fault::new(pointer.clone(), "holds a NUL character")),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                within(pointer, &index.to_string(), |pointer| find_nul(item, pointer, faults));
            }
        }
        Value::Object(entries) => {
            for (key, item) in entries {
                within(pointer, &escaped(key).replace('\0', "\\u0000"), |pointer| {
                    if key.contains('\0') {
                        faults.push(Fault::new(pointer.clone(), "is a key with a NUL character"));
                    }
                    find_nul(item, pointer, faults);
                });
            }
        }
        _ => {}
    }
}

fn within(pointer: &mut String, segment: &str, work: impl FnOnce(&mut String)) {
    let length = pointer.len();
    pointer.push('/');
    pointer.push_str(segment);
    work(pointer);
    pointer.truncate(length);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_valid_json_as_it_is() {
        let text = br#"{"a": [1, -2.5, "x", true, null], "b": {"c": 9007199254740991}}"#;
        assert_eq!(parse(text).unwrap(), serde_json::from_slice::<Value>(text).unwrap());
    }

    #[test]
    fn refuses_what_two_readers_could_read_differently() {
        for text in [
            r#"{"a": 1, "a": 2}"#,
            r#"{"x": {"a": 1, "\u0061": 2}}"#,
            r#"{"a": 9007199254740993}"#,
            r#"{"a": -9007199254740993}"#,
            r#"{"a": 18446744073709551617}"#,
            r#"{"a": 1e16}"#,
            r#"{"a": 1e999}"#,
            r#"{"a": NaN}"#,
            r#"{"a": 1} {"#,
            r#"{"a": 1,}"#,
            "{\"a\": \"\\ud800\"}",
        ] {
            assert!(parse(text.as_bytes()).is_err(), "{text}");
        }
        assert!(parse(b"{\"a\": \"\xff\"}").is_err());
        assert!(parse(format!("{}{}", "[".repeat(33), "]".repeat(33)).as_bytes()).is_err());
        assert!(parse(format!("{}{}", "[".repeat(32), "]".repeat(32)).as_bytes()).is_ok());
    }

    #[test]
    fn finds_nul_in_every_position() {
        let value = parse(br#"{"a": ["x", "y\u0000"], "k\u0000": 1, "a/b": {"c": "\u0000"}}"#).unwrap();
        let mut faults = Vec::new();
        find_nul(&value, &mut String::new(), &mut faults);
        let mut pointers: Vec<_> = faults.into_iter().map(|fault| fault.pointer).collect();
        pointers.sort_unstable();
        assert_eq!(pointers, ["/a/1", "/a~1b/c", "/k\\u0000"]);
    }
}
