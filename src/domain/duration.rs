//! Durations as the configuration and the API write them: a whole number and one unit,
//! `30s 15m 2h 3d`.
//!
//! Only one unit, because `1h30m` could also be written `90m`, and a policy that people read should
//! have one spelling.

use std::fmt;
use std::time::Duration;

/// Units, largest first, so that formatting picks the shortest spelling.
const UNITS: [(char, u64); 4] = [('d', 86_400), ('h', 3_600), ('m', 60), ('s', 1)];

/// The longest accepted duration, ten years. A longer deadline is a typing error.
pub const LONGEST: Duration = Duration::from_secs(3_650 * 86_400);

/// Why a text is not a duration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a duration: write a whole number and a unit, such as 30s, 15m, 2h or 3d (at most 3650d)")]
pub struct InvalidDuration(String);

/// Reads `30s 15m 2h 3d`.
///
/// # Errors
/// The text is anything else, zero, or more than [`LONGEST`].
pub fn parse(text: &str) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration(text.to_owned());
    let unit = text.chars().last().ok_or_else(invalid)?;
    let (_, seconds) = UNITS.into_iter().find(|(name, _)| *name == unit).ok_or_else(invalid)?;
    let count = &text[..text.len() - unit.len_utf8()];
    if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(invalid());
    }
    let total = count.parse::<u64>().ok().and_then(|count| count.checked_mul(seconds)).ok_or_else(invalid)?;
    let duration = Duration::from_secs(total);
    if duration.is_zero() || duration > LONGEST { Err(invalid()) } else { Ok(duration) }
}

/// Shows a duration in its largest whole unit, as [`parse`] reads it.
pub fn show(duration: Duration) -> impl fmt::Display {
    let seconds = duration.as_secs();
    let (unit, size) = UNITS.into_iter().find(|(_, size)| seconds.is_multiple_of(*size)).unwrap_or(('s', 1));
    format!("{}{unit}", seconds / size)
}

/// Serde for a field that holds a duration in this spelling.
pub mod text {
    use super::{Duration, parse, show};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the duration as text.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(duration: &Duration, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&show(*duration))
    }

    /// Reads the duration from text.
    ///
    /// # Errors
    /// Text that [`parse`] refuses.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Duration, D::Error> {
        parse(&String::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}

/// Serde for a field that may hold a duration in this spelling.
pub mod optional {
    use super::{Duration, parse, show};
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    /// Writes the duration as text, or null.
    ///
    /// # Errors
    /// Those of the serializer.
    pub fn serialize<S: Serializer>(value: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.collect_str(&show(*value)),
            None => serializer.serialize_none(),
        }
    }

    /// Reads the duration from text, or null.
    ///
    /// # Errors
    /// Text that [`parse`] refuses.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Option::<String>::deserialize(deserializer)?.map(|text| parse(&text).map_err(D::Error::custom)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_each_unit_and_writes_the_shortest_spelling() {
        for (text, seconds, shown) in
            [("30s", 30, "30s"), ("15m", 900, "15m"), ("2h", 7_200, "2h"), ("3d", 259_200, "3d"), ("120m", 7_200, "2h")]
        {
            let duration = parse(text).unwrap();
            assert_eq!(duration.as_secs(), seconds);
            assert_eq!(show(duration).to_string(), shown);
        }
    }

    #[test]
    fn refuses_what_is_not_one_number_and_one_unit() {
        for text in ["", "m", "15", "-1m", "+1m", "1.5h", "1h30m", "0s", "99999999999999999999d", "3651d", "15 m", "15M", "１m"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
    }
}
