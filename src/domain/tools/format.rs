//! Formats of `docker inspect`: which ones show a container's state without its environment, which
//! may contain secrets.

use crate::domain::tools::word::Word;
use regex::Regex;
use std::sync::LazyLock;

/// One action of a format: a field that is known to contain no environment, or an iteration over
/// such entries.
static ACTION: LazyLock<Regex> = LazyLock::new(|| {
    let fields = "State|NetworkSettings|Name|Id|ID|Created|Image|RestartCount|Platform|Driver|Mounts|RepoTags|RepoDigests|Size|Architecture|Os|\
                  Config.Entrypoint|Config.Cmd|Config.Image|Config.ExposedPorts|Config.WorkingDir|Config.User";
    let entries = "IPAddress|Gateway|Status|ExitCode|Source|Destination|Output";
    Regex::new(&format!(
        r"^(?:(?:json|range|len|with)\s+)?\.(?:{fields})(?:\.[A-Za-z]+)*$|^(?:json\s+)?\.(?:{entries})$|^(?:end|else|println)$"
    ))
    .expect("a valid pattern")
});

/// Whether there is a format, and every action of every format is known.
pub fn shows_no_environment(arguments: &[Word]) -> bool {
    let formats = || arguments.iter().filter(|word| word.text.contains("{{"));
    let is_known = |word: &Word| {
        let Some(text) = word.as_literal() else { return false };
        text.split("{{").skip(1).all(|rest| rest.split_once("}}").is_some_and(|(action, _)| ACTION.is_match(action.trim())))
    };
    formats().next().is_some() && formats().all(is_known)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_names_what_it_shows() {
        let shows = |format: &str| shows_no_environment(&[Word::literal("-f"), Word::literal(format), Word::literal("api")]);
        for harmless in [
            "{{.State.Health.Status}}",
            "{{json .State}}",
            "{{json .Config.Entrypoint}} {{.Size}}",
            "{{.Name}} {{ .RestartCount }}",
            "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}",
            "--format={{.State.Running}}",
        ] {
            assert!(shows(harmless), "{harmless}");
        }
        for other in [
            "{{.Config.Env}}",
            "{{json .}}",
            "{{.}}",
            "{{range .Config.Env}}{{println .}}{{end}}",
            "{{.State}}{{.Config}}",
            "{{",
            "api",
            "{{index .Config.Env 0}}",
        ] {
            assert!(!shows(other), "{other}");
        }
    }
}
