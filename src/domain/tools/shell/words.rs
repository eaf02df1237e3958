//! Shell words: without quotes and backslashes, and how much of each is known.

use crate::domain::tools::shell::Reader;
use crate::domain::tools::shell::tree::{children, text};
use crate::domain::tools::word::{Known, Word};
use regex::Regex;
use std::sync::LazyLock;
use tree_sitter::Node;

/// An array index that would run something.
static INDEX: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\w\[[^\]]*(?:\$\(|`)").expect("a valid pattern"));

fn crafted() -> Word {
    Word { text: String::new(), known: Known::Crafted }
}

fn begins() -> Word {
    Word { text: String::new(), known: Known::Begins }
}

impl Reader<'_> {
    /// Reads a word and the commands inside it, and notes a word that names a secret.
    pub(super) fn word(&mut self, node: Node<'_>, source: &str) -> Word {
        let word = self.unnoted(node, source);
        self.mention(&word);
        word
    }

    /// Reads a word and the commands inside it.
    pub(super) fn unnoted(&mut self, node: Node<'_>, source: &str) -> Word {
        let mut word = crafted();
        if self.words_left == 0 {
            return word;
        }
        self.words_left -= 1;
        if self.words_left == 0 {
            self.unmatched(text(node, source), "it has too many words");
            return word;
        }
        self.deeper(text(node, source), |reader| {
            word = reader.piece(node, source, false);
            if word.known == Known::Literal && INDEX.is_match(&word.text) {
                reader.unmatched(&word.text, "a shell may execute the index of this expression as arithmetic");
            }
        });
        word
    }

    fn piece(&mut self, node: Node<'_>, source: &str, quoted: bool) -> Word {
        let written = text(node, source);
        match node.kind() {
            "word" | "extglob_pattern" | "variable_name" => plain(written),
            "number" if node.child_count() == 0 => Word::literal(written),
            "raw_string" => Word::literal(written.trim_start_matches('\'').strip_suffix('\'').unwrap_or_default()),
            "ansi_c_string" => ansi(written),
            "string" => self.string(node, source),
            "string_content" => Word::literal(unquoted(written)),
            "concatenation" => self.concatenation(node, source),
            "brace_expression" => Word { text: written.to_owned(), known: Known::Glob },
            "simple_expansion" => self.simple_expansion(node, source, quoted),
            "expansion" => self.expansion(node, source, quoted),
            "command_substitution" => self.substituted(node, source),
            "process_substitution" => {
                self.substituted(node, source);
                Word::literal("/dev/fd/63")
            }
            "arithmetic_expansion" => {
                self.inside(node, source);
                begins()
            }
            _ => {
                self.inside(node, source);
                crafted()
            }
        }
    }

    /// Reads the commands inside something whose value is unknown.
    fn inside(&mut self, node: Node<'_>, source: &str) {
        for child in children(node).into_iter().filter(Node::is_named) {
            self.visit(child, source);
        }
    }

    fn string(&mut self, node: Node<'_>, source: &str) -> Word {
        let mut whole = Word::literal("");
        let mut end = node.start_byte() + 1;
        for child in children(node) {
            // The grammar omits some of the white space between two expansions.
            let gap = source.get(end..child.start_byte()).unwrap_or_default();
            whole = joined(whole, Word::literal(unquoted(gap)));
            end = child.end_byte();
            let piece = match child.kind() {
                "\"" => continue,
                _ if child.is_named() => self.piece(child, source, true),
                _ => Word::literal(text(child, source)),
            };
            self.mention_part(&whole, &piece);
            whole = joined(whole, piece);
        }
        whole
    }

    /// Notes a secret that is named after an unknown part: `$FOLDER/.env`.
    fn mention_part(&mut self, before: &Word, piece: &Word) {
        if matches!(before.known, Known::Begins | Known::Crafted) {
            self.mention(&Word { text: piece.text.trim_start_matches('/').to_owned(), known: piece.known });
        }
    }

    fn concatenation(&mut self, node: Node<'_>, source: &str) -> Word {
        let mut whole = Word::literal("");
        let mut end = node.start_byte();
        let mut braces = (false, false);
        for child in children(node) {
            if child.start_byte() != end {
                return crafted();
            }
            end = child.end_byte();
            let written = text(child, source);
            let is_word = child.kind() == "word";
            let opens = is_word && written.contains('[');
            braces.0 |= is_word && written.contains('{');
            braces.1 |= is_word && braces.0 && (written.contains(',') || written.contains(".."));
            let piece = if child.is_named() { self.piece(child, source, false) } else { Word::literal(written) };
            self.mention_part(&whole, &piece);
            whole = joined(whole, piece);
            if opens && whole.known == Known::Literal {
                whole.known = Known::Glob;
            }
        }
        if braces == (true, true) && whole.known == Known::Literal {
            whole.known = Known::Glob;
        }
        whole
    }

    fn simple_expansion(&mut self, node: Node<'_>, source: &str, quoted: bool) -> Word {
        let name = text(node, source).trim_start_matches('$');
        self.variable(name, quoted)
    }

    /// `${…}`: a plain name has the variable's value; the result of any other expansion is unknown.
    fn expansion(&mut self, node: Node<'_>, source: &str, quoted: bool) -> Word {
        let written = text(node, source);
        let inner = written.strip_prefix("${").and_then(|rest| rest.strip_suffix('}')).unwrap_or_default();
        let is_name = |name: &str| !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        if is_name(inner) {
            return self.variable(inner, quoted);
        }
        self.inside(node, source);
        let name = inner.trim_start_matches(['#', '!']);
        let name: String = name.chars().take_while(|letter| letter.is_ascii_alphanumeric() || *letter == '_').collect();
        self.variable(&name, true);
        if inner.strip_prefix('#').is_some_and(is_name) { begins() } else { crafted() }
    }
}

/// Two words joined without a blank.
fn joined(one: Word, other: Word) -> Word {
    match (one.known, other.known) {
        (Known::Crafted, _) | (_, Known::Crafted) => crafted(),
        (Known::Begins, _) => one,
        (_, Known::Begins) => Word { text: one.text + &other.text, known: Known::Begins },
        (Known::Literal, Known::Literal) => Word { text: one.text + &other.text, known: Known::Literal },
        _ => Word { text: one.text + &other.text, known: Known::Glob },
    }
}

/// An unquoted word. A backslash makes the next character literal.
fn plain(written: &str) -> Word {
    let mut word = Word::literal("");
    let mut letters = written.chars();
    let mut braces = (false, false);
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => match letters.next() {
                // A line continuation.
                Some('\n') | None => {}
                Some(letter) => word.text.push(letter),
            },
            '$' | '`' => return crafted(),
            '*' | '?' | '[' => {
                word.known = Known::Glob;
                word.text.push(letter);
            }
            letter => {
                braces.0 |= letter == '{';
                braces.1 |= braces.0 && letter == ',';
                word.text.push(letter);
            }
        }
    }
    // `[` alone is a program.
    if word.text == "[" {
        word.known = Known::Literal;
    }
    if braces == (true, true) {
        word.known = Known::Glob;
    }
    word
}

