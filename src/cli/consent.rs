//! The question that `parkbrake approve` asks before it approves, and the flags that answer it if
//! there is no terminal.
//!
//! On a terminal, a person reads what would run and confirms; for a critical request they type its
//! target, as in the inbox. Without a terminal, `--yes` confirms, and for a critical request
//! `--confirm TARGET` or `--digest` says which one is meant.

use crate::cli::Error;
use crate::cli::facts::text;
use crate::domain::risk::level::Level;
use crate::domain::text::escaped;
use serde_json::Value;
use std::io::{self, BufRead, IsTerminal, Write};

/// The answers given as flags.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct Consent {
    /// Approve without asking; needed if there is no terminal
    #[arg(long)]
    yes: bool,
    /// The target of a critical request, as it is shown: the resource, or else the environment, or
    /// else the operation
    #[arg(long, value_name = "TARGET")]
    confirm: Option<String>,
}

/// The person who can be asked.
pub struct Asked<'a> {
    input: &'a mut dyn BufRead,
    output: &'a mut dyn Write,
}

impl<'a> Asked<'a> {
    pub fn by(input: &'a mut dyn BufRead, output: &'a mut dyn Write) -> Self {
        Self { input, output }
    }

    /// The answer, one line; empty if the input has ended.
    fn ask(&mut self, question: &str) -> Result<String, Error> {
        let mut answer = String::new();
        write!(self.output, "{question} ").and_then(|()| self.output.flush()).map_err(Error::Output)?;
        self.input
            .read_line(&mut answer)
            .map_err(|error| Error::Other(format!("nothing was approved: no answer could be read: {error}")))?;
        Ok(answer.trim().to_owned())
    }
}

/// Whether there is a person at a terminal who sees the output and can answer.
pub fn is_somebody_there() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

impl Consent {
    /// Whether the flags, together with a digest, leave nothing to ask or compare.
    pub fn suffices(&self) -> bool {
        self.yes && self.confirm.is_none()
    }

    /// Obtains consent to approve this request, from the flags or from the person. `bound` says
    /// whether a digest was given as a flag.
    ///
    /// # Errors
    /// The person did not confirm, or there is no terminal to ask at.
    pub fn obtain(&self, workflow: &Value, bound: bool, asked: Option<Asked<'_>>) -> Result<(), Error> {
        if is_critical(workflow) { self.confirmed(&target(workflow), bound, asked) } else { self.agreed(asked) }
    }

    fn agreed(&self, asked: Option<Asked<'_>>) -> Result<(), Error> {
        match asked {
            _ if self.yes => Ok(()),
            None => Err(Error::Usage("nobody can be asked here, so nothing was approved: add --yes to approve what is shown".to_owned())),
            Some(mut asked) => match asked.ask("Approve exactly this? [y/N]")?.to_ascii_lowercase().as_str() {
                "y" | "yes" => Ok(()),
                _ => Err(Error::Other("nothing was approved".to_owned())),
            },
        }
    }

    fn confirmed(&self, target: &str, bound: bool, asked: Option<Asked<'_>>) -> Result<(), Error> {
        let other = |typed: &str| {
            let typed = escaped(typed);
            Error::Other(format!("the target of this critical request is `{target}`, and not `{typed}`: nothing was approved"))
        };
        match (&self.confirm, asked) {
            (Some(typed), _) if typed.trim() != target => Err(other(typed)),
            (Some(_), _) if self.yes => Ok(()),
            (None, _) if self.yes && bound => Ok(()),
            (Some(_), asked) => self.agreed(asked),
            (None, Some(mut asked)) => {
                match asked.ask(&format!("This is critical. Type its target to approve exactly this: {target}\n>"))? {
                    typed if typed == target => Ok(()),
                    typed if typed.is_empty() => Err(Error::Other("nothing was approved".to_owned())),
                    typed => Err(other(&typed)),
                }
            }
            (None, None) => Err(Error::Usage(format!(
                "this request is critical and nobody can be asked here, so nothing was approved: add --yes with --confirm '{}' or --digest",
                target.replace('\'', "'\\''")
            ))),
        }
    }
}

