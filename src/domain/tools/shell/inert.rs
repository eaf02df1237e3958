//! Text in a script that is not executed: here-documents without expansion, and quoted arguments
//! that a program treats as text, such as a commit message. The patterns of `plain.rs` are not
//! applied to it.

use crate::domain::tools::shell::tree::{children, text};
use std::ops::Range;
use tree_sitter::Node;

/// The bodies of here-documents with a quoted delimiter, if shell and grammar are certain to agree
/// on where they end.
pub fn documents(root: Node<'_>, source: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open = vec![root];
    while let Some(node) = open.pop() {
        let inner = children(node);
        if node.kind() == "heredoc_redirect" {
            found.extend(document(&inner, source));
        }
        open.extend(inner);
    }
    found
}

fn document(parts: &[Node<'_>], source: &str) -> Option<Range<usize>> {
    let of = |kind: &str| parts.iter().find(|part| part.kind() == kind);
    let (start, body, end) = (text(*of("heredoc_start")?, source), of("heredoc_body")?, of("heredoc_end")?);
    let name = ['\'', '"'].iter().find_map(|quote| start.strip_prefix(*quote)?.strip_suffix(*quote))?;
    let is_plain = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphabetic() || byte == b'_');
    let range = body.start_byte()..body.end_byte();
    let written = source.get(range.clone())?;
    let ends_early = written.lines().any(|line| line.trim() == name);
    let begins_a_line = source.get(..range.start)?.ends_with('\n');
    (is_plain && begins_a_line && !ends_early && written.ends_with('\n') && text(*end, source) == name).then_some(range)
}

/// Whether a node is quoted text without expansion.
fn is_plain(node: &Node<'_>) -> bool {
    match node.kind() {
        "raw_string" => true,
        "string" => children(*node).iter().all(|inner| matches!(inner.kind(), "\"" | "string_content")),
        _ => false,
    }
}

/// All quoted text without expansion in a script: a shell expands no braces in it.
pub fn quoted(root: Node<'_>) -> Vec<Range<usize>> {
    let (mut found, mut open) = (Vec::new(), vec![root]);
    while let Some(node) = open.pop() {
        if is_plain(&node) {
            found.push(node.byte_range());
        } else {
            open.extend(children(node));
        }
    }
    found
}

/// The quoted texts without expansion among the words of a command.
pub fn texts(command: Node<'_>) -> Vec<Range<usize>> {
    // The quoted value of an option may follow its name: `-o jsonpath='{.items}'`.
    let words = children(command).into_iter().flat_map(|node| if node.kind() == "concatenation" { children(node) } else { vec![node] });
    let quoted = words.filter(is_plain).map(|node| node.start_byte() + 1..node.end_byte().saturating_sub(1));
    quoted.filter(|range| range.start < range.end).collect()
}

/// Whether a text contains characters that paths do not have.
pub fn is_no_path(text: &str) -> bool {
    text.contains([' ', '(', '|', '[', '{', '^', '<'])
}

/// The script with these texts replaced by letters, with the same number of lines.
pub fn blanked(script: &str, ranges: &[Range<usize>]) -> String {
    let mut bytes = script.as_bytes().to_vec();
    for byte in ranges.iter().filter_map(|range| script.get(range.clone()).map(|_| range.clone())).flatten() {
        if bytes[byte] != b'\n' {
            bytes[byte] = b'x';
        }
    }
    String::from_utf8(bytes).unwrap_or_else(|_| script.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(script: &str) -> tree_sitter::Tree {
        let mut parser = tree_sitter::Parser::new();
        parser.set_language(&tree_sitter_bash::LANGUAGE.into()).unwrap();
        parser.parse(script, None).unwrap()
    }

    #[test]
    fn only_a_here_document_with_an_unambiguous_end_is_text() {
        let blank = |script: &str| blanked(script, &documents(tree(script).root_node(), script));
        assert_eq!(blank("cat <<'EOF' > x\n`ü` a\nb\nEOF\nls"), "cat <<'EOF' > x\nxxxxxx\nx\nEOF\nls");
        for script in ["cat <<EOF\n`id`\nEOF", "cat <<'E F'\n`id`\nE F", "cat <<'EOF'\n`id`\n EOF\nls\nEOF", "cat <<\\EOF\n`id`\nEOF"] {
            assert_eq!(blank(script), script);
        }
    }

    #[test]
    fn quotes_with_an_expansion_are_no_text() {
        let script = "echo 'a b' \"c d\" \"e $f\" g";
        let tree = tree(script);
        let command = tree.root_node().child(0).unwrap();
        assert_eq!(blanked(script, &texts(command)), "echo 'xxx' \"xxx\" \"e $f\" g");
    }
}
