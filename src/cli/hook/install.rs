//! `parkbrake hook install`: writes the hook into a client's settings, and keeps everything else in
//! them.

mod requirements;

use crate::cli::client::{DEFAULT_URL, env};
use crate::cli::consent::is_somebody_there;
use crate::cli::hook::{Client, DeferArgs, ShimArgs};
use crate::cli::terminal::{Page, shell_word};
use crate::cli::{Error, terminal};
use crate::domain::duration;
use crate::domain::text::escaped;
use serde_json::{Map, Value, json};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Identifies a hook that an earlier install wrote.
const MARK: &str = " hook ";

/// Write the hook into a client's settings: shows the change first, and keeps everything else
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The client
    client: Client,
    /// The machine-wide settings, which its users cannot turn off; Codex trusts only these without
    /// asking
    #[arg(long, conflicts_with = "file")]
    managed: bool,
    /// A different file than the one that the client reads
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Write without asking; needed if there is no terminal
    #[arg(long)]
    yes: bool,
    #[command(flatten)]
    shim: ShimArgs,
    #[command(flatten)]
    defer: DeferArgs,
}

/// Runs the command.
///
/// # Errors
/// The settings cannot be read or written, or the person did not confirm.
pub fn run(args: &Args) -> Result<ExitCode, Error> {
    let path = match &args.file {
        Some(file) => file.clone(),
        None if args.managed => args.client.managed_settings(),
        None => args.client.settings()?,
    };
    if args.defer.defer && args.client != Client::ClaudeCode {
        return Err(Error::Usage("only Claude Code can defer a call: leave --defer out".to_owned()));
    }
    // The target of a link is written, so that the link stays a link.
    let path = std::fs::canonicalize(&path).unwrap_or(path);
    let before = read(&path)?;
    let after = with_hook(args.client, before.clone(), &command(args)?, args.shim.deadline.as_secs())?;
    let mut page = Page::stdout();
    page.line(format_args!("{}:", escaped(&path.display().to_string())));
    page.line(escaped(&pretty(&after)));
    // A user of Codex can turn all hooks off, unless the machine's requirements prevent it.
    let requirements = if args.client == Client::Codex && args.managed { Some(kept_on()?) } else { None };
    if let Some((_, after)) = &requirements {
        page.line(format_args!("{}:", requirements::PATH));
        page.line(escaped(after));
    }
    page.print()?;
    if before == after && requirements.as_ref().is_none_or(|(before, after)| before == after) {
        terminal::complain("parkbrake: the hook is already installed; nothing was written");
        return Ok(ExitCode::SUCCESS);
    }
    agree(args)?;
    write(&path, pretty(&after).as_bytes()).map_err(|error| Error::Other(format!("cannot write {}: {error}", path.display())))?;
    if let Some((_, after)) = requirements {
        let path = Path::new(requirements::PATH);
        write(path, after.as_bytes()).map_err(|error| Error::Other(format!("cannot write {}: {error}", path.display())))?;
    }
    terminal::complain(&format!("parkbrake: written; now prove that it fires and blocks: parkbrake hook doctor {}", args.client.name()));
    if args.client == Client::Codex && !args.managed {
        terminal::complain(
            "parkbrake: Codex skips a hook that its user has not trusted, and `codex exec` does not say so: trust it with /hooks, or install it with --managed",
        );
    }
    Ok(ExitCode::SUCCESS)
}

/// The requirements of the machine, before and after.
fn kept_on() -> Result<(String, String), Error> {
    let before = match std::fs::read_to_string(requirements::PATH) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Error::Other(format!("cannot read {}: {error}", requirements::PATH))),
    };
    let after = requirements::with_hooks_on(&before)?;
    Ok((before, after))
}

