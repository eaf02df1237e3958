//! YAML text as a tree of values, each of which knows its line. The only file that depends on the
//! YAML crate.
//!
//! The crate below keeps no positions in its values, but its errors have one. So every value and
//! every key is numbered in the order in which it is read, and the line of a number is found by
//! reading the text once more and failing there. That costs a second pass for every problem that is
//! reported and nothing otherwise, and it is right for block style, flow style, quoted keys and
//! aliases alike, because it is the parser itself that answers.
//!
//! A configuration is read with budgets (size, nesting, number of values once aliases are
//! followed), so that a broken or hostile file is refused at once.

use serde::de::{Deserialize as _, DeserializeSeed, EnumAccess, Error as _, IgnoredAny, MapAccess, SeqAccess, VariantAccess as _, Visitor};
use std::cell::{Cell, RefCell};
use std::fmt;

/// The longest file that is read.
pub const MOST_BYTES: usize = 1024 * 1024;
/// The most values, keys among them, that a file may hold once aliases are followed.
const MOST_VALUES: usize = 20_000;
/// The deepest nesting of a file.
const MOST_DEPTH: usize = 32;

/// The position of a value or a key, in the order of reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Position(usize);

/// A value and its position.
#[derive(Debug)]
pub struct Node {
    pub position: Position,
    pub value: Value,
}

/// A value as the YAML 1.2 core schema reads it.
#[derive(Debug)]
pub enum Value {
    Nothing,
    Boolean(bool),
    /// A whole number that is not negative.
    Count(u64),
    /// Any other number, as the parser prints it.
    Number(String),
    Text(String),
    List(Vec<Node>),
    /// In the order of the text; a key may appear twice.
    Mapping(Vec<Entry>),
    /// A value with a tag such as `!secret`, which configuration has no use for.
    Tagged(String),
}

/// One key of a mapping, and its value.
#[derive(Debug)]
pub struct Entry {
    pub key: String,
    pub position: Position,
    pub node: Node,
}

/// Why a text is not a valid document.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    pub line: Option<usize>,
    pub detail: String,
}

/// Reads a text.
///
/// # Errors
/// The text is not valid YAML, or it exceeds a budget.
pub fn parse(text: &str) -> Result<Node, Fault> {
    refuse_before_parsing(text)?;
    let reader = Reader::stopping_at(None);
    Walk { reader: &reader, depth: 0 }.deserialize(serde_yaml::Deserializer::from_str(text)).map_err(|error| match reader.refused.take() {
        Some((position, detail)) => Fault { line: line_of(text, position), detail },
        None => Fault { line: error.location().map(|location| location.line()), detail: format!("is not valid YAML: {error}") },
    })
}

/// Reads a text of one or more documents, which share the budgets of one.
///
/// # Errors
/// The text is not valid YAML, or it exceeds a budget.
pub fn parse_all(text: &str) -> Result<Vec<Node>, Fault> {
    refuse_before_parsing(text)?;
    let reader = Reader::stopping_at(None);
    let fault = |error: serde_yaml::Error| Fault { line: None, detail: format!("is not valid YAML: {error}") };
    serde_yaml::Deserializer::from_str(text)
        .map(|document| Walk { reader: &reader, depth: 0 }.deserialize(document).map_err(fault))
        .collect()
}

/// The line, counted from 1, of a position in the text that it was read from.
pub fn line_of(text: &str, position: Position) -> Option<usize> {
    let reader = Reader::stopping_at(Some(position));
    let stopped = Walk { reader: &reader, depth: 0 }.deserialize(serde_yaml::Deserializer::from_str(text));
    stopped.err()?.location().map(|location| location.line())
}

/// Checks that have to come before the parser: tabs, which it reports badly, and brackets nested so
/// deeply that it would take minutes.
fn refuse_before_parsing(text: &str) -> Result<(), Fault> {
    if text.len() > MOST_BYTES {
        return Err(Fault { line: None, detail: format!("is larger than {MOST_BYTES} bytes; a configuration is not that long") });
    }
    let mut open = 0_usize;
    for (line, number) in text.lines().zip(1..) {
        let indentation = &line[..line.len() - line.trim_start_matches([' ', '\t']).len()];
        if indentation.contains('\t') && !line.trim().is_empty() {
            return Err(Fault { line: Some(number), detail: "is indented with a tab; YAML is indented with spaces".to_owned() });
        }
        for byte in line.bytes() {
            match byte {
                b'[' | b'{' => open += 1,
                b']' | b'}' => open = open.saturating_sub(1),
                _ => {}
            }
        }
        // Brackets in comments and quoted text count too, hence the margin.
        if open > 8 * MOST_DEPTH {
            return Err(Fault { line: Some(number), detail: too_deep() });
        }
    }
    Ok(())
}

fn too_deep() -> String {
    format!("is nested more than {MOST_DEPTH} deep; nothing in a configuration is")
}

