//! The statements of a script. An unknown kind of statement is unmatched.

use crate::domain::tools::paths::{is_home_or_above, resolved};
use crate::domain::tools::rules::Takes;
use crate::domain::tools::shell::tree::{children, text};
use crate::domain::tools::shell::{MOST_PARTS, Reader, Stdin, inert};
use crate::domain::tools::word::{Known, Word};
use tree_sitter::Node;

/// Programs that print existing names, and no text of their caller's.
const LISTERS: [&str; 10] = ["find", "fd", "hostname", "id", "ls", "nproc", "pwd", "uname", "which", "whoami"];
/// Programs that pass on parts of their input and nothing else.
const FILTERS: [&str; 5] = ["grep", "head", "sort", "tail", "uniq"];

impl Reader<'_> {
    /// Notes every variable that is set anywhere, because its use may be read before its
    /// assignment.
    pub(super) fn find_assigned(&mut self, root: Node<'_>, source: &str) {
        let mut cursor = root.walk();
        loop {
            let node = cursor.node();
            let name = match node.kind() {
                "variable_assignment" => node.child_by_field_name("name"),
                "for_statement" => node.child_by_field_name("variable"),
                _ => None,
            };
            self.assigned.extend(name.map(|name| text(name, source).to_owned()));
            if cursor.goto_first_child() {
                continue;
            }
            while !cursor.goto_next_sibling() {
                if !cursor.goto_parent() {
                    return;
                }
            }
        }
    }

    /// Reads one statement, or one part of it.
    pub(super) fn visit(&mut self, node: Node<'_>, source: &str) {
        self.deeper(text(node, source), |reader| reader.statement(node, source));
    }

    fn statement(&mut self, node: Node<'_>, source: &str) {
        if !node.is_named() {
            return;
        }
        match node.kind() {
            "comment" | "test_operator" | "variable_name" | "special_variable_name" | "file_descriptor" => {}
            "command" => self.command(node, Vec::new(), source),
            "pipeline" => self.pipeline(node, source),
            "redirected_statement" => self.redirected(node, source),
            "file_redirect" | "heredoc_redirect" | "herestring_redirect" => {
                let more = self.redirect(node, source);
                if !more.is_empty() {
                    self.unmatched(text(node, source), "it is not known whose argument this is");
                }
            }
            "variable_assignment" => self.assign(node, source, false),
            "declaration_command" => self.declare(node, source),
            "for_statement" => self.for_each(node, source),
            "list" => self.list(node, source),
            "while_statement" | "c_style_for_statement" => self.again_and_again(|reader| {
                children(node).into_iter().for_each(|child| reader.visit(child, source));
            }),
            "subshell" => {
                // Its folder changes end with it.
                let folders = self.folders.clone();
                children(node).into_iter().for_each(|child| self.visit(child, source));
                self.folders = folders;
            }
            "function_definition" => {
                if let Some(name) = node.child_by_field_name("name") {
                    self.functions.insert(text(name, source).to_owned());
                }
                // The body is read at the definition, as if it ran.
                children(node).into_iter().skip(1).for_each(|child| self.visit(child, source));
            }
            "ERROR"
            | "program"
            | "compound_statement"
            | "do_group"
            | "if_statement"
            | "elif_clause"
            | "else_clause"
            | "case_statement"
            | "case_item"
            | "negated_command"
            | "variable_assignments"
            | "test_command"
            | "binary_expression"
            | "unary_expression"
            | "postfix_expression"
            | "ternary_expression"
            | "parenthesized_expression" => {
                for child in children(node) {
                    self.visit(child, source);
                }
            }
            "word"
            | "number"
            | "string"
            | "raw_string"
            | "ansi_c_string"
            | "concatenation"
            | "simple_expansion"
            | "expansion"
            | "command_substitution"
            | "process_substitution"
            | "arithmetic_expansion"
            | "brace_expression"
            | "extglob_pattern"
            | "regex"
            | "string_content"
            | "subscript" => drop(self.word(node, source)),
            kind => self.unmatched(text(node, source), &format!("a shell's {} is not read", kind.replace('_', " "))),
        }
        if !matches!(node.kind(), "command" | "redirected_statement" | "list") {
            self.on_success.clone_from(&self.folders);
        }
    }

    /// `left && right` or `left || right`. With `&&`, the right side begins where the left side has
    /// succeeded.
    fn list(&mut self, node: Node<'_>, source: &str) {
        let mut all = self.folders.clone();
        let mut succeeded = self.folders.clone();
        for child in children(node) {
            match child.kind() {
                "&&" => self.folders.clone_from(&succeeded),
                _ if child.is_named() => {
                    let before = std::mem::take(&mut all);
                    self.visit(child, source);
                    succeeded.clone_from(&self.on_success);
                    all.clone_from(&self.folders);
                    self.or_in(before);
                    std::mem::swap(&mut all, &mut self.folders);
                }
                _ => self.folders.clone_from(&all),
            }
        }
        self.folders = all;
        self.on_success = succeeded;
    }

    /// Reads a loop body: the variables and folders of one pass carry over to the next.
    fn again_and_again(&mut self, mut read: impl FnMut(&mut Self)) {
        loop {
            let before = (self.folders.clone(), self.variables.clone());
            read(self);
            if before == (self.folders.clone(), self.variables.clone()) || self.parts.len() > MOST_PARTS {
                return;
            }
        }
    }

    fn pipeline(&mut self, node: Node<'_>, source: &str) {
        let before = self.stdin;
        let mut first = true;
        for stage in children(node).into_iter().filter(Node::is_named) {
            self.visit(stage, source);
            self.stdin = match (lists(stage, source), first) {
                (Some(Prints::What), _) => Stdin::Listed,
                (Some(Prints::Some), false) => self.stdin,
                _ => Stdin::Made,
            };
            first = false;
        }
        self.stdin = before;
    }

    fn for_each(&mut self, node: Node<'_>, source: &str) {
        let Some(variable) = node.child_by_field_name("variable") else {
            return self.unmatched(text(node, source), "its variable has no name");
        };
        let name = text(variable, source).to_owned();
        let mut values: Vec<Word> = Vec::new();
        for child in children(node).into_iter().filter(|child| child.is_named() && *child != variable) {
            if child.kind() == "do_group" || child.kind() == "compound_statement" {
                let all = Some(std::mem::take(&mut values)).filter(|values| !values.is_empty());
                self.set(&name, all);
                self.again_and_again(|reader| reader.visit(child, source));
            } else {
                values.push(self.word(child, source));
            }
        }
    }

    /// A simple command: its assignments, redirections and words.
    pub(super) fn command(&mut self, node: Node<'_>, more: Vec<Word>, source: &str) {
        let contexts = self.contexts.len();
        self.reached = None;
        self.takes = Takes::Names;
        let mut quoted: Vec<Word> = Vec::new();
        let mut words: Vec<Word> = Vec::new();
        let mut end = node.start_byte();
        for child in children(node) {
            let gap = source.get(end..child.start_byte()).unwrap_or("?").replace("\\\n", " ");
            if !gap.trim().is_empty() {
                return self.unmatched(text(node, source), "a part of it is not understood");
            }
            end = child.end_byte();
            match child.kind() {
                "variable_assignment" => self.assign(child, source, true),
                "file_redirect" | "heredoc_redirect" | "herestring_redirect" => {
                    self.stdin = Stdin::Made;
                    words.extend(self.redirect(child, source));
                }
                "command_name" => {
                    let name = children(child);
                    match name.as_slice() {
                        [name] => words.push(self.word(*name, source)),
                        _ => words.push(Word { text: String::new(), known: Known::Crafted }),
                    }
                }
                "raw_string" | "string" => {
                    // The program determines whether it names something.
                    let word = self.unnoted(child, source);
                    quoted.push(word.clone());
                    words.push(word);
                }
                _ if child.is_named() => words.push(self.word(child, source)),
                _ => words.push(Word::literal(text(child, source))),
            }
        }
        words.extend(more);
        if !words.is_empty() {
            self.run(&words, text(node, source));
        }
        match self.takes {
            Takes::Names => {}
            Takes::Pattern => self.prose.extend(inert::texts(node).into_iter().find(|range| inert::is_no_path(&source[range.clone()]))),
            Takes::Text | Takes::Anything => self.prose.extend(inert::texts(node)),
        }
        // A search pattern or a jq filter is not a path.
        let looked_for = quoted.iter().position(|word| self.takes == Takes::Pattern && inert::is_no_path(&word.text));
        let names = |(index, word): &(usize, &Word)| match self.takes {
            Takes::Names => true,
            Takes::Pattern => looked_for != Some(*index),
            Takes::Text => !word.text.contains([' ', '\n']),
            Takes::Anything => false,
        };
        let named: Vec<&Word> = quoted.iter().enumerate().filter(names).map(|(_, word)| word).collect();
        named.into_iter().for_each(|word| self.mention(word));
        self.on_success = self.reached.take().unwrap_or_else(|| self.folders.clone());
        self.contexts.truncate(contexts);
    }

    /// The output of a command substitution as a word: existing names, or something that could be
    /// anything.
    pub(super) fn substituted(&mut self, node: Node<'_>, source: &str) -> Word {
        let before = (self.stdin, self.folders.clone(), self.takes);
        self.stdin = Stdin::Made;
        let statements: Vec<Node<'_>> = children(node).into_iter().filter(Node::is_named).collect();
        for statement in &statements {
            self.visit(*statement, source);
        }
        // Its folder changes end with it.
        (self.stdin, self.folders, self.takes) = before;
        if let [one] = statements.as_slice()
            && let Some(written) = here_text(*one, source)
        {
            return Word::literal(written);
        }
        let listed = match statements.as_slice() {
            [one] if one.kind() == "pipeline" => {
                let stages: Vec<Node<'_>> = children(*one).into_iter().filter(Node::is_named).collect();
                stages.iter().enumerate().all(|(index, stage)| match lists(*stage, source) {
                    Some(Prints::What) => true,
                    Some(Prints::Some) => index > 0,
                    None => false,
                })
            }
            [one] => matches!(lists(*one, source), Some(Prints::What)),
            _ => false,
        };
        Word { text: String::new(), known: if listed { Known::Begins } else { Known::Crafted } }
    }
}

