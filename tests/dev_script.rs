//! `support/scripts/dev.sh` and what it installs, with programs that only record how they were
//! called.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A folder of programs that is the whole PATH.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    /// A machine with cargo, a compiler and PostgreSQL.
    fn new() -> Self {
        let machine = Self { folder: tempfile::tempdir().expect("a folder") };
        for program in ["bash", "dirname", "env"] {
            let path = std::env::var_os("PATH").expect("a PATH");
            let found = std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.exists()).expect("a program");
            std::os::unix::fs::symlink(found, machine.path(program)).expect("a link");
        }
        for program in ["cargo", "cc", "initdb"] {
            machine.program(program, "");
        }
        machine.program("sudo", "exec \"$@\"");
        machine
    }

    fn path(&self, program: &str) -> PathBuf {
        self.folder.path().join(program)
    }

    /// Adds a program that records where and how it was called, and then runs this.
    fn program(&self, name: &str, does: &str) {
        let log = self.path("log");
        let text = format!(
            "#!{}\nprintf '%s|' \"$PWD\" {name} \"$@\" >>'{}'\nprintf '\\n' >>'{}'\n{does}\n",
            self.path("bash").display(),
            log.display(),
            log.display()
        );
        std::fs::write(self.path(name), text).expect("a program");
        std::fs::set_permissions(self.path(name), std::fs::Permissions::from_mode(0o755)).expect("a mode");
    }

    fn without(self, program: &str) -> Self {
        std::fs::remove_file(self.path(program)).expect("a program");
        self
    }

    /// Runs the text of a script on this machine.
    fn run(&self, args: &[&str]) -> Output {
        let mut command = Command::new(self.path("bash"));
        command.args(args).env_clear().env("PATH", self.folder.path()).env("HOME", self.folder.path()).current_dir(self.folder.path());
        command.output().expect("bash")
    }

    fn dev(&self) -> Output {
        let script = root().join("support/scripts/dev.sh");
        self.run(&[script.to_str().expect("text"), "--listen", "127.0.0.1:0", "a b"])
    }

    /// The recorded calls, one per line.
    fn log(&self) -> String {
        std::fs::read_to_string(self.path("log")).unwrap_or_default()
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn with_all_tools_the_script_only_starts_dev() {
    let machine = Machine::new();
    machine.program("apt-get", "");
    let output = machine.dev();
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(machine.log(), format!("{}|cargo|run|--quiet|--|dev|--listen|127.0.0.1:0|a b|\n", root().display()));
    assert!(!said(&output).contains("missing"), "{}", said(&output));
}

#[test]
fn a_missing_tool_is_named_and_installed() {
    for (manager, arguments) in [
        ("apt-get", "install|--yes|--no-install-recommends|build-essential|"),
        ("dnf", "install|--assumeyes|gcc|"),
        ("brew", "install|gcc|"),
    ] {
        let machine = Machine::new().without("cc");
        let cc = machine.path("cc");
        machine.program(
            manager,
            &format!(
                "[[ $1 == update ]] || {{ : >'{0}'; printf '#!{1}\\n' >'{0}'; /bin/chmod +x '{0}'; }}",
                cc.display(),
                machine.path("bash").display()
            ),
        );
        let output = machine.dev();
        assert!(output.status.success(), "{}", said(&output));
        assert!(said(&output).contains(&format!("cc is missing: installing it with {manager}")), "{}", said(&output));
        assert!(machine.log().contains(&format!("{manager}|{arguments}")), "{}", machine.log());
        assert!(machine.log().lines().last().expect("a call").contains("|cargo|run|"), "{}", machine.log());
        let calls = machine.log().lines().count();
        assert!(machine.dev().status.success());
        assert_eq!(machine.log().lines().count(), calls + 1, "the second time nothing is missing");
    }
}

#[test]
fn a_tool_that_cannot_be_installed_is_named() {
    let machine = Machine::new().without("cc");
    let output = machine.dev();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("cc is missing, and apt-get, dnf and brew are missing as well"), "{}", said(&output));

    machine.program("apt-get", "exit 100");
    assert!(!machine.dev().status.success(), "a package manager that fails ends it");
    machine.program("apt-get", "");
    let output = machine.dev();
    assert!(said(&output).contains("cc was installed, but is not on PATH"), "{}", said(&output));

    let output = Machine::new().without("cargo").dev();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("https://rustup.rs"), "{}", said(&output));
    assert!(!machine.log().contains("|cargo|"), "nothing was started");
}
