//! Sizes as the configuration writes them: a whole number and one unit, `64KiB 512MiB 2GiB`.

use std::fmt;

/// Units, largest first, so that a size is shown in the shortest spelling.
const UNITS: [(&str, u64); 4] = [("TiB", 1 << 40), ("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];

/// The largest accepted size. A larger one is a typing error.
const LARGEST: u64 = 1 << 50;

/// A number of bytes, at least one KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Size(u64);

/// Why a text is not a size.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a size: write a whole number and a unit, such as 64KiB, 512MiB or 2GiB (at most 1024TiB)")]
pub struct InvalidSize(String);

impl Size {
    pub const fn gib(count: u64) -> Self {
        Self(count << 30)
    }

    pub const fn bytes(self) -> u64 {
        self.0
    }

    /// Reads `64KiB 512MiB 2GiB`.
    ///
    /// # Errors
    /// The text is anything else, zero, or more than 1024TiB.
    pub fn parse(text: &str) -> Result<Self, InvalidSize> {
        let read = || {
            let (count, unit) = UNITS.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, unit)))?;
            let is_number = !count.is_empty() && count.bytes().all(|byte| byte.is_ascii_digit());
            let bytes = is_number.then(|| count.parse::<u64>().ok()?.checked_mul(*unit)).flatten()?;
            (1..=LARGEST).contains(&bytes).then_some(Self(bytes))
        };
        read().ok_or_else(|| InvalidSize(text.to_owned()))
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, unit) = UNITS.into_iter().find(|(_, unit)| self.0.is_multiple_of(*unit)).unwrap_or(("B", 1));
        write!(f, "{}{name}", self.0 / unit)
    }
}

/// Serde for a field that may hold a size in this spelling.
pub mod optional {
    use super::Size;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the size as text, or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Option<Size>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(value),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the size from text.
    ///
    /// # Errors
    /// Text that [`Size::parse`] refuses.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Size>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?;
        text.map(|text| Size::parse(&text)).transpose().map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_read_as_it_is_shown() {
        for (text, bytes) in [("1KiB", 1 << 10), ("512MiB", 512 << 20), ("2GiB", 2 << 30), ("1024TiB", 1 << 50)] {
            let size = Size::parse(text).unwrap();
            assert_eq!((size.bytes(), Size::parse(&size.to_string())), (bytes, Ok(size)), "{text}");
        }
        assert_eq!(Size::parse("2048MiB").unwrap().to_string(), "2GiB");
    }

    #[test]
    fn everything_else_is_refused() {
        for text in
            ["", "1", "GiB", "0MiB", "-1MiB", "+1MiB", "1 GiB", "1.5GiB", "1GB", "1gib", "1025TiB", "99999999999999999999KiB", "1GiBKiB"]
        {
            assert!(Size::parse(text).is_err(), "{text}");
        }
    }
}
