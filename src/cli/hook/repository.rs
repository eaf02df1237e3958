//! Which repository a folder belongs to, read from git's own files, because no program may be
//! started before a tool call.

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// How many parent folders are searched.
const HIGHEST: usize = 64;
/// The most bytes that are read of a file of git.
const LARGEST: u64 = 64 * 1024;

/// The repository of a folder: the address of `origin`, without a name or secret in it, or else the
/// top folder.
pub fn of(folder: &Path) -> Option<String> {
    let (top, git) = folder.ancestors().take(HIGHEST).find_map(|folder| Some((folder, git_folder(&folder.join(".git"))?)))?;
    let origin = text(&git.join("config")).and_then(|config| origin(&config));
    Some(origin.unwrap_or_else(|| top.display().to_string()))
}

/// The folder of the settings: `.git` itself, or for a worktree, that of its main repository.
fn git_folder(path: &Path) -> Option<PathBuf> {
    if path.is_dir() {
        return Some(path.to_owned());
    }
    let written = text(path)?;
    let own = path.parent()?.join(written.strip_prefix("gitdir:")?.trim());
    let common = text(&own.join("commondir")).map(|common| own.join(common.trim()));
    Some(common.unwrap_or(own))
}

fn text(path: &Path) -> Option<String> {
    let mut text = String::new();
    fs::File::open(path).ok()?.take(LARGEST).read_to_string(&mut text).ok()?;
    Some(text)
}

/// The address of `origin` in a settings file.
fn origin(config: &str) -> Option<String> {
    let mut lines = config.lines().map(str::trim).skip_while(|line| *line != r#"[remote "origin"]"#).skip(1);
    let address = lines.by_ref().take_while(|line| !line.starts_with('[')).find_map(|line| {
        let (name, value) = line.split_once('=')?;
        (name.trim() == "url").then(|| value.trim().trim_matches('"').to_owned())
    })?;
    // The text before the host of an address may be a secret.
    let valid = match address.split_once("://") {
        Some((scheme, rest)) => {
            let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
            format!("{scheme}://{}/{path}", host.rsplit('@').next().unwrap_or_default())
        }
        None => address,
    };
    Some(valid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_is_known_by_where_it_comes_from_or_by_its_folder() {
        let folder = tempfile::tempdir().unwrap();
        let top = folder.path().join("app");
        let deep = top.join("src/deep");
        fs::create_dir_all(&deep).unwrap();
        assert_eq!(of(&deep), None);
        fs::create_dir(top.join(".git")).unwrap();
        assert_eq!(of(&deep), Some(top.display().to_string()));
        let config = "[core]\n\tbare = false\n[remote \"fork\"]\n\turl = x\n[remote \"origin\"]\n\turl = https://me:s3cr3t@example.com/acme/app.git\n";
        fs::write(top.join(".git/config"), config).unwrap();
        assert_eq!(of(&deep).as_deref(), Some("https://example.com/acme/app.git"));

        let other = folder.path().join("other");
        fs::create_dir_all(top.join(".git/worktrees/other")).unwrap();
        fs::write(top.join(".git/worktrees/other/commondir"), "../..\n").unwrap();
        fs::create_dir(&other).unwrap();
        fs::write(other.join(".git"), format!("gitdir: {}\n", top.join(".git/worktrees/other").display())).unwrap();
        assert_eq!(of(&other).as_deref(), Some("https://example.com/acme/app.git"), "a worktree is of the same repository");
    }

    #[test]
    fn an_address_keeps_its_host_and_loses_its_secret() {
        for (written, known) in [
            ("git@example.com:acme/app.git", "git@example.com:acme/app.git"),
            ("ssh://git@example.com/app", "ssh://example.com/app"),
            ("https://token@example.com/app", "https://example.com/app"),
        ] {
            assert_eq!(origin(&format!("[remote \"origin\"]\nurl = {written}\n[x]\nurl = no")).as_deref(), Some(known));
        }
        assert_eq!(origin("[remote \"fork\"]\nurl = x\n"), None);
        assert_eq!(origin("[remote \"origin\"]\n[other]\nurl = x\n"), None);
    }
}
