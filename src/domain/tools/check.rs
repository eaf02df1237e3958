//! Checks of a command's arguments other than its flags: small languages that can express more than
//! harmless things, and names that say where something goes.

use crate::domain::tools::address::is_public;
use crate::domain::tools::word::{Known, Word};
use crate::domain::tools::{format, modules, one_liners, paths, queries};
use regex::Regex;
use std::sync::LazyLock;

/// One check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    /// One SQL statement that only reads, in a database on this machine.
    Sql,
    /// The same, in a database on another host.
    SqlRemote,
    /// One duckdb statement that reads tables and data files in the folder.
    SqlFiles,
    /// sed scripts that run and write nothing.
    Sed,
    /// awk programs that run and write nothing.
    Awk,
    /// jq and yq filters that read only their input.
    Jq,
    /// URLs of public hosts, or of this machine, that are only read.
    Url,
    /// Plain names, without wildcards or parts that are known only at run time.
    Names,
    /// No paths outside the folder, and no URLs.
    Relative,
    /// No script whose name suggests deploying, publishing or migrating, and no path outside the
    /// folder.
    Local,
    /// Nothing about secrets.
    Kube,
    /// Python modules that test, check and format files in the folder.
    Module,
    /// Go packages in the folder.
    GoPackages,
    /// A line of Python that prints a version, a location or a number.
    Python,
    /// The same in JavaScript.
    Node,
    /// A line of Perl that substitutes text.
    Perl,
    /// Addresses of databases and servers on this machine.
    Here,
    /// Folders for temporary files.
    Unpacks,
    /// docker formats that do not show the environment.
    Format,
}

impl Check {
    /// Every check, by its name.
    pub const ALL: [(&'static str, Self); 19] = [
        ("sql", Self::Sql),
        ("sql-remote", Self::SqlRemote),
        ("sql-files", Self::SqlFiles),
        ("sed", Self::Sed),
        ("awk", Self::Awk),
        ("jq", Self::Jq),
        ("url", Self::Url),
        ("names", Self::Names),
        ("relative", Self::Relative),
        ("local", Self::Local),
        ("kube", Self::Kube),
        ("module", Self::Module),
        ("go-packages", Self::GoPackages),
        ("python", Self::Python),
        ("node", Self::Node),
        ("perl", Self::Perl),
        ("here", Self::Here),
        ("unpacks", Self::Unpacks),
        ("format", Self::Format),
    ];

    /// Its name in the configuration.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(_, check)| *check == self).map_or("", |(name, _)| name)
    }

    /// Whether it passes for all arguments, and for the plain ones: those that are neither flags
    /// nor values of flags.
    pub fn holds(self, arguments: &[Word], plain: &[&Word]) -> bool {
        match self {
            Self::Sql | Self::SqlRemote => queries::read(arguments, self == Self::SqlRemote),
            Self::SqlFiles => queries::read_files(arguments),
            Self::Sed => {
                scripts(arguments, plain).is_some_and(|scripts| !scripts.is_empty() && scripts.iter().all(|script| SED.is_match(script)))
            }
            Self::Awk => plain
                .first()
                .and_then(|word| word.as_literal())
                .is_some_and(|program| !AWK_DOES.is_match(&AWK_LOOKS.replace_all(&program.replace("||", ","), "$1"))),
            Self::Jq => {
                arguments.iter().all(|word| word.as_literal().is_none_or(|text| !JQ_READS.is_match(text))) && filter_is_known(plain)
            }
            Self::Url => addresses(arguments, plain),
            Self::Names => {
                arguments.iter().filter(|word| !word.is_flag()).all(|word| word.as_literal().is_some_and(|name| NAME.is_match(name)))
            }
            Self::Relative => arguments.iter().all(stays),
            Self::Local => arguments.iter().all(|word| {
                let named = if word.is_flag() { word.text.split_once('=').map_or("", |(_, value)| value) } else { &word.text };
                stays(word) && (named.is_empty() || (word.known != Known::Begins && is_local(named)))
            }),
            Self::Kube => arguments.iter().all(|word| !word.text.to_ascii_lowercase().contains("secret")),
            Self::Module => modules::module(arguments, stays),
            Self::GoPackages => modules::go_packages(arguments, stays),
            Self::Python => one_liners::are(&one_liners::PYTHON, arguments),
            Self::Node => one_liners::are(&one_liners::NODE, arguments),
            Self::Perl => one_liners::are(&one_liners::PERL, arguments),
            Self::Unpacks => unpacks(arguments),
            Self::Format => format::shows_no_environment(arguments),
            Self::Here => arguments.iter().all(|word| word.as_literal().is_some_and(|text| HERE.is_match(text))),
        }
    }

