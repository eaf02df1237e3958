//! The words for operations, environments and types of resource, and their other spellings.
//!
//! Spellings are trimmed and lower-cased in ASCII, and then compared with this table only. There is
//! no fuzzy matching and no Unicode folding: `prоduction` with a Cyrillic о is not on the list, so
//! it is unrecognized, which is dangerous.

/// An ordered list of canonical words. Environments are ordered by danger, the most dangerous
/// first.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vocabulary {
    words: Vec<Word>,
}

/// A canonical word and its other spellings, all trimmed and in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    pub name: String,
    pub spellings: Vec<String>,
}

impl Vocabulary {
    /// A vocabulary of these words, in this order. The caller ensures that no spelling appears
    /// twice.
    pub fn new(words: Vec<Word>) -> Self {
        Self { words }
    }

    /// The canonical word for a spelling; `None` if it is on no list.
    pub fn resolve(&self, written: &str) -> Option<&str> {
        let written = normalized(written);
        self.words.iter().find(|word| word.name == written || word.spellings.contains(&written)).map(|word| word.name.as_str())
    }

    /// The canonical words, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.words.iter().map(|word| word.name.as_str())
    }

    /// Whether this is one of the canonical words.
    pub fn contains(&self, name: &str) -> bool {
        self.names().any(|known| known == name)
    }

    /// The rank of a canonical word. A word that is not on the list comes first, as the most
    /// dangerous.
    pub fn rank(&self, name: &str) -> usize {
        self.names().position(|known| known == name).map_or(0, |index| index + 1)
    }
}

/// The form of a spelling that is compared.
pub fn normalized(written: &str) -> String {
    written.trim().to_ascii_lowercase()
}
