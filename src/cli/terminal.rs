//! Terminal output: colors only for people, a closed pipe is a normal end, and no unescaped text
//! from others.

use crate::cli::Error;
use crate::domain::text::is_invisible;
use std::fmt::Write as _;
use std::io::{self, IsTerminal, Write};

/// How a piece of text looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Style(&'static str);

pub const PLAIN: Style = Style("");
pub const BOLD: Style = Style("1");
pub const FAINT: Style = Style("2");

impl Style {
    /// The color of a risk level, or of a status that is as good or bad as one.
    pub fn of(word: &str) -> Self {
        Self(match word {
            "low" | "completed" | "approved" => "32",
            "medium" | "pending_approval" | "queued" | "executing" => "33",
            "high" | "failed" | "rejected" | "outcome_unknown" | "warning" => "31",
            "critical" => "1;35",
            _ => return PLAIN,
        })
    }
}

/// The sequence that clears a terminal and returns to its first line.
pub const CLEAR: &str = "\u{1b}[H\u{1b}[2J\u{1b}[3J";

/// Whether standard output is a terminal.
pub fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// The width of the terminal in columns; `None` without a terminal.
pub fn width() -> Option<usize> {
    if !is_terminal() {
        return None;
    }
    ratatui::crossterm::terminal::size().ok().map(|(columns, _)| usize::from(columns)).filter(|columns| *columns > 0)
}

/// A page that is built first and then written at once.
#[derive(Debug)]
pub struct Page {
    text: String,
    colors: bool,
}

impl Page {
    /// An empty page for standard output.
    #[expect(clippy::disallowed_methods, reason = "the terminal says what it can show; this is no secret")]
    pub fn stdout() -> Self {
        Self::with_colors(io::stdout().is_terminal() && wanted(|name| std::env::var(name).ok()))
    }

    /// An empty page without colors.
    pub fn plain() -> Self {
        Self::with_colors(false)
    }

    pub(super) fn with_colors(colors: bool) -> Self {
        Self { text: String::new(), colors }
    }

    /// The text in this style; plain if there are no colors.
    pub fn paint(&self, style: Style, text: &str) -> String {
        if self.colors && style != PLAIN { format!("\u{1b}[{}m{text}\u{1b}[0m", style.0) } else { text.to_owned() }
    }

    /// Adds one line.
    pub fn line(&mut self, line: impl std::fmt::Display) {
        let _ = writeln!(self.text, "{line}");
    }

    /// Adds a fact with a label. A continuation has an empty label and the same column.
    pub fn fact(&mut self, label: &str, value: impl std::fmt::Display) {
        let label = self.paint(FAINT, &format!("{label:<12}"));
        self.line(format_args!("  {label} {value}"));
    }

    /// Writes the page and leaves it empty.
    ///
    /// # Errors
    /// [`Error::Closed`] if the reader has closed the pipe.
    pub fn print(&mut self) -> Result<(), Error> {
        write_out(&std::mem::take(&mut self.text))
    }

    /// Puts something before everything else on the page.
    pub fn put_before(&mut self, text: &str) {
        self.text.insert_str(0, text);
    }

    /// The page so far.
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// Whether the environment allows colors (see no-color.org).
fn wanted(env: impl Fn(&str) -> Option<String>) -> bool {
    env("NO_COLOR").is_none_or(|value| value.is_empty()) && env("TERM").is_none_or(|value| value != "dumb")
}

/// Writes a body from the server as one line: unchanged for a program, with invisible characters as
/// `\u…` for people.
///
/// # Errors
/// [`Error::Closed`] if the reader has closed the pipe.
pub fn print_json(body: &str) -> Result<(), Error> {
    let mut line = one_line(body);
    if io::stdout().is_terminal() {
        line = escape_json(&line);
    }
    line.push('\n');
    write_out(&line)
}

/// A line break in JSON is always white space between two tokens: in a string it has to be written
/// as `\n`.
fn one_line(body: &str) -> String {
    body.trim().replace("\r\n", " ").replace(['\n', '\r'], " ")
}

/// The same JSON without characters that a terminal would act on or hide.
fn escape_json(body: &str) -> String {
    let mut escaped = String::with_capacity(body.len());
    for character in body.chars() {
        if character.is_control() || is_invisible(character) {
            for unit in character.encode_utf16(&mut [0; 2]) {
                let _ = write!(escaped, "\\u{unit:04x}");
            }
        } else {
            escaped.push(character);
        }
    }
    escaped
}

/// Writes a line to standard error. A closed terminal is not a reason to fail.
pub fn complain(text: &str) {
    let _ = writeln!(io::stderr().lock(), "{text}");
}

/// Whether a person sees standard output.
pub fn is_shown() -> bool {
    io::stdout().is_terminal()
}

pub fn write_out(text: &str) -> Result<(), Error> {
    write_bytes(text.as_bytes())
}

/// Writes bytes as they are, for a file or another program.
///
/// # Errors
/// [`Error::Closed`] if the reader has closed the pipe.
pub fn write_bytes(bytes: &[u8]) -> Result<(), Error> {
    let mut out = io::stdout().lock();
    out.write_all(bytes).and_then(|()| out.flush()).map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Error::Closed,
        _ => Error::Output(error),
    })
}

/// A word in the form in which one types it into a shell.
pub fn shell_word(word: &str) -> String {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./:=@%+,".contains(character);
    if !word.is_empty() && word.chars().all(is_plain) { word.to_owned() } else { format!("'{}'", word.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn color_follows_the_terminal_settings() {
        let env =
            |set: &'static [(&str, &str)]| move |name: &str| set.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        assert!(wanted(env(&[("NO_COLOR", ""), ("TERM", "xterm")])));
        assert!(!wanted(env(&[("NO_COLOR", "1")])));
        assert!(!wanted(env(&[("TERM", "dumb")])));
        assert_eq!(Page::with_colors(true).paint(Style::of("critical"), "CRITICAL"), "\u{1b}[1;35mCRITICAL\u{1b}[0m");
        assert_eq!(Page::with_colors(false).paint(Style::of("critical"), "CRITICAL"), "CRITICAL");
    }

    #[test]
    fn formatted_json_equals_the_original() {
        let body = serde_json::to_string(&serde_json::json!({"a": "x\u{202e}y\u{e0041}z\u{7f}"})).unwrap();
        let escaped = escape_json(&body);
        assert_eq!(escaped, r#"{"a":"x\u202ey\udb40\udc41z\u007f"}"#);
        let same: serde_json::Value = serde_json::from_str(&escaped).unwrap();
        assert_eq!(same, serde_json::from_str::<serde_json::Value>(&body).unwrap());
        assert_eq!(one_line("{\n \"a\":\r\n1}\n"), "{  \"a\": 1}");
    }

    #[test]
    fn a_word_is_quoted_as_a_shell_reads_it() {
        for (word, written) in
            [("/usr/bin/parkbrake", "/usr/bin/parkbrake"), ("/a b/c", "'/a b/c'"), ("it's", r"'it'\''s'"), ("", "''"), ("$(x)", "'$(x)'")]
        {
            assert_eq!(shell_word(word), written);
        }
    }
}