/// The state of one pass over a text.
struct Reader {
    /// How many values and keys have been read.
    read: Cell<usize>,
    stop_at: Option<Position>,
    /// Our own message for the error that ended the pass, and its position.
    refused: RefCell<Option<(Position, String)>>,
}

impl Reader {
    fn stopping_at(stop_at: Option<Position>) -> Self {
        Self { read: Cell::new(0), stop_at, refused: RefCell::new(None) }
    }

    fn refuse<E: serde::de::Error>(&self, position: Position, detail: String) -> E {
        self.refused.replace(Some((position, detail)));
        E::custom("refused")
    }
}

/// Reads one value at a certain depth.
#[derive(Clone, Copy)]
struct Walk<'r> {
    reader: &'r Reader,
    depth: usize,
}

impl<'r> Walk<'r> {
    /// Numbers the value that is being visited. An error raised here carries its position.
    fn arrive<E: serde::de::Error>(self) -> Result<Position, E> {
        let position = Position(self.reader.read.replace(self.reader.read.get() + 1));
        if self.reader.stop_at == Some(position) {
            return Err(E::custom("here"));
        }
        if position.0 >= MOST_VALUES {
            return Err(self.reader.refuse(position, format!("holds more than {MOST_VALUES} values, counted with every alias followed")));
        }
        Ok(position)
    }

    fn leaf<E: serde::de::Error>(self, value: Value) -> Result<Node, E> {
        Ok(Node { position: self.arrive()?, value })
    }

    /// Numbers a list or a mapping, and returns the walk for its contents.
    fn enter<E: serde::de::Error>(self) -> Result<(Position, Walk<'r>), E> {
        let position = self.arrive()?;
        if self.depth >= MOST_DEPTH {
            return Err(self.reader.refuse(position, too_deep()));
        }
        Ok((position, Walk { depth: self.depth + 1, ..self }))
    }
}

impl<'de> DeserializeSeed<'de> for Walk<'_> {
    type Value = Node;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Walk<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Node, E> {
        self.leaf(Value::Nothing)
    }

    fn visit_none<E: serde::de::Error>(self) -> Result<Node, E> {
        self.leaf(Value::Nothing)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Node, E> {
        self.leaf(Value::Boolean(value))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Node, E> {
        self.leaf(Value::Count(value))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Node, E> {
        self.leaf(u64::try_from(value).map_or_else(|_| Value::Number(value.to_string()), Value::Count))
    }

    fn visit_u128<E: serde::de::Error>(self, value: u128) -> Result<Node, E> {
        self.leaf(Value::Number(value.to_string()))
    }

    fn visit_i128<E: serde::de::Error>(self, value: i128) -> Result<Node, E> {
        self.leaf(Value::Number(value.to_string()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Node, E> {
        self.leaf(Value::Number(value.to_string()))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Node, E> {
        self.leaf(Value::Text(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Node, A::Error> {
        let (position, inner) = self.enter()?;
        let mut nodes = Vec::new();
        while let Some(node) = list.next_element_seed(inner)? {
            nodes.push(node);
        }
        Ok(Node { position, value: Value::List(nodes) })
    }

    fn visit_map<A: MapAccess<'de>>(self, mut mapping: A) -> Result<Node, A::Error> {
        let (position, inner) = self.enter()?;
        let mut entries = Vec::new();
        while let Some(key) = mapping.next_key_seed(inner)? {
            let Value::Text(text) = key.value else {
                let detail = format!("has a key that is {}; a key is text, so put it in quotes", key.value.kind());
                return Err(self.reader.refuse(key.position, detail));
            };
            entries.push(Entry { key: text, position: key.position, node: mapping.next_value_seed(inner)? });
        }
        Ok(Node { position, value: Value::Mapping(entries) })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, tagged: A) -> Result<Node, A::Error> {
        let position = self.arrive()?;
        let (tag, value) = tagged.variant_seed(Tag)?;
        value.newtype_variant::<IgnoredAny>()?;
        Ok(Node { position, value: Value::Tagged(tag) })
    }
}

/// Reads the name of a tag.
struct Tag;

impl<'de> DeserializeSeed<'de> for Tag {
    type Value = String;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<String, D::Error> {
        String::deserialize(deserializer).map_err(D::Error::custom)
    }
}

impl Value {
    /// A description of the value for error messages.
    pub fn kind(&self) -> String {
        match self {
            Self::Nothing => "empty".to_owned(),
            Self::Boolean(value) => format!("the boolean {value}"),
            Self::Count(value) => format!("the number {value}"),
            Self::Number(value) => format!("the number {value}"),
            Self::Text(text) => format!("the text `{}`", crate::domain::text::shown(text)),
            Self::List(_) => "a list".to_owned(),
            Self::Mapping(_) => "a mapping".to_owned(),
            Self::Tagged(tag) => format!("tagged `!{}`", crate::domain::text::shown(tag)),
        }
    }
}

#[cfg(test)]
mod tests;
