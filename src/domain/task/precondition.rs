//! Preconditions: a command whose output has to be the same when the action starts as when people
//! were asked.

use crate::domain::task::Task;
use crate::domain::text::shown;
use serde::{Deserialize, Serialize};

/// The most lines of each side in a difference.
const LINES: usize = 5;

/// A command, and what it printed when the task was submitted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Precondition {
    pub command: Vec<String>,
    /// `None` before it has run, and for compensations: the step that they undo has changed what it
    /// would print.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
}

impl Precondition {
    /// A precondition that has not run yet.
    pub fn new(command: Vec<String>) -> Self {
        Self { command, output: None }
    }
}

/// A precondition's present output, which differs from the one in the document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    output: String,
    difference: String,
}

impl Drift {
    /// The drift between two outputs; `None` if they are equal.
    pub fn between(before: &str, now: String) -> Option<Self> {
        difference(before, &now).map(|difference| Self { output: now, difference })
    }

    /// Records the present output in the task, and returns the reason for people; `None` for a task
    /// without a precondition.
    pub fn record(self, task: &mut Task) -> Option<String> {
        task.action.runs.as_mut()?.precondition.as_mut()?.output = Some(self.output);
        Some(format!("its precondition prints something else now: {}", self.difference))
    }
}

/// The removed and added lines, from the first difference to the last, for a sentence; `None` if
/// both outputs are equal.
fn difference(before: &str, now: &str) -> Option<String> {
    if before == now {
        return None;
    }
    let (before, now): (Vec<_>, Vec<_>) = (before.split('\n').collect(), now.split('\n').collect());
    let same = before.iter().zip(&now).take_while(|(before, now)| before == now).count();
    let (before, now) = (&before[same..], &now[same..]);
    let same = before.iter().rev().zip(now.iter().rev()).take_while(|(before, now)| before == now).count();
    let (gone, come) = (&before[..before.len() - same], &now[..now.len() - same]);
    Some(side('-', gone).chain(side('+', come)).collect::<Vec<_>>().join(", "))
}

fn side<'a>(sign: char, lines: &'a [&'a str]) -> impl Iterator<Item = String> + 'a {
    let rest = lines.len().saturating_sub(LINES);
    let rest = (rest > 0).then(|| format!("{sign} {rest} more lines"));
    lines.iter().take(LINES).map(move |line| format!("{sign} `{}`", shown(line))).chain(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_shows_the_lines_that_are_gone_and_those_that_have_come() {
        let numbers = |range: std::ops::Range<u32>| range.map(|number| format!("{number}\n")).collect::<String>();
        for (before, now, said) in [
            ("", "", None),
            ("a\nb\n", "a\nb\n", None),
            ("a\nb\nc\n", "a\nd\nc\n", Some("- `b`, + `d`")),
            ("a\nc\n", "a\nb\nc\n", Some("+ `b`")),
            ("a\na\n", "a\n", Some("- `a`")),
            ("a", "a\n", Some("+ ``")),
            ("a", "\u{1b}[0mb", Some("- `a`, + `<U+001B>[0mb`")),
            (&numbers(0..7), "7\n", Some("- `0`, - `1`, - `2`, - `3`, - `4`, - 2 more lines, + `7`")),
        ] {
            assert_eq!(difference(before, now).as_deref(), said, "{before:?} {now:?}");
        }
    }
}