fn agree(args: &Args) -> Result<(), Error> {
    if args.yes {
        return Ok(());
    }
    if !is_somebody_there() {
        return Err(Error::Usage("nobody can be asked here, so nothing was written: add --yes to write what is shown".to_owned()));
    }
    let mut answer = String::new();
    write!(io::stdout(), "Write this? [y/N] ").and_then(|()| io::stdout().flush()).map_err(Error::Output)?;
    io::stdin().read_line(&mut answer).map_err(|error| Error::Other(format!("nothing was written: no answer could be read: {error}")))?;
    let is_yes = matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes");
    if is_yes { Ok(()) } else { Err(Error::Other("nothing was written".to_owned())) }
}

impl Client {
    /// The client's settings of its user.
    fn settings(self) -> Result<PathBuf, Error> {
        let (variable, folder, file) = match self {
            Self::ClaudeCode => ("CLAUDE_CONFIG_DIR", ".claude", "settings.json"),
            Self::Codex => ("CODEX_HOME", ".codex", "hooks.json"),
        };
        let home = || env("HOME").map(|home| Path::new(&home).join(folder));
        let folder = env(variable).map(PathBuf::from).or_else(home);
        let folder = folder.ok_or_else(|| Error::Other(format!("neither {variable} nor HOME is set: name the settings with --file")))?;
        Ok(folder.join(file))
    }

    /// The client's settings of the machine.
    fn managed_settings(self) -> PathBuf {
        PathBuf::from(match self {
            Self::ClaudeCode if cfg!(target_os = "macos") => "/Library/Application Support/ClaudeCode/managed-settings.json",
            Self::ClaudeCode => "/etc/claude-code/managed-settings.json",
            Self::Codex => "/etc/codex/hooks.json",
        })
    }

    /// The events for which the hook runs.
    fn events(self) -> &'static [&'static str] {
        match self {
            Self::ClaudeCode => &["PreToolUse", "PostToolUse", "PostToolUseFailure"],
            Self::Codex => &["PreToolUse", "PostToolUse"],
        }
    }
}

/// The command line that the client runs. It contains the address, so that no variable of a project
/// can redirect it.
fn command(args: &Args) -> Result<String, Error> {
    let program = std::env::current_exe().map_err(|error| Error::Other(format!("cannot determine the path of this program: {error}")))?;
    let url = args.shim.url.clone().or_else(|| env("PARKBRAKE_URL")).unwrap_or_else(|| DEFAULT_URL.to_owned());
    let mut words = vec![program.display().to_string(), "hook".to_owned(), args.client.name().to_owned(), "--url".to_owned(), url];
    if let Some(file) = args.shim.token_file.clone().or_else(|| env("PARKBRAKE_TOKEN_FILE").map(PathBuf::from)) {
        let file = std::path::absolute(&file).map_err(|error| Error::Other(format!("{}: {error}", file.display())))?;
        words.extend(["--token-file".to_owned(), file.display().to_string()]);
    }
    words.extend(["--deadline".to_owned(), duration::show(args.shim.deadline).to_string()]);
    if args.defer.defer {
        words.push("--defer".to_owned());
    }
    Ok(words.iter().map(|word| shell_word(word)).collect::<Vec<_>>().join(" "))
}

/// The settings with the hook, which replaces one of an earlier install.
fn with_hook(client: Client, settings: Value, command: &str, deadline: u64) -> Result<Value, Error> {
    let wrong = |what: &str| Error::Other(format!("{what} in these settings is not what the client accepts: correct it by hand first"));
    let Value::Object(mut settings) = settings else { return Err(wrong("the whole")) };
    let hooks = settings.entry("hooks").or_insert_with(|| Value::Object(Map::new()));
    let hooks = hooks.as_object_mut().ok_or_else(|| wrong("`hooks`"))?;
    for event in client.events() {
        let groups = hooks.entry(*event).or_insert_with(|| json!([]));
        let groups = groups.as_array_mut().ok_or_else(|| wrong(&format!("`hooks.{event}`")))?;
        groups.retain(|group| !is_ours(client, group));
        // At least twice the shim's own deadline, so that it always answers first.
        let mut hook = json!({"type": "command", "command": command, "timeout": deadline * 3});
        let mut group = json!({});
        if client == Client::ClaudeCode {
            group["matcher"] = json!("*");
            if *event == "PreToolUse" {
                hook["onFailure"] = json!("block");
            }
        }
        group["hooks"] = json!([hook]);
        groups.push(group);
    }
    Ok(Value::Object(settings))
}

