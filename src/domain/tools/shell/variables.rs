//! Variables: their values in the command, which ones may be set, and which ones reveal a secret.

use crate::domain::risk::registry::glob;
use crate::domain::tools::shell::Reader;
use crate::domain::tools::shell::tree::{children, text};
use crate::domain::tools::word::{Known, Word};
use tree_sitter::Node;

/// Variables that programs and the shell itself read, so that setting them changes behavior.
const TELLING: &[&str] = &[
    "PATH",
    "IFS",
    "ENV",
    "BASH*",
    "SHELL*",
    "PROMPT_COMMAND",
    "PS?",
    "HOME",
    "PWD",
    "OLDPWD",
    "CDPATH",
    "EDITOR",
    "VISUAL",
    "PAGER",
    "*_PAGER",
    "BROWSER",
    "LD_*",
    "DYLD_*",
    "GIT_*",
    "NODE_*",
    "NPM_*",
    "npm_*",
    "PYTHON*",
    "PERL*",
    "RUBY*",
    "RUST*",
    "CARGO*",
    "CC",
    "CXX",
    "LESS*",
    "MAN*",
    "SSH_*",
    "AWS_*",
    "KUBE*",
    "TF_*",
    "DOCKER_*",
    "CLOUDSDK_*",
    "GOOGLE_*",
    "PG*",
    "MAKE*",
    "JAVA_*",
    "MAVEN_*",
    "GRADLE_*",
    "*_OPTIONS",
    "XDG_*",
    "*_proxy",
    "*_PROXY",
];
/// Names of variables that hold secrets.
const SECRET: &[&str] = &[
    "*TOKEN*",
    "*SECRET*",
    "*PASSWORD*",
    "*PASSWD*",
    "*PASSPHRASE*",
    "*CREDENTIAL*",
    "*APIKEY*",
    "*API_KEY*",
    "*_KEY",
    "*_PAT",
    "*DATABASE_URL*",
    "*_DSN",
];

/// Variables that determine where something acts.
const DECIDING: &[&str] = &["AWS_*", "TF_*", "CLOUDSDK_*", "GOOGLE_*", "KUBE*", "DOCKER_*", "PG*"];

fn fits(patterns: &[&str], name: &str) -> bool {
    patterns.iter().any(|pattern| glob(pattern.replace('?', "*").as_bytes(), name.as_bytes()))
}

impl Reader<'_> {
    /// The value of a variable.
    pub(super) fn variable(&mut self, name: &str, quoted: bool) -> Word {
        let begins = Word { text: String::new(), known: Known::Begins };
        let crafted = Word { text: String::new(), known: Known::Crafted };
        if name.is_empty() || name.bytes().all(|byte| byte.is_ascii_digit()) || ["@", "*", "_"].contains(&name) {
            return if name == "0" { begins } else { crafted };
        }
        if fits(SECRET, &name.to_ascii_uppercase()) && !self.assigned.contains(name) {
            let part = self.rules.part(&format!("${name}"), &self.rules.secret, "`secret`, because of the variable's name");
            self.add(part);
        }
        match self.variables.get(name) {
            Some(Some(values)) => match values.as_slice() {
                [one] if quoted || !one.text.contains([' ', '\t', '\n']) => one.clone(),
                several
                    if several
                        .iter()
                        .all(|word| matches!(word.known, Known::Literal | Known::Glob) && !word.text.contains([',', '{', '}', ' '])) =>
                {
                    let all: Vec<&str> = several.iter().map(|word| word.text.as_str()).collect();
                    Word { text: format!("{{{}}}", all.join(",")), known: Known::Glob }
                }
                several if several.iter().all(|word| word.known == Known::Begins) => begins,
                _ => crafted,
            },
            Some(None) => crafted,
            None if self.assigned.contains(name) => crafted,
            None => match name {
                "HOME" => Word::literal("~"),
                "PWD" if self.folders.len() == 1 => Word::literal(self.folders[0].clone()),
                "TMPDIR" => Word::literal("/tmp"),
                _ => begins,
            },
        }
    }

    /// Adds a value of a variable to its earlier ones.
    pub(super) fn set(&mut self, name: &str, values: Option<Vec<Word>>) {
        let known = values.filter(|values| values.iter().all(|word| word.known != Known::Crafted));
        let entry = self.variables.entry(name.to_owned()).or_insert_with(|| Some(Vec::new()));
        *entry = match (entry.take(), known) {
            (Some(mut before), Some(values)) => {
                for value in values {
                    if !before.contains(&value) {
                        before.push(value);
                    }
                }
                Some(before)
            }
            _ => None,
        };
    }

    /// `NAME=value`, for one command or for the following ones.
    pub(super) fn assign(&mut self, node: Node<'_>, source: &str, is_exported: bool) {
        let Some(name) = node.child_by_field_name("name").filter(|name| name.kind() == "variable_name") else {
            return self.unmatched(text(node, source), "what it sets is no plain variable");
        };
        let name = text(name, source).to_owned();
        let adds = children(node).iter().any(|child| child.kind() == "+=");
        let value = node.child_by_field_name("value");
        let values = match value {
            None => vec![Word::literal("")],
            Some(value) if value.kind() == "array" => {
                children(value).into_iter().filter(Node::is_named).map(|item| self.word(item, source)).collect()
            }
            Some(value) => vec![self.word(value, source)],
        };
        self.check_name(&name, Some(&values).filter(|_| !adds), is_exported, text(node, source));
        if is_exported && fits(DECIDING, &name) {
            self.contexts.extend(values.iter().filter_map(Word::as_literal).map(str::to_owned));
        }
        self.set(&name, Some(values).filter(|_| !adds));
        self.prepares = true;
    }

    /// `export`, `local`, `declare` and their like.
    pub(super) fn declare(&mut self, node: Node<'_>, source: &str) {
        let mut children = children(node).into_iter();
        let word = children.next().map(|word| text(word, source)).unwrap_or_default();
        let is_exported = !["local", "readonly"].contains(&word);
        for child in children {
            match child.kind() {
                "variable_assignment" => self.assign(child, source, is_exported),
                "variable_name" => self.check_name(text(child, source), None, is_exported, text(node, source)),
                "word" if ["-a", "-A", "-i", "-r"].contains(&text(child, source)) => {}
                _ => return self.unmatched(text(node, source), "what it declares is not known"),
            }
        }
        if node.named_child_count() == 0 {
            self.unmatched(text(node, source), "it prints every variable, and so every secret among them");
        }
    }

    /// Checks whether a variable may be set. `values` has all of its values, if they are known.
    fn check_name(&mut self, name: &str, values: Option<&Vec<Word>>, is_exported: bool, what: &str) {
        let allowed = values.map_or_else(
            || self.rules.may_set(name, &[Word { text: String::new(), known: Known::Begins }]),
            |values| self.rules.may_set(name, values),
        );
        if !allowed && (is_exported || fits(TELLING, name)) {
            self.unmatched(what, &format!("setting {name} like this may change what programs do; `variables` does not list it"));
        }
    }
}
