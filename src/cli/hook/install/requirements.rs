//! `/etc/codex/requirements.toml`: the file that keeps a user of Codex from turning all hooks off.

use crate::cli::Error;

/// The path of a machine's requirements.
pub const PATH: &str = "/etc/codex/requirements.toml";
const SECTION: &str = "[features]";
const NEEDED: &str = "hooks = true";

/// The requirements with hooks kept on, and everything else unchanged.
///
/// # Errors
/// The settings say the opposite.
pub fn with_hooks_on(before: &str) -> Result<String, Error> {
    let name = |line: &str| line.split('#').next().unwrap_or_default().trim().to_owned();
    let Some(section) = before.lines().position(|line| name(line) == SECTION) else {
        let gap = if before.is_empty() {
            ""
        } else if before.ends_with('\n') {
            "\n"
        } else {
            "\n\n"
        };
        return Ok(format!("{before}{gap}{SECTION}\n{NEEDED}\n"));
    };
    let said = before.lines().skip(section + 1).map(name).take_while(|line| !line.starts_with('[')).find_map(|line| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "hooks").then(|| value.trim().to_owned())
    });
    match said.as_deref() {
        Some("true") => Ok(before.to_owned()),
        Some(_) => Err(Error::Other(format!("{PATH} says that hooks are off: write `{NEEDED}` there under `{SECTION}` first"))),
        None => {
            let lines = before.lines().enumerate();
            Ok(lines.map(|(index, line)| if index == section { format!("{line}\n{NEEDED}\n") } else { format!("{line}\n") }).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hooks_are_kept_on_and_all_else_stays() {
        for (before, after) in [
            ("", "[features]\nhooks = true\n"),
            ("a = 1\n", "a = 1\n\n[features]\nhooks = true\n"),
            ("a = 1", "a = 1\n\n[features]\nhooks = true\n"),
            (
                "[features] # ours\nx = true\n[other]\nhooks = false\n",
                "[features] # ours\nhooks = true\nx = true\n[other]\nhooks = false\n",
            ),
            ("[features]\nhooks=true # yes\n", "[features]\nhooks=true # yes\n"),
        ] {
            assert_eq!(with_hooks_on(before).unwrap(), after, "{before:?}");
        }
        assert!(with_hooks_on("[features]\nhooks = false\n").is_err());
    }

    #[test]
    fn the_page_shows_what_is_written() {
        let page = include_str!("../../../../support/docs/INTEGRATIONS.md");
        assert!(page.contains(&format!("```toml\n{}```\n", with_hooks_on("").unwrap())));
    }
}
