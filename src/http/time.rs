//! Times as the API sends them: UTC, to the microsecond.

use chrono::{DateTime, Datelike as _, SecondsFormat, Timelike as _, Utc};
use serde::{Serialize, Serializer};
use std::borrow::Cow;
use utoipa::openapi::schema::{KnownFormat, SchemaFormat, Type};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema};
use utoipa::{PartialSchema, ToSchema};

/// A time in the form of the API: RFC 3339, UTC, to the microsecond that the database keeps.
#[derive(Debug, Clone, Copy)]
pub struct Time(pub DateTime<Utc>);

impl Serialize for Time {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.digits() {
            Some(digits) => serializer.serialize_str(std::str::from_utf8(&digits).unwrap_or_default()),
            None => serializer.serialize_str(&self.0.to_rfc3339_opts(SecondsFormat::Micros, true)),
        }
    }
}

impl Time {
    /// The digits of the time, written directly for speed; `None` for a leap second and for years
    /// without four digits.
    fn digits(self) -> Option<[u8; 27]> {
        let at = self.0.naive_utc();
        let (year, micros) = (u32::try_from(at.year()).ok().filter(|year| *year <= 9_999)?, at.nanosecond() / 1_000);
        if micros > 999_999 {
            return None;
        }
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let parts = [(0, 4, year), (5, 2, at.month()), (8, 2, at.day()), (11, 2, at.hour()), (14, 2, at.minute()), (17, 2, at.second())];
        for (start, width, number) in parts.into_iter().chain([(20, 6, micros)]) {
            let mut rest = number;
            for digit in text[start..start + width].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
        Some(text)
    }
}

impl PartialSchema for Time {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::DateTime)))
            .description(Some("A time by the database's clock: RFC 3339, in UTC, to the microsecond."))
            .examples(["2026-11-22T13:48:49.965973Z"])
            .into()
    }
}

impl ToSchema for Time {
    fn name() -> Cow<'static, str> {
        "Time".into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(at: DateTime<Utc>) -> String {
        serde_json::to_string(&Time(at)).unwrap()
    }

    #[test]
    fn moments_at_the_edges_are_written_as_rfc_3339_has_them() {
        for (text, expected) in [
            ("2026-11-22T13:48:49.965973Z", "2026-11-22T13:48:49.965973Z"),
            ("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
            ("9999-12-31T23:59:59.999999999Z", "9999-12-31T23:59:59.999999Z"),
            ("2016-12-31T23:59:60.5Z", "2016-12-31T23:59:60.500000Z"),
        ] {
            assert_eq!(written(text.parse().unwrap()), format!("\"{expected}\""));
        }
        assert_eq!(
            written(DateTime::<Utc>::MAX_UTC),
            format!("\"{}\"", DateTime::<Utc>::MAX_UTC.to_rfc3339_opts(SecondsFormat::Micros, true))
        );
    }

    proptest! {
        #[test]
        fn every_moment_is_written_as_the_library_writes_it(seconds in -70_000_000_000_i64..300_000_000_000, nanos in 0_u32..1_000_000_000) {
            let at = DateTime::from_timestamp(seconds, nanos).unwrap();
            prop_assert_eq!(written(at), format!("\"{}\"", at.to_rfc3339_opts(SecondsFormat::Micros, true)));
        }
    }
}
