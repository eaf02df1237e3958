//! A word of a command, and how much of it is known before it runs.

use crate::domain::tools::places::spelled_out;

/// How much of a word is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Known {
    /// All of it.
    Literal,
    /// Its shape: `*.rs`, `a{,.bak}`.
    Glob,
    /// Only how it begins. The rest comes from the environment, or from a command that lists what
    /// is there.
    Begins,
    /// Nothing that could be relied on: it is put together in the command itself.
    Crafted,
}

/// One word, without its quotes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// What is known of it.
    pub text: String,
    pub known: Known,
}

impl Word {
    /// A word of which everything is known.
    pub fn literal(text: impl Into<String>) -> Self {
        Self { text: text.into(), known: Known::Literal }
    }

    /// The text, where all of it is known.
    pub fn as_literal(&self) -> Option<&str> {
        (self.known == Known::Literal).then_some(self.text.as_str())
    }

    /// The names that it may hold, beside the whole of it: `key=file`, `host:file`, `a,b`.
    pub fn pieces(&self) -> impl Iterator<Item = &str> {
        self.text.split(['=', ',', '@', ':', ' ', '\n', '"', '\'']).filter(|piece| !piece.is_empty())
    }

    /// How much there is to look up of it.
    pub fn names(&self) -> usize {
        match self.known {
            Known::Glob => spelled_out(&self.text),
            Known::Literal | Known::Begins | Known::Crafted => self.pieces().count(),
        }
    }

    /// Whether it is an option. A single hyphen is none: it stands for standard input.
    pub fn is_flag(&self) -> bool {
        self.text.starts_with('-') && self.text.len() > 1
    }
}
