//! The JSON Canonicalization Scheme (RFC 8785): one spelling for each document, so that its digest
//! is meaningful.
//!
//! The implementation is our own because every submit uses it and it is short. The tests compare it
//! with another implementation. It is a serializer that writes each value once, as it comes, and
//! sorts the members of an object only if they are out of order. JSON text from outside is
//! canonicalized in the same way while it is parsed.

mod reader;
mod serializer;

pub use reader::Rewriter;

use serde::Serialize;
use serde::ser::Error as _;
use serde_json::Error;
use std::cmp::Ordering;
use std::ops::Range;

/// 2^53, the largest whole number up to which doubles are exact; canonical JSON has only doubles.
const LAST_EXACT: u64 = 1 << 53;
/// Most objects have at most this many members, so memory for that many is allocated at once.
const MEMBERS: usize = 12;

/// The canonical bytes of a value.
///
/// # Errors
/// The value cannot be JSON: it has a map with keys that are not strings, or an integer of more
/// than 64 bits.
pub fn write<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(2048);
    value.serialize(Writer { out: &mut bytes })?;
    Ok(bytes)
}

/// The canonical bytes of an object whose members are added one by one.
///
/// # Errors
/// As [`write()`].
pub fn object(add: impl FnOnce(&mut Object<'_>) -> Result<(), Error>) -> Result<Vec<u8>, Error> {
    let mut bytes = Vec::with_capacity(2048);
    let mut object = Writer { out: &mut bytes }.object(MEMBERS, b"");
    add(&mut object)?;
    object.close();
    Ok(bytes)
}

/// Writes one value.
struct Writer<'a> {
    out: &'a mut Vec<u8>,
}

/// Writes the items of a list, each followed by a comma.
struct List<'a> {
    out: &'a mut Vec<u8>,
    /// The text that closes the list.
    close: &'static [u8],
}

/// Writes the members of an object, each followed by a comma.
pub struct Object<'a> {
    out: &'a mut Vec<u8>,
    members: Vec<Member>,
    /// Whether the keys came in order.
    is_sorted: bool,
    /// The text that closes the object.
    close: &'static [u8],
}

/// The position of a member.
struct Member {
    /// Its key as written, without the quotes.
    key: Range<usize>,
    /// The whole member, including its comma.
    all: Range<usize>,
}

impl<'a> Writer<'a> {
    fn list(self, close: &'static [u8]) -> List<'a> {
        self.out.push(b'[');
        List { out: self.out, close }
    }

    fn object(self, members: usize, close: &'static [u8]) -> Object<'a> {
        self.out.push(b'{');
        Object { out: self.out, members: Vec::with_capacity(members), is_sorted: true, close }
    }

    /// Begins a variant that has contents: an object of one member. It ends with one more brace.
    fn variant(self, name: &'static str) -> Result<Self, Error> {
        self.out.push(b'{');
        write_text(name, self.out)?;
        self.out.push(b':');
        Ok(self)
    }
}

impl List<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, item: &T) -> Result<(), Error> {
        item.serialize(Writer { out: self.out })?;
        self.out.push(b',');
        Ok(())
    }

    fn close(self) {
        if self.out.last() == Some(&b',') {
            self.out.pop();
        }
        self.out.push(b']');
        self.out.extend_from_slice(self.close);
    }
}

impl Object<'_> {
    fn key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        let start = self.out.len();
        key.serialize(Writer { out: self.out })?;
        if self.out[start] != b'"' {
            return Err(Error::custom("a key has to be a text"));
        }
        self.end_key(start);
        Ok(())
    }

    /// Notes the key that was written from here, and begins its value.
    fn end_key(&mut self, start: usize) {
        let end = self.out.len();
        let key = start + 1..end - 1;
        if let Some(last) = self.members.last() {
            self.is_sorted &= order(&self.out[last.key.clone()], &self.out[key.clone()]) == Ordering::Less;
        }
        self.members.push(Member { key, all: start..end });
        self.out.push(b':');
    }

    fn value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        value.serialize(Writer { out: self.out })?;
        self.end_value();
        Ok(())
    }

    /// Notes the end of the last key's value.
    fn end_value(&mut self) {
        self.out.push(b',');
        if let Some(member) = self.members.last_mut() {
            member.all.end = self.out.len();
        }
    }

    /// Adds a member.
    ///
    /// # Errors
    /// As [`write()`].
    pub fn add<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        self.key(key)?;
        self.value(value)
    }

    /// Adds a member, if there is a value for it.
    ///
    /// # Errors
    /// As [`write()`].
    pub fn add_some<T: Serialize>(&mut self, key: &str, value: Option<&T>) -> Result<(), Error> {
        value.map_or(Ok(()), |value| self.add(key, value))
    }

    /// Adds a member whose value is already canonical.
    ///
    /// # Errors
    /// As [`write()`].
    pub fn add_canonical(&mut self, key: &str, value: &str) -> Result<(), Error> {
        self.key(key)?;
        self.out.extend_from_slice(value.as_bytes());
        self.end_value();
        Ok(())
    }

    /// Ends the object and sorts its members. Returns whether all keys were distinct. Of two
    /// members with one key the later one stays, as in any map.
    fn close(mut self) -> bool {
        let before = self.members.len();
        let after = if self.is_sorted { before } else { self.sort() };
        if before > 0 {
            self.out.pop();
        }
        self.out.push(b'}');
        self.out.extend_from_slice(self.close);
        before == after
    }

    /// Sorts the members, and returns how many distinct keys there are.
    fn sort(&mut self) -> usize {
        let Some(start) = self.members.first().map(|member| member.all.start) else { return 0 };
        let written = self.out.split_off(start);
        let key = |member: &Member| &written[member.key.start - start..member.key.end - start];
        self.members.sort_by(|one, other| order(key(one), key(other)));
        let mut distinct = 0;
        for (index, member) in self.members.iter().enumerate() {
            if self.members.get(index + 1).is_none_or(|next| key(next) != key(member)) {
                self.out.extend_from_slice(&written[member.all.start - start..member.all.end - start]);
                distinct += 1;
            }
        }
        distinct
    }
}