/// Whether it is approved only by typing its target.
pub fn is_critical(workflow: &Value) -> bool {
    let level = text(workflow, "/approval/step/risk_level").or_else(|| text(workflow, "/risk_level"));
    // A level that this version does not know may be a worse one.
    !matches!(level.and_then(Level::parse), Some(Level::Low | Level::Medium | Level::High))
}

/// What has to be typed, in the form in which it is shown. The rule is that of
/// `Target::confirmation`, for answers of any server version.
pub fn target(workflow: &Value) -> String {
    let asked = &workflow["approval"]["step"];
    let known = if asked.is_object() { asked } else { workflow };
    let about = if known["target"].is_object() { &known["target"] } else { &workflow["task"] };
    let named = ["resource", "environment", "operation"].iter().find_map(|field| text(about, &format!("/{field}")));
    escaped(named.unwrap_or_default().trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn workflow(level: &str) -> Value {
        json!({"risk_level": level, "target": {"operation": "delete", "environment": "production", "resource": "db-prod\u{202e}"},
               "task": {"operation": "read", "resource": "harmless"}})
    }

    fn answered(consent: &Consent, level: &str, bound: bool, answer: Option<&str>) -> (Result<(), Error>, String) {
        let mut output = Vec::new();
        let result = match answer {
            None => consent.obtain(&workflow(level), bound, None),
            Some(answer) => consent.obtain(&workflow(level), bound, Some(Asked::by(&mut answer.as_bytes(), &mut output))),
        };
        (result, String::from_utf8(output).unwrap())
    }

    fn consent(yes: bool, confirm: Option<&str>) -> Consent {
        Consent { yes, confirm: confirm.map(str::to_owned) }
    }

    #[test]
    fn only_y_or_yes_approves_at_the_prompt() {
        for (answer, approved) in [("y\n", true), ("YES\n", true), ("n\n", false), ("\n", false), ("", false), ("yep\n", false)] {
            let (result, asked) = answered(&consent(false, None), "high", false, Some(answer));
            assert_eq!((result.is_ok(), asked.as_str()), (approved, "Approve exactly this? [y/N] "), "{answer:?}");
        }
    }

    #[test]
    fn a_critical_request_is_approved_by_typing_the_target_that_is_known() {
        for (answer, approved) in [("db-prod<U+202E>\n", true), ("y\n", false), ("harmless\n", false), ("\n", false)] {
            let (result, asked) = answered(&consent(false, None), "critical", false, Some(answer));
            assert_eq!(result.is_ok(), approved, "{answer:?}");
            assert!(asked.contains("db-prod<U+202E>"), "{asked}");
        }
        // `--yes` answers the question, but does not say which target is meant.
        assert!(answered(&consent(true, None), "critical", false, Some("\n")).0.is_err());
        assert!(answered(&consent(true, None), "a level of tomorrow", false, None).0.is_err());
    }

    #[test]
    fn without_a_terminal_consent_comes_from_flags() {
        let approved = |yes, confirm, level, bound| answered(&consent(yes, confirm), level, bound, None).0;
        assert!(matches!(approved(false, None, "medium", true), Err(Error::Usage(_))));
        assert!(approved(true, None, "medium", false).is_ok());
        assert!(matches!(approved(true, None, "critical", false), Err(Error::Usage(_))));
        assert!(matches!(approved(false, Some("db-prod<U+202E>"), "critical", false), Err(Error::Usage(_))));
        assert!(matches!(approved(true, Some("harmless"), "critical", true), Err(Error::Other(_))));
        assert!(approved(true, Some(" db-prod<U+202E> "), "critical", false).is_ok());
        assert!(approved(true, None, "critical", true).is_ok());
    }
}