/// Whether a group of hooks is one that an earlier install wrote, unchanged.
fn is_ours(client: Client, group: &Value) -> bool {
    let command = |hook: &Value| hook["command"].as_str().is_some_and(|command| is_shim(client, command));
    group["hooks"].as_array().is_some_and(|hooks| !hooks.is_empty() && hooks.iter().all(command))
}

fn is_shim(client: Client, command: &str) -> bool {
    command.contains("parkbrake") && command.contains(&format!("{MARK}{}", client.name()))
}

fn read(path: &Path) -> Result<Value, Error> {
    let shown = path.display();
    match std::fs::read(path) {
        Ok(bytes) => {
            serde_json::from_slice(&bytes).map_err(|error| Error::Other(format!("{shown} is not JSON, so it was not changed: {error}")))
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(json!({})),
        Err(error) => Err(Error::Other(format!("cannot read {shown}: {error}"))),
    }
}

fn pretty(settings: &Value) -> String {
    format!("{settings:#}\n")
}

/// Writes all of it or nothing: into a new file, which then replaces the old one, with the same
/// permissions.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)?;
    let unfinished = path.with_extension(format!("parkbrake-{}", std::process::id()));
    let written = (|| {
        let mut file = std::fs::OpenOptions::new().write(true).create_new(true).open(&unfinished)?;
        if let Ok(before) = std::fs::metadata(path) {
            file.set_permissions(before.permissions())?;
        }
        file.write_all(bytes)?;
        file.sync_all()?;
        std::fs::rename(&unfinished, path)
    })();
    if written.is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
    written
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn install_keeps_other_settings_and_replaces_an_earlier_hook() {
        let before = json!({
            "model": "opus",
            "hooks": {
                "Stop": [{"hooks": [{"type": "command", "command": "bell"}]}],
                "PreToolUse": [
                    {"matcher": "Bash", "hooks": [{"type": "command", "command": "audit"}]},
                    {"matcher": "*", "hooks": [{"type": "command", "command": "/old/parkbrake hook claude-code --url http://old"}]}
                ]
            }
        });
        let after = with_hook(Client::ClaudeCode, before, "/new/parkbrake hook claude-code", 10).unwrap();
        assert_eq!(after["model"], "opus");
        assert_eq!(after["hooks"]["Stop"][0]["hooks"][0]["command"], "bell");
        let hook = json!({"type": "command", "command": "/new/parkbrake hook claude-code", "timeout": 30, "onFailure": "block"});
        assert_eq!(
            after["hooks"]["PreToolUse"],
            json!([{"matcher": "Bash", "hooks": [{"type": "command", "command": "audit"}]}, {"matcher": "*", "hooks": [hook]}])
        );
        assert!(after["hooks"]["PostToolUseFailure"].is_array());
        assert_eq!(with_hook(Client::ClaudeCode, after.clone(), "/new/parkbrake hook claude-code", 10).unwrap(), after, "twice is once");
    }

    #[test]
    fn codex_settings_use_only_fields_that_codex_knows() {
        let after = with_hook(Client::Codex, json!({}), "parkbrake hook codex", 5).unwrap();
        let group = json!([{"hooks": [{"type": "command", "command": "parkbrake hook codex", "timeout": 15}]}]);
        assert_eq!(after, json!({"hooks": {"PreToolUse": group, "PostToolUse": group}}));
    }

    #[test]
    fn settings_that_are_something_else_are_left_alone() {
        for wrong in [json!([]), json!({"hooks": []}), json!({"hooks": {"PreToolUse": {}}})] {
            assert!(with_hook(Client::Codex, wrong.clone(), "c", 5).is_err(), "{wrong}");
        }
    }
}