/// The text of `cat <<'END'` without expansion, which is how agents write messages of several
/// lines.
fn here_text<'s>(node: Node<'_>, source: &'s str) -> Option<&'s str> {
    let body = node.child_by_field_name("body").filter(|body| node.kind() == "redirected_statement" && text(*body, source) == "cat")?;
    let [redirect] = *children(node).into_iter().filter(|child| *child != body).collect::<Vec<_>>() else { return None };
    let parts: Vec<Node<'_>> = children(redirect).into_iter().filter(Node::is_named).collect();
    let [start, written, end] = *parts else { return None };
    let harmless = redirect.kind() == "heredoc_redirect"
        && (start.kind() == "heredoc_start" && written.kind() == "heredoc_body" && end.kind() == "heredoc_end")
        && text(start, source).starts_with(['\'', '"', '\\'])
        && children(written).iter().all(|inner| inner.kind() == "heredoc_content");
    harmless.then(|| text(written, source).trim_end())
}

/// The kind of a command's output.
enum Prints {
    /// Existing names.
    What,
    /// Parts of its input.
    Some,
}

/// Whether a command prints only existing names, or parts of its input.
fn lists(node: Node<'_>, source: &str) -> Option<Prints> {
    let command = if node.kind() == "redirected_statement" { node.child_by_field_name("body")? } else { node };
    if command.kind() != "command" {
        return None;
    }
    let words = text(command, source);
    let mut rest = words.split_ascii_whitespace();
    let program = rest.next()?;
    if program == "date" {
        return rest.all(is_time).then_some(Prints::What);
    }
    // A custom format can print any text, and so can file contents.
    let plain = |word: &str| !["format", "pretty", "printf", "replace"].iter().any(|flag| word.contains(flag) && word.starts_with('-'));
    let mut words = rest.clone();
    let names = match program {
        "git" => match words.next() {
            Some("rev-parse" | "ls-files" | "merge-base" | "describe" | "branch" | "rev-list") => true,
            Some("diff" | "show") => words.any(|word| word == "--name-only"),
            _ => false,
        },
        "rg" => words.any(|word| word == "-l" || word == "--files"),
        other => LISTERS.contains(&other),
    };
    // Secrets in a home would be reached without being named.
    let quiet = |word: &str| !is_home_or_above(&resolved(word.trim_matches(['"', '\'']), "/folder"));
    let shows_all =
        program == "ls" && rest.clone().any(|word| word.starts_with('-') && !word.starts_with("--") && word.contains(['a', 'A']));
    if names && !shows_all && rest.clone().all(|word| plain(word) && quiet(word)) {
        return Some(Prints::What);
    }
    let files = rest.filter(|word| !word.starts_with('-') && !word.bytes().all(|byte| byte.is_ascii_digit())).count();
    let filters = FILTERS.contains(&program) && files <= usize::from(program == "grep");
    filters.then_some(Prints::Some)
}

/// A time format such as `+%Y-%m-%d`, which cannot spell anything else.
fn is_time(word: &str) -> bool {
    let word = word.trim_matches(['"', '\'']);
    let Some(mut rest) = word.strip_prefix('+') else { return word == "-u" };
    while let Some(after) = rest.strip_prefix('%') {
        let mut letters = after.chars();
        if !letters.next().is_some_and(|letter| letter.is_ascii_alphabetic()) {
            return false;
        }
        rest = letters.as_str().trim_start_matches(['-', ':', '_', 'T']);
    }
    rest.is_empty()
}
