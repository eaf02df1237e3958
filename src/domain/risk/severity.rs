//! The severities of security findings, and the spellings that scanners use.

use crate::domain::risk::level::Level;
use crate::domain::task::vocabulary::normalized;

/// The words that conditions see, the least severe first.
pub const WORDS: [&str; 4] = ["low", "medium", "high", "critical"];

/// The severity that a scanner means; `None` for an unknown word.
pub fn resolve(written: &str) -> Option<Level> {
    match normalized(written).as_str() {
        "critical" => Some(Level::Critical),
        "high" => Some(Level::High),
        "medium" | "moderate" => Some(Level::Medium),
        "low" | "info" | "informational" | "none" => Some(Level::Low),
        _ => None,
    }
}

/// The severity that counts: an unknown word is critical.
pub fn counted(written: &str) -> Level {
    resolve(written).unwrap_or(Level::Critical)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scanners_spell_one_severity_in_many_ways() {
        for (written, level) in [
            ("HIGH", Level::High),
            ("High", Level::High),
            (" medium ", Level::Medium),
            ("MODERATE", Level::Medium),
            ("moderate", Level::Medium),
            ("Low\t", Level::Low),
            ("info", Level::Low),
            ("Informational", Level::Low),
            ("CRITICAL", Level::Critical),
        ] {
            assert_eq!(resolve(written), Some(level), "{written:?}");
        }
        for unknown in ["", "UNKNOWN", "hihg", "cr\u{456}tical", "5"] {
            assert_eq!((resolve(unknown), counted(unknown)), (None, Level::Critical), "{unknown:?}");
        }
        assert!(WORDS.iter().zip(Level::ALL).all(|(word, level)| resolve(word) == Some(level)));
    }
}
