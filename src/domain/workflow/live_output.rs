//! The output of a running attempt so far.

use crate::domain::workflow::AttemptId;
use std::fmt;

/// How far a reader has read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReadTo {
    pub attempt: AttemptId,
    /// Bytes of each stream, from its beginning.
    pub stdout: u64,
    pub stderr: u64,
}

/// The output after that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LiveOutput {
    pub stdout: Piece,
    pub stderr: Piece,
    /// How far this output goes, and of which attempt it is.
    pub read_to: ReadTo,
    /// Whether the attempt is still running.
    pub is_running: bool,
}

/// A piece of a stream, without secrets.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Piece {
    pub text: String,
    /// Whether earlier output is no longer kept.
    pub is_cut: bool,
}

impl ReadTo {
    pub fn beginning(attempt: AttemptId) -> Self {
        Self { attempt, stdout: 0, stderr: 0 }
    }

    /// Parses what [`Display`](fmt::Display) writes; `None` if it is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let numbers: Vec<u64> = text.split('.').map(|part| part.parse().ok()).collect::<Option<_>>()?;
        let [step, number, stdout, stderr] = numbers[..] else { return None };
        Some(Self { attempt: AttemptId { step: step.try_into().ok()?, number: number.try_into().ok()? }, stdout, stderr })
    }
}

impl fmt::Display for ReadTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { attempt, stdout, stderr } = self;
        write!(f, "{}.{}.{stdout}.{stderr}", attempt.step, attempt.number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_is_read_as_it_is_written_and_nothing_else_is_one() {
        let position = ReadTo { attempt: AttemptId { step: 2, number: 3 }, stdout: 70_000, stderr: 0 };
        assert_eq!((position.to_string().as_str(), ReadTo::parse(&position.to_string())), ("2.3.70000.0", Some(position)));
        for other in ["", "1.1.1", "1.1.1.1.1", "1.1.-1.0", "a.1.1.1", "1.1.1.99999999999999999999", "99999999999.1.1.1"] {
            assert_eq!(ReadTo::parse(other), None, "{other}");
        }
    }
}
