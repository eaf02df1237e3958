use super::*;
use crate::domain::task::confinement::Limits;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::time::Duration;
use tempfile::TempDir;

fn write(path: &Path, text: &str, mode: u32) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

fn command(folder: &Path, command: &[&str], files: &[&str]) -> Invocation {
    Invocation {
        command: command.iter().map(ToString::to_string).collect(),
        program: None,
        files: files.iter().map(Artifact::named).collect(),
        working_dir: folder.to_owned(),
        user: None,
        env: Vec::new(),
        timeout: Duration::from_secs(1),
        idempotent: false,
        concurrency: None,
        limits: Limits::default(),
        sandbox: None,
        new_privileges: false,
        retry: None,
        probe: Vec::new(),
        precondition: None,
    }
}

fn find_in(folder: &Path, words: &[&str], files: &[&str]) -> Result<Invocation, String> {
    find(command(folder, words, files), OsStr::new("/usr/bin:/bin")).map(|found| found.invocation)
}

/// A folder whose path contains no links.
fn folder() -> (TempDir, PathBuf) {
    let folder = TempDir::new().unwrap();
    let path = folder.path().canonicalize().unwrap();
    (folder, path)
}

#[test]
fn artifacts_have_real_paths_and_content_digests() {
    let (_folder, path) = folder();
    fs::create_dir(path.join("v1")).unwrap();
    write(&path.join("v1/run.sh"), "#!/bin/sh\n", 0o755);
    write(&path.join("v1/api.yaml"), "replicas: 3\n", 0o644);
    symlink("v1", path.join("current")).unwrap();
    let found = find_in(&path.join("current"), &["./run.sh", "x"], &["api.yaml"]).unwrap();
    let artifact = |name: &str, text: &str| Artifact { path: path.join("v1").join(name), digest: Some(Digest::of(text.as_bytes())) };
    assert_eq!(found.program, Some(artifact("run.sh", "#!/bin/sh\n")));
    assert_eq!(found.files, [artifact("api.yaml", "replicas: 3\n")]);
    assert_eq!((found.working_dir, found.command), (path.join("v1"), vec!["./run.sh".to_owned(), "x".to_owned()]));
}

#[test]
fn a_change_of_content_or_of_a_link_is_a_difference() {
    let (_folder, path) = folder();
    for version in ["v1", "v2"] {
        fs::create_dir(path.join(version)).unwrap();
        write(&path.join(version).join("run.sh"), "#!/bin/sh\n", 0o755);
        write(&path.join(version).join("data"), "1", 0o644);
    }
    symlink("v1", path.join("current")).unwrap();
    let look = || find_in(&path.join("current"), &["./run.sh"], &["data"]).unwrap();
    let approved = look();
    assert_eq!(approved.difference(&look()), None);
    write(&path.join("v1/data"), "2", 0o644);
    assert!(approved.difference(&look()).unwrap().contains("content of its file"));
    write(&path.join("v1/data"), "1", 0o644);
    write(&path.join("v1/run.sh"), "#!/bin/sh\nrm -rf /\n", 0o755);
    assert!(approved.difference(&look()).unwrap().contains("content of its program"));
    fs::remove_file(path.join("current")).unwrap();
    symlink("v2", path.join("current")).unwrap();
    assert!(approved.difference(&look()).unwrap().contains("its folder"));
}

#[test]
fn a_bare_name_is_never_taken_from_a_folder_that_is_relative() {
    let (_folder, path) = folder();
    write(&path.join("deploy"), "#!/bin/sh\n", 0o755);
    for search in [".:", ":", "", "..", "bin"] {
        let found = find(command(&path, &["deploy"], &[]), OsStr::new(search)).map(|found| found.path);
        assert!(found.unwrap_err().contains("PATH"), "{search:?}");
    }
    let absolute = find(command(&path, &["deploy"], &[]), path.as_os_str()).unwrap();
    assert_eq!(absolute.path, path.join("deploy"));
    assert_eq!(search_path(Some(OsStr::new(".:/usr/bin::bin:/bin"))), "/usr/bin:/bin");
    assert_eq!(search_path(None), USUAL_PATH);
}

#[test]
fn world_writable_files_and_folders_are_refused() {
    let (_folder, path) = folder();
    write(&path.join("run.sh"), "#!/bin/sh\n", 0o757);
    assert!(find_in(&path, &["./run.sh"], &[]).unwrap_err().contains("can be written by everyone"));
    write(&path.join("run.sh"), "#!/bin/sh\n", 0o755);
    write(&path.join("data"), "", 0o666);
    assert!(find_in(&path, &["./run.sh"], &["data"]).unwrap_err().contains("`files`"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(find_in(&path, &["./run.sh"], &[]).unwrap_err().contains("everyone on this machine can replace"));
    fs::set_permissions(&path, fs::Permissions::from_mode(0o1777)).unwrap();
    assert!(find_in(&path, &["./run.sh"], &[]).is_ok(), "in a folder like /tmp nobody replaces what belongs to others");
}

#[test]
fn programs_that_cannot_run_are_refused_with_a_reason() {
    let (_folder, path) = folder();
    fs::create_dir(path.join("sub")).unwrap();
    write(&path.join("plain"), "x", 0o644);
    for (words, files, said) in [
        (&["./nothing"][..], &[][..], "nothing: No such file"),
        (&["no-such-program-anywhere"], &[], "PATH"),
        (&["./sub"], &[], "not a regular file"),
        (&["./plain"], &[], "is not executable"),
        (&[], &[], "`command` is empty"),
        (&["true"], &["nothing"], "`files`"),
        (&["true"], &["sub"], "not a regular file"),
        (&["/dev/zero"], &[], "not a regular file"),
    ] {
        let error = find_in(&path, words, files).unwrap_err();
        assert!(error.contains(said), "{words:?}: {error}");
    }
    assert!(find_in(&path.join("nowhere"), &["true"], &[]).unwrap_err().contains("`working_dir`"));
    assert!(find_in(&path.join("plain"), &["true"], &[]).unwrap_err().contains("not a folder"));
}

#[test]
fn a_binary_runs_from_the_open_file_and_a_script_from_its_path() {
    let (_folder, path) = folder();
    write(&path.join("run.sh"), "#!/bin/sh\n", 0o755);
    let mut script = find(command(&path, &["./run.sh"], &[]), OsStr::new("")).unwrap();
    assert!(matches!(script.executable(), Program::At(at, _) if at == path.join("run.sh")));
    let mut binary = find(command(&path, &["true"], &[]), OsStr::new("/usr/bin:/bin")).unwrap();
    assert_eq!(matches!(binary.executable(), Program::Open(_)), cfg!(target_os = "linux"));
}
