//! Parses JSON strictly and writes it in canonical form in the same pass, without a tree.

use super::{MEMBERS, Object, Writer, write_double, write_text};
use crate::domain::json::{DEEPEST, FIRST_INEXACT, LARGEST_INTEGER};
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use std::fmt;

/// Appends the next value of some JSON text in canonical form.
///
/// It works only with `serde_json` reading a slice: only there is a text borrowed from the source
/// free of escapes.
pub struct Rewriter<'a> {
    out: &'a mut Vec<u8>,
    /// The nesting depth of the value.
    depth: u32,
}

impl<'a> Rewriter<'a> {
    /// Writes a value at this nesting depth.
    pub fn new(out: &'a mut Vec<u8>, depth: u32) -> Self {
        Self { out, depth }
    }

    fn deeper<E: Error>(&self) -> Result<u32, E> {
        if self.depth < DEEPEST { Ok(self.depth + 1) } else { Err(E::custom("it is nested too deep")) }
    }

    fn write<E: Error>(self, value: impl Serialize) -> Result<(), E> {
        value.serialize(Writer { out: self.out }).map_err(E::custom)
    }
}

impl<'de> DeserializeSeed<'de> for Rewriter<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Rewriter<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.write(())
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<(), E> {
        self.write(value)
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<(), E> {
        if value > LARGEST_INTEGER { Err(E::custom("it is too large")) } else { self.write(value) }
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<(), E> {
        if value.unsigned_abs() > LARGEST_INTEGER { Err(E::custom("it is too large")) } else { self.write(value) }
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<(), E> {
        if value.abs() < FIRST_INEXACT {
            write_double(value, self.out);
            Ok(())
        } else {
            Err(E::custom("it is too large"))
        }
    }

    /// A text without escapes is copied: characters that need escapes cannot appear in it.
    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<(), E> {
        quote(value, self.out);
        Ok(())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<(), E> {
        write_text(value, self.out).map_err(E::custom)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        let list = Writer { out: self.out }.list(b"");
        while items.next_element_seed(Rewriter { out: list.out, depth })?.is_some() {
            list.out.push(b',');
        }
        list.close();
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<(), A::Error> {
        let depth = self.deeper()?;
        let mut object = Writer { out: self.out }.object(MEMBERS, b"");
        while entries.next_key_seed(Key(&mut object))?.is_some() {
            entries.next_value_seed(Rewriter { out: object.out, depth })?;
            object.end_value();
        }
        if object.close() { Ok(()) } else { Err(A::Error::custom("a key appears twice")) }
    }
}

/// Writes the key of an object's next member.
struct Key<'k, 'a>(&'k mut Object<'a>);

impl<'de> DeserializeSeed<'de> for Key<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl<'de> Visitor<'de> for Key<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    /// Like a value, a key without escapes is copied.
    fn visit_borrowed_str<E>(self, key: &'de str) -> Result<(), E> {
        let start = self.0.out.len();
        quote(key, self.0.out);
        self.0.end_key(start);
        Ok(())
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        self.0.key(key).map_err(E::custom)
    }
}

fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}