    /// Whether it passes only if the command works in the agent's folder.
    pub fn is_about_folder(self) -> bool {
        matches!(self, Self::SqlFiles | Self::Relative | Self::Local | Self::Module | Self::GoPackages)
    }

    /// Whether the first plain argument is a script rather than a file.
    pub fn takes_script(self) -> bool {
        matches!(self, Self::Sed | Self::Awk | Self::Jq)
    }
}

fn pattern(text: &str) -> Regex {
    Regex::new(text).expect("a valid pattern")
}

/// sed addresses, followed by one of the commands that print, delete, quit or substitute. `w`, `r`,
/// `e` and the like are not among them.
static SED: LazyLock<Regex> = LazyLock::new(|| {
    let address = r"(?:\d+|\$|/(?:[^/\\\n]|\\.)*/)";
    let text = |end: &str| format!(r"(?:[^{end}\\\n]|\\.)*");
    let substitute = |end: &str| format!("s{end}{0}{end}{0}{end}[gIip0-9]*", text(end));
    let commands =
        [r"[pdqDGHhgxNn=]".to_owned(), substitute("/"), substitute("#"), substitute(r"\|"), substitute(","), substitute("@")].join("|");
    pattern(&format!(r"^(?:\s*(?:{address}(?:,(?:{address}|\+\d+))?\s*!?)?\s*(?:{commands})\s*(?:;|\n|$))+$"))
});
/// Constructs by which an awk program could run, read or write something: commands, other files,
/// the environment.
static AWK_DOES: LazyLock<Regex> = LazyLock::new(|| pattern(r"system|getline|\||@|ENVIRON|print[^;}\n]*>|close|fflush|PROCINFO|ARGV"));
/// A pattern in an awk program, where it can be neither a division nor a text.
static AWK_LOOKS: LazyLock<Regex> = LazyLock::new(|| pattern(r#"(^|[~({};!,&\n])\s*/(?:[^/\\\n\["]|\\.)*/"#));
static JQ_READS: LazyLock<Regex> = LazyLock::new(|| pattern(r"\benv\b|\$ENV|\bstrenv\b|\bimport\b|\binclude\b|\bload|\$__loc__|\beval\b"));
static NAME: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[A-Za-z0-9_./~][A-Za-z0-9._/@~^=?&-]*$"));
static HERE: LazyLock<Regex> = LazyLock::new(|| {
    let address = r"[a-z][a-z0-9+]*://(?:[A-Za-z0-9_:-]*@)?(?:localhost|127\.0\.0\.1|\[::1\])(?::[0-9]+)?(?:/[A-Za-z0-9_./?=&-]*)?";
    pattern(&format!(r"^(?:{address}|sqlite:(?:///?)?[A-Za-z0-9_][A-Za-z0-9_./-]*)$"))
});
static LOCAL_HOST: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"^(?:https?://)?(?:localhost|127\.0\.0\.1|\[::1\]|0\.0\.0\.0)(?::[0-9]*)?(?:[/?].*)?$"));

/// The sed scripts among the arguments: those after `-e`, or the first plain argument; `None` if
/// one of them is unknown.
fn scripts<'w>(arguments: &'w [Word], plain: &[&'w Word]) -> Option<Vec<&'w str>> {
    let mut found = Vec::new();
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        if word.text == "-e" || word.text == "-ne" {
            found.push(words.next()?.as_literal()?);
        }
    }
    if found.is_empty() {
        found.push(plain.first()?.as_literal()?);
    }
    Some(found)
}

fn filter_is_known(plain: &[&Word]) -> bool {
    plain.first().is_none_or(|filter| filter.known != Known::Begins)
}

