//! Python modules and Go packages that are run by name.

use crate::domain::tools::word::Word;

/// Whether the command runs a Python module that tests, checks or formats files in the folder.
/// `stays` says whether an argument stays in the folder.
pub fn module(arguments: &[Word], stays: fn(&Word) -> bool) -> bool {
    const MODULES: [&str; 12] =
        ["pytest", "unittest", "mypy", "black", "ruff", "flake8", "isort", "pylint", "json.tool", "venv", "compileall", "doctest"];
    const NOT: [&str; 8] = ["--basetemp", "--rootdir", "-c", "-o", "-p", "--override-ini", "--pastebin", "--config"];
    let [flag, module, rest @ ..] = arguments else { return false };
    let Some(module) = module.as_literal() else { return false };
    let refused = |word: &Word| NOT.iter().any(|not| word.text.split('=').next() == Some(not));
    let overwrites = match module {
        // It writes its second file.
        "json.tool" => rest.iter().filter(|word| !word.is_flag()).count() > 1,
        "venv" => rest.iter().any(|word| word.is_flag() && word.text.starts_with("--c") && word.text != "--copies"),
        _ => false,
    };
    flag.as_literal() == Some("-m") && MODULES.contains(&module) && !overwrites && rest.iter().all(|word| stays(word) && !refused(word))
}

/// Whether the command names only Go packages in the folder.
pub fn go_packages(arguments: &[Word], stays: fn(&Word) -> bool) -> bool {
    let Some((command, rest)) = arguments.split_first() else { return false };
    let plain: Vec<&Word> = rest.iter().filter(|word| !word.is_flag()).collect();
    let here = |word: &&&Word| word.text.starts_with('.') || word.text.ends_with(".go");
    let harmless = match command.as_literal() {
        Some("mod") => plain.first().is_some_and(|word| {
            word.as_literal().is_some_and(|word| ["tidy", "download", "verify", "graph", "why", "vendor", "init"].contains(&word))
        }),
        Some("run") => plain.first().filter(here).is_some(),
        _ => true,
    };
    harmless && rest.iter().all(stays) && plain.iter().all(|word| !word.text.contains('@'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::tools::check::Check;

    fn words(arguments: &[&str]) -> Vec<Word> {
        arguments.iter().map(|word| Word::literal(*word)).collect()
    }

    #[test]
    fn a_module_of_python_writes_over_nothing() {
        for harmless in [
            &["-m", "json.tool", "a.json"][..],
            &["-m", "json.tool", "--indent=2", "a.json"],
            &["-m", "venv", ".venv"],
            &["-m", "venv", "--copies", ".venv"],
        ] {
            assert!(Check::Module.holds(&words(harmless), &[]), "{harmless:?}");
        }
        for other in [&["-m", "json.tool", "a.json", "src/main.rs"][..], &["-m", "venv", "--clear", "src"], &["-m", "venv", "--cle", "src"]]
        {
            assert!(!Check::Module.holds(&words(other), &[]), "{other:?}");
        }
    }
}