/// Keys are ordered by their UTF-16 code units (section 3.2.3), which for ASCII is the order of
/// their bytes. The arguments are keys as written, so escapes are resolved first.
fn order(one: &[u8], other: &[u8]) -> Ordering {
    let is_plain = |key: &[u8]| key.iter().all(|byte| byte.is_ascii() && *byte != b'\\');
    if is_plain(one) && is_plain(other) { one.cmp(other) } else { resolved(one).encode_utf16().cmp(resolved(other).encode_utf16()) }
}

/// A key without its escapes.
fn resolved(key: &[u8]) -> String {
    let quoted = [b"\"", key, b"\""].concat();
    serde_json::from_slice(&quoted).expect("a key that was just written")
}

/// Numbers are written as ECMAScript writes a double (section 3.2.2.3).
fn write_double(double: f64, out: &mut Vec<u8>) {
    out.extend_from_slice(ryu_js::Buffer::new().format_finite(double).as_bytes());
}

/// Strings are written with the fewest escapes (section 3.2.2.2), which is what `serde_json` does.
fn write_text(text: &str, out: &mut Vec<u8>) -> Result<(), Error> {
    serde_json::to_writer(out, text)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};
    use std::collections::BTreeMap;

    /// Each against the example of the RFC, or what another implementation makes of it.
    #[test]
    fn numbers_keys_and_escapes_are_those_of_the_rfc() {
        let value: Value = serde_json::from_str(
            r#"{"numbers": [333333333.33333329, 1E30, 4.50, 2e-3, 0.000000000000000000000000001, -0.0, 9007199254740991, 5e-324, 1e21],
                "string": "\u20ac$\u000F\u000aA'\u0042\u0022\u005c\\\"\/\u007f\u2028", "literals": [null, true, false]}"#,
        )
        .unwrap();
        assert_eq!(
            String::from_utf8(write(&value).unwrap()).unwrap(),
            "{\"literals\":[null,true,false],\"numbers\":[333333333.3333333,1e+30,4.5,0.002,1e-27,0,9007199254740991,5e-324,1e+21],\
             \"string\":\"€$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\u{2028}\"}"
        );
        let keys = json!({"\u{fb33}": 1, "\u{1f600}": 2, "\u{20ac}": 3, "\r": 4, "1": 5, "\u{80}": 6, "\u{f6}": 7, "": 8});
        assert_eq!(write(&keys).unwrap(), serde_json_canonicalizer::to_vec(&keys).unwrap());
    }

    #[derive(Serialize)]
    enum Kind {
        Bare,
        One(Vec<u8>),
        Two(i64, Option<f32>),
        Named {
            z: u64,
            a: char,
            #[serde(flatten)]
            more: BTreeMap<String, Value>,
        },
    }

    /// A type is written as the tree would be that it makes: whatever the order of its fields, with
    /// escapes in its keys.
    #[test]
    fn every_shape_of_a_type_is_written_as_its_tree_is() {
        let keys = ["a\u{1}", "a\"", "a\\", "a", "\u{e9}", "\u{1f600}", "\u{fb33}", "", "~"];
        let more: BTreeMap<String, Value> = keys.iter().rev().map(|key| ((*key).to_owned(), json!({"b": [], "a": {}}))).collect();
        let shapes = (
            vec![Kind::Bare, Kind::One(vec![1, 2]), Kind::One(vec![]), Kind::Two(-5, None), Kind::Two(i64::MIN, Some(0.1))],
            Kind::Named { z: u64::MAX, a: 'Ü', more },
            (f64::NAN, f64::INFINITY, -0.0, 1e300, true, ()),
            ["", "x"],
        );
        let tree = serde_json::to_value(&shapes).unwrap();
        assert_eq!(write(&shapes).unwrap(), serde_json_canonicalizer::to_vec(&tree).unwrap());
        assert_eq!(write(&shapes).unwrap(), write(&tree).unwrap());
        assert!(write(&BTreeMap::from([(1, 2)])).is_err(), "a key is a text");
    }
}