fn addresses(arguments: &[Word], plain: &[&Word]) -> bool {
    let mut words = arguments.iter().peekable();
    while let Some(word) = words.next() {
        let text = word.text.as_str();
        let short = text.starts_with('-') && !text.starts_with("--");
        let next = words.peek().and_then(|word| word.as_literal());
        let harmless = match text.split_once('=') {
            Some(("--output", value)) => is_thrown_away(value),
            Some(("--request", value)) => is_question(value),
            Some(("--write-out", value)) => prints(value),
            Some(("--header", value)) => !value.starts_with('@'),
            _ if text == "--output" || (short && text.ends_with('o')) => next.is_some_and(is_thrown_away),
            _ if text == "--request" || (short && text.ends_with('X')) => next.is_some_and(is_question),
            _ if text == "--write-out" || (short && text.ends_with('w')) => next.is_some_and(prints),
            _ if text == "--header" || (short && text.ends_with('H')) => next.is_some_and(|value| !value.starts_with('@')),
            // A value in the same word as its flag.
            _ if short => !text[1..].contains(['o', 'X', 'w', 'H']),
            _ => true,
        };
        if !harmless {
            return false;
        }
    }
    let harmless = |word: &&Word| {
        let lower = word.text.to_ascii_lowercase();
        if word.text.len() > LONGEST_ADDRESS || TELLING.iter().any(|name| lower.contains(name)) {
            return false;
        }
        let is_plain = word.known == Known::Literal || (word.known == Known::Glob && !word.text.contains(['*', '{', '[']));
        let is_here = LOCAL_HOST.is_match(&word.text) && (is_plain || word.known == Known::Begins);
        is_here || (is_plain && is_public(&word.text))
    };
    !plain.is_empty() && plain.iter().all(harmless)
}

/// Whether a download goes to a path outside the agent's folder that nobody keeps.
fn is_thrown_away(file: &str) -> bool {
    file == "/dev/null" || file == "-" || paths::is_temporary(&paths::resolved(file, ""))
}

/// The longest accepted URL. A longer one could carry data away.
const LONGEST_ADDRESS: usize = 300;
/// Parts of URLs that lead to secrets, and host names that resolve to numeric addresses.
const TELLING: [&str; 10] =
    ["secret", "token", "credential", "password", "meta-data", "metadata", "169.254", "nip.io", "sslip.io", "localtest.me"];

fn is_question(method: &str) -> bool {
    ["GET", "HEAD", "OPTIONS"].contains(&method)
}

/// Whether a curl format prints to standard output and reads no file.
fn prints(format: &str) -> bool {
    !format.starts_with('@') && !format.contains("output{")
}

/// Whether an argument stays in the folder, both as a path and as a URL. The value of a flag for
/// output may be a temporary file. What a command reads may not, because anybody can put it there.
fn stays(word: &Word) -> bool {
    const WRITTEN: [&str; 3] = ["-coverprofile", "-out", "--out"];
    if let Some((_, file)) = word.text.split_once('=').filter(|(flag, _)| WRITTEN.contains(flag))
        && word.as_literal().is_some()
    {
        return is_thrown_away(file) || stays_at(file);
    }
    stays_at(&word.text)
}

fn stays_at(text: &str) -> bool {
    let pieces = std::iter::once(text).chain(text.split(['=', ':', ',']));
    let harmless = |piece: &str| {
        (!piece.starts_with('/') || piece == "/dev/null") && !piece.starts_with('~') && piece.split('/').all(|part| part != "..")
    };
    pieces.into_iter().all(harmless) && !text.contains("://") && !text.contains("git@")
}

/// Whether an archive is unpacked only into temporary folders; the folder follows `-C` or `-d`.
fn unpacks(arguments: &[Word]) -> bool {
    let folders: Vec<Option<&str>> =
        arguments.windows(2).filter(|pair| matches!(pair[0].text.as_str(), "-C" | "-d")).map(|pair| pair[1].as_literal()).collect();
    let flags = arguments.iter().filter(|word| word.is_flag() && word.text.contains(['C', 'd']) && !word.text.starts_with("--")).count();
    let is_temporary = |folder: &Option<&str>| folder.is_some_and(|folder| paths::is_temporary(&paths::resolved(folder, "")));
    // Each flag with such a letter is followed by its folder as a separate word.
    !folders.is_empty() && folders.len() == flags && folders.iter().all(is_temporary)
}

