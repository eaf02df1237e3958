//! The permitted spellings of names. They are narrow and ASCII, so that no two names look alike and
//! none needs quoting.

use crate::domain::policy::is_principal_spelling;
use crate::domain::text::shown;

/// The longest name.
const LONGEST: usize = 64;

/// The name of a role: `[a-z][a-z0-9_-]*`.
///
/// # Errors
/// The text has another spelling.
pub fn role(text: &str) -> Result<String, String> {
    let fits = starts(text, |first| first.is_ascii_lowercase()) && rest(text, |byte| lower(byte) || b"_-".contains(&byte));
    spelled(text, fits, "a role is written in a-z, 0-9, _ and -, and begins with a letter")
}

/// The name of a team, with the spelling of a role.
///
/// # Errors
/// The text has another spelling.
pub fn team(text: &str) -> Result<String, String> {
    role(text).map_err(|_| "a team is written in a-z, 0-9, _ and -, and begins with a letter".to_owned())
}

/// The name of a person or an agent: `[A-Za-z0-9][A-Za-z0-9._@-]{0,63}`.
///
/// # Errors
/// The text has another spelling.
pub fn principal(text: &str) -> Result<String, String> {
    spelled(
        text,
        is_principal_spelling(text),
        "a person or an agent is written in A-Z, a-z, 0-9, `.`, _, @ and -, and begins with a letter or a digit",
    )
}

/// The name of a runbook or a webhook, which a task names in `action.name`.
///
/// # Errors
/// The text has another spelling.
pub fn action(text: &str) -> Result<String, String> {
    let fits =
        starts(text, |first| first.is_ascii_alphanumeric()) && rest(text, |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte));
    spelled(text, fits, "an action is written in A-Z, a-z, 0-9, `.`, _ and -, and begins with a letter or a digit")
}

/// The name of a channel: `[a-z][a-z0-9_-]*`.
///
/// # Errors
/// The text has another spelling.
pub fn channel(text: &str) -> Result<String, String> {
    let fits = starts(text, |first| first.is_ascii_lowercase()) && rest(text, |byte| lower(byte) || b"_-".contains(&byte));
    spelled(text, fits, "a channel is written in a-z, 0-9, _ and -, and begins with a letter")
}

/// The name of a freeze: `[a-z][a-z0-9_-]*`.
///
/// # Errors
/// The text has another spelling.
pub fn freeze(text: &str) -> Result<String, String> {
    let fits = starts(text, |first| first.is_ascii_lowercase()) && rest(text, |byte| lower(byte) || b"_-".contains(&byte));
    spelled(text, fits, "a freeze is written in a-z, 0-9, _ and -, and begins with a letter")
}

/// The name of an argument of a runbook: `[A-Za-z][A-Za-z0-9_-]*`.
///
/// # Errors
/// The text has another spelling.
pub fn argument(text: &str) -> Result<String, String> {
    let fits =
        starts(text, |first| first.is_ascii_alphabetic()) && rest(text, |byte| byte.is_ascii_alphanumeric() || b"_-".contains(&byte));
    spelled(text, fits, "an argument is written in A-Z, a-z, 0-9, _ and -, and begins with a letter")
}

/// The name of a custom trigger: `[a-z][a-z0-9_]*`.
///
/// # Errors
/// The text has another spelling.
pub fn trigger(text: &str) -> Result<String, String> {
    let fits = starts(text, |first| first.is_ascii_lowercase()) && rest(text, |byte| lower(byte) || byte == b'_');
    spelled(text, fits, "a trigger is written in a-z, 0-9 and _, and begins with a letter")
}

/// The name of an environment variable: `[A-Za-z_][A-Za-z0-9_]*`.
///
/// # Errors
/// The text has another spelling.
pub fn variable(text: &str) -> Result<String, String> {
    let fits = starts(text, |first| first.is_ascii_alphabetic() || first == b'_')
        && rest(text, |byte| byte.is_ascii_alphanumeric() || byte == b'_');
    spelled(text, fits, "an environment variable is written in A-Z, a-z, 0-9 and _, and begins with no digit")
}

/// An account on this machine, `USER` or `USER:GROUP`.
///
/// # Errors
/// The text has another spelling.
pub fn account(text: &str) -> Result<String, String> {
    let name = |name: &str| {
        name.len() <= LONGEST
            && starts(name, |first| first.is_ascii_alphabetic() || first == b'_')
            && rest(name, |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte))
    };
    let fits = text.split_once(':').map_or_else(|| name(text), |(user, group)| name(user) && name(group));
    if fits {
        return Ok(text.to_owned());
    }
    Err(format!("`{}` is not an account; write its name, or USER:GROUP", shown(text)))
}

/// A word of a vocabulary, or another spelling of one, in the form in which words are compared:
/// trimmed, ASCII, in lower case.
///
/// # Errors
/// The text has another spelling.
pub fn word(text: &str) -> Result<String, String> {
    let fits = text.trim() == text && text.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic() && !byte.is_ascii_uppercase());
    spelled(text, fits && !text.is_empty(), "words are compared trimmed and in ASCII lower case, so write it like that")
}

fn starts(text: &str, fits: impl Fn(u8) -> bool) -> bool {
    text.bytes().next().is_some_and(fits)
}

fn rest(text: &str, fits: impl Fn(u8) -> bool) -> bool {
    text.bytes().all(fits)
}

fn lower(byte: u8) -> bool {
    byte.is_ascii_lowercase() || byte.is_ascii_digit()
}

fn spelled(text: &str, fits: bool, how: &str) -> Result<String, String> {
    match fits {
        true if text.len() <= LONGEST => Ok(text.to_owned()),
        true => Err(format!("`{}` is longer than {LONGEST} characters", shown(text))),
        false => Err(format!("`{}` cannot be used: {how}", shown(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_roles_and_principals_are_restricted() {
        for (name, valid) in
            [("team_lead", true), ("cto", true), ("r-2", true), ("Team", false), ("2r", false), ("", false), ("rоle", false)]
        {
            assert_eq!(role(name).is_ok(), valid, "{name}");
        }
        for (name, valid) in [("alice", true), ("a@b.example", true), ("9", true), ("-a", false), ("a b", false), ("a\u{200b}", false)] {
            assert_eq!(principal(name).is_ok(), valid, "{name}");
        }
        assert!(principal(&"a".repeat(64)).is_ok() && principal(&"a".repeat(65)).is_err());
        for (name, valid) in
            [("prd", true), ("roll out", true), ("c++", true), ("Prod", false), (" prd", false), ("", false), ("lösch", false)]
        {
            assert_eq!(word(name).is_ok(), valid, "{name}");
        }
        for (name, valid) in [("PATH", true), ("_x1", true), ("1X", false), ("A=B", false), ("", false)] {
            assert_eq!(variable(name).is_ok(), valid, "{name}");
        }
    }
}
