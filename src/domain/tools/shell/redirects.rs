//! Redirections: each written file is a part of its own, and here-documents are analyzed.

use crate::domain::tools::paths;
use crate::domain::tools::shell::tree::{children, text};
use crate::domain::tools::shell::{Reader, Stdin};
use crate::domain::tools::word::Word;
use tree_sitter::Node;

/// Compound statements. A redirection after one is opened before it begins.
const GROUPS: [&str; 7] =
    ["subshell", "compound_statement", "for_statement", "c_style_for_statement", "while_statement", "if_statement", "case_statement"];

impl Reader<'_> {
    /// A statement with redirections. Words after a redirection are arguments of the command.
    ///
    /// The grammar attaches a redirection of the last command of a list to the whole list:
    /// `cd x && cat > f` writes to `x/f`. So a redirection after a list or a pipeline is resolved
    /// in the folder where the list ends; one after a compound statement, in the folder where it
    /// begins.
    pub(super) fn redirected(&mut self, node: Node<'_>, source: &str) {
        let body = node.child_by_field_name("body");
        let redirections: Vec<Node<'_>> = children(node).into_iter().filter(|child| Some(*child) != body).collect();
        let before = self.stdin;
        let reads = |child: &Node<'_>| child.kind() != "file_redirect" || text(*child, source).contains('<');
        if redirections.iter().any(reads) {
            self.stdin = Stdin::Made;
        }
        let unknown = "it is not known whose arguments stand after the redirection";
        match body {
            Some(body) if body.kind() == "command" => {
                let more = self.redirections(&redirections, source);
                self.deeper(text(body, source), |reader| reader.command(body, more, source));
            }
            Some(body) => {
                let is_group = GROUPS.contains(&body.kind());
                let mut more = if is_group { self.redirections(&redirections, source) } else { Vec::new() };
                self.visit(body, source);
                if !is_group {
                    let led = self.on_success.clone();
                    self.or_in(led);
                    more = self.redirections(&redirections, source);
                }
                if !more.is_empty() {
                    self.unmatched(text(node, source), unknown);
                }
            }
            None => {
                let more = self.redirections(&redirections, source);
                if !more.is_empty() {
                    self.run(&more, text(node, source));
                }
            }
        }
        self.stdin = before;
    }

    /// Reads redirections. Returns the words among them that belong to the command.
    fn redirections(&mut self, redirections: &[Node<'_>], source: &str) -> Vec<Word> {
        let mut more: Vec<Word> = Vec::new();
        for child in redirections {
            if ["file_redirect", "heredoc_redirect", "herestring_redirect"].contains(&child.kind()) {
                more.extend(self.redirect(*child, source));
            } else {
                self.visit(*child, source);
            }
        }
        more
    }

    /// Reads a redirection. Returns the words after it that belong to the command.
    pub(super) fn redirect(&mut self, node: Node<'_>, source: &str) -> Vec<Word> {
        match node.kind() {
            "file_redirect" => self.file(node, source),
            "heredoc_redirect" => self.here_document(node, source),
            _ => {
                let mut words: Vec<Word> =
                    children(node).into_iter().filter(Node::is_named).map(|child| self.word(child, source)).collect();
                words.drain(..words.len().min(1));
                words
            }
        }
    }

    fn file(&mut self, node: Node<'_>, source: &str) -> Vec<Word> {
        let mut operator = "";
        let mut words: Vec<Word> = Vec::new();
        for child in children(node) {
            match child.kind() {
                "file_descriptor" => {}
                _ if child.is_named() => words.push(self.word(child, source)),
                kind => operator = kind,
            }
        }
        if words.is_empty() {
            if !operator.ends_with('-') {
                self.unmatched(text(node, source), "its redirection target is not known");
            }
            return words;
        }
        let target = words.remove(0);
        let copies = operator.ends_with('&') && (target.text == "-" || target.text.bytes().all(|byte| byte.is_ascii_digit()));
        let is_nowhere = target.as_literal().is_some_and(paths::is_nowhere);
        if operator != "<" && !is_nowhere && !(copies && target.as_literal().is_some()) {
            self.write(&target);
        }
        words
    }

    /// Adds the part for writing to a path.
    pub(super) fn write(&mut self, target: &Word) {
        let path = target.text.as_str();
        if path.starts_with("/dev/tcp/") || path.starts_with("/dev/udp/") {
            return self.unmatched(path, "it is a connection to somewhere else");
        }
        if self.looks_left == 0 {
            // It is already known to exceed the budget.
            return;
        }
        let part = self.rules.written(target, &self.root, &self.folders);
        self.add(part);
    }

    /// A here-document, and the words after its operator on the same line.
    fn here_document(&mut self, node: Node<'_>, source: &str) -> Vec<Word> {
        let mut words = Vec::new();
        for child in children(node).into_iter().filter(Node::is_named) {
            match child.kind() {
                "heredoc_start" | "heredoc_end" | "file_descriptor" => {}
                "heredoc_body" => {
                    for inner in children(child).into_iter().filter(|inner| inner.is_named() && inner.kind() != "heredoc_content") {
                        drop(self.word(inner, source));
                    }
                }
                "file_redirect" | "herestring_redirect" | "heredoc_redirect" => words.extend(self.redirect(child, source)),
                "word"
                | "string"
                | "raw_string"
                | "number"
                | "concatenation"
                | "simple_expansion"
                | "expansion"
                | "command_substitution"
                | "ansi_c_string" => {
                    words.push(self.word(child, source));
                }
                _ => {
                    let before = std::mem::replace(&mut self.stdin, Stdin::Made);
                    self.visit(child, source);
                    self.stdin = before;
                }
            }
        }
        words
    }
}