fn is_local(name: &str) -> bool {
    const AWAY: [&str; 16] = [
        "deploy",
        "deployment",
        "publish",
        "release",
        "upload",
        "migrate",
        "migration",
        "migrations",
        "drop",
        "reset",
        "destroy",
        "prod",
        "production",
        "staging",
        "push",
        "seed",
    ];
    let lower = name.to_ascii_lowercase();
    lower.split(|letter: char| !letter.is_ascii_alphanumeric()).all(|word| !AWAY.contains(&word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holds(check: Check, arguments: &[&str]) -> bool {
        let words: Vec<Word> = arguments.iter().map(|word| Word::literal(*word)).collect();
        let plain: Vec<&Word> = match check {
            // Values of flags are not URLs.
            Check::Url => words.iter().rev().take(1).collect(),
            _ => words.iter().filter(|word| !word.is_flag()).collect(),
        };
        check.holds(&words, &plain)
    }

    #[test]
    fn scripts_of_sed_print_and_substitute() {
        for harmless in ["1,20p", "s/a/b/g", "/x/d", "s#/a#/b#", "$p", "s|a|b|;s|c|d|", "10q", "/a/,/b/p", "s/a\\/b/c/"] {
            assert!(holds(Check::Sed, &["-n", harmless, "f"]), "{harmless}");
        }
        for other in ["s/a/b/e", "s/a/b/w /etc/x", "w out", "1e rm x", "r /etc/passwd", "e", "s/a/b/;w x", "1!G;e", "p;e id"] {
            assert!(!holds(Check::Sed, &[other, "f"]), "{other}");
        }
    }

    #[test]
    fn programs_of_awk_run_nothing() {
        for harmless in [
            "{print $1}",
            "NR>5",
            "$3 > 100 {print $1}",
            "/x/ || /y/",
            "END {print NR}",
            "/^def |^class / {print FILENAME \":\" FNR}",
            "$1 ~ /a|b/ && !/c|d/",
        ] {
            assert!(holds(Check::Awk, &[harmless]), "{harmless}");
        }
        for other in [
            "BEGIN {system(\"x\")}",
            "{print > \"f\"}",
            "{print | \"sh\"}",
            "{\"id\" | getline x}",
            "{print ENVIRON[\"X\"]}",
            "{x = 4 / 2 | \"sh\" / 1}",
            "/[/]/ | \"sh\" /x/",
            "BEGIN {print \"~ /\" | \"sh /\"}",
        ] {
            assert!(!holds(Check::Awk, &[other]), "{other}");
        }
    }

    #[test]
    fn only_addresses_of_this_machine_are_local() {
        for here in ["postgres://localhost/app_test", "redis://dev:dev@127.0.0.1:6379/0", "http://localhost:8080", "sqlite:///dev.db"] {
            assert!(holds(Check::Here, &[here]), "{here}");
        }
        for elsewhere in ["postgres://db-1/app", "http://localhost@evil.example", "http://localhost.evil.example/", "sqlite:////etc/x", "x"]
        {
            assert!(!holds(Check::Here, &[elsewhere]), "{elsewhere}");
        }
    }

    #[test]
    fn only_harmless_requests_of_an_address_pass_the_check() {
        for harmless in [
            &["-s", "http://localhost:3000/x"][..],
            &["https://example.com/a"],
            &["-so", "/dev/null", "-w", "%{http_code}", "localhost:80"],
        ] {
            assert!(holds(Check::Url, harmless), "{harmless:?}");
        }
        assert!(holds(Check::Url, &["-so", "/tmp/x.json", "https://example.com/a"]));
        for other in [
            &["-o", "x", "https://example.com"][..],
            &["-o", "/tmp/../home/dev/x", "https://example.com"],
            &["-ox", "https://example.com"],
            &["-X", "DELETE", "http://localhost/x"],
            &["-XPOST", "http://localhost/x"],
            &["http://169.254.169.254/latest/meta-data"],
            &["http://metadata.google.internal/x"],
            &["https://u:p@example.com"],
            &["file:///etc/passwd"],
            &["http://localhost.evil.com@x"],
            &["http://0x7f.1/"],
        ] {
            assert!(!holds(Check::Url, other), "{other:?}");
        }
    }
}