/// Text between double quotes, in which a backslash escapes only a few characters.
fn unquoted(written: &str) -> String {
    let mut text = String::with_capacity(written.len());
    let mut letters = written.chars().peekable();
    while let Some(letter) = letters.next() {
        match (letter, letters.peek()) {
            ('\\', Some('\n')) => drop(letters.next()),
            ('\\', Some('$' | '`' | '"' | '\\')) => text.extend(letters.next()),
            (letter, _) => text.push(letter),
        }
    }
    text
}

/// `$'…'` with common escapes; a word with any other is unknown.
fn ansi(written: &str) -> Word {
    let Some(inner) = written.strip_prefix("$'").and_then(|rest| rest.strip_suffix('\'')) else { return crafted() };
    let mut text = String::new();
    let mut letters = inner.chars();
    while let Some(letter) = letters.next() {
        if letter != '\\' {
            text.push(letter);
            continue;
        }
        match letters.next() {
            Some('n') => text.push('\n'),
            Some('t') => text.push('\t'),
            Some(letter @ ('\\' | '\'' | '"')) => text.push(letter),
            _ => return crafted(),
        }
    }
    Word::literal(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_backslashes_hide_nothing() {
        assert_eq!(plain(r"\r\m"), Word::literal("rm"));
        assert_eq!(plain("r\\\nm"), Word::literal("rm"));
        assert_eq!(plain("*.rs").known, Known::Glob);
        assert_eq!(plain("{rm,-rf}").known, Known::Glob);
        assert_eq!(unquoted(r#"a\$b \"c\" \d"#), r#"a$b "c" \d"#);
        assert_eq!(ansi(r"$'a\tb'"), Word::literal("a\tb"));
        assert_eq!(ansi(r"$'\x72m'").known, Known::Crafted);
    }
}
