//! A word of a command, and how much of it is known before it runs.

use crate::domain::tools::paths::spelled_out;

/// How much of a word is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// The whole word.
    Literal,
    /// A pattern that it matches: `*.rs`, `a{,.bak}`.
    Glob,
    /// Only its beginning. The rest comes from the environment, or from a command that lists
    /// existing names.
    Begins,
    /// Nothing reliable: the command itself composes it.
    Crafted,
}

/// One word, without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// The known text.
    pub text: String,
    pub known: Known,
}

impl Word {
    /// A completely known word.
    pub fn literal(text: impl Into<String>) -> Self {
        Self { text: text.into(), known: Known::Literal }
    }

    /// The text, if the whole word is known.
    pub fn as_literal(&self) -> Option<&str> {
        (self.known == Known::Literal).then_some(self.text.as_str())
    }

    /// The names that it may contain, in addition to the whole word: `key=file`, `host:file`,
    /// `a,b`.
    pub fn pieces(&self) -> impl Iterator<Item = &str> {
        self.text.split(['=', ',', '@', ':', ' ', '\n', '"', '\'']).filter(|piece| !piece.is_empty())
    }

    /// The cost of checking it.
    pub fn names(&self) -> usize {
        match self.known {
            Known::Glob => spelled_out(&self.text),
            Known::Literal | Known::Begins | Known::Crafted => self.pieces().count(),
        }
    }

    /// Whether it is an option. A single hyphen is not: it means standard input.
    pub fn is_flag(&self) -> bool {
        self.text.starts_with('-') && self.text.len() > 1
    }
}
