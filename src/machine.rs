//! Identifies this machine and this process, so that a server can tell whether another server that
//! ran here has ended.
//!
//! Process ids are reused, and are unique only within one running system and one process namespace.
//! So a process is identified by all of these and by its start time. Only Linux provides them.

use std::fs;

/// Identifies one process for as long as its system runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessName {
    /// The running system and its process namespace.
    pub machine: String,
    pub pid: i32,
    /// In clock ticks since the system started.
    pub started: u64,
}

impl ProcessName {
    /// This process; `None` if the operating system does not provide the data.
    #[cfg(target_os = "linux")]
    pub fn own() -> Option<Self> {
        let pid = i32::try_from(std::process::id()).ok()?;
        let started = crate::procfs::with_ancestors(pid).first()?.started;
        Some(Self { machine: machine()?, pid, started })
    }

    #[cfg(not(target_os = "linux"))]
    pub fn own() -> Option<Self> {
        None
    }

    /// Whether this process has certainly ended: it ran on this machine, in this process namespace,
    /// and no longer exists.
    #[cfg(target_os = "linux")]
    pub fn is_gone(&self) -> bool {
        // A namespace's number is reused only when none of its processes is left, and then this one
        // has ended, too.
        machine().is_some_and(|here| here == self.machine)
            && !crate::procfs::all().iter().any(|process| process.pid == self.pid && process.started == self.started)
    }

    #[cfg(not(target_os = "linux"))]
    pub fn is_gone(&self) -> bool {
        false
    }
}

/// Changes with each start of the system and differs between process namespaces.
#[cfg(target_os = "linux")]
fn machine() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::read_link("/proc/self/ns/pid").ok()?;
    Some(format!("{} {}", boot.trim(), namespace.display()))
}

/// The name of this machine, for people to read.
pub fn host_name() -> String {
    let name = fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    if name.trim().is_empty() { "unknown".to_owned() } else { name.trim().to_owned() }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    fn name_of(pid: u32) -> ProcessName {
        let pid = i32::try_from(pid).unwrap();
        ProcessName { pid, started: crate::procfs::with_ancestors(pid)[0].started, ..ProcessName::own().unwrap() }
    }

    #[test]
    fn a_process_is_gone_once_it_was_killed_also_before_its_parent_has_noticed() {
        let mut child = Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap();
        let name = name_of(child.id());
        assert!(!name.is_gone());
        assert!(!ProcessName::own().unwrap().is_gone());
        child.kill().unwrap();
        let began = std::time::Instant::now();
        while !name.is_gone() {
            assert!(began.elapsed().as_secs() < 10);
        }
        child.wait().unwrap();
    }

    #[test]
    fn another_process_with_the_same_number_is_not_the_same() {
        let own = ProcessName::own().unwrap();
        assert!(ProcessName { started: own.started + 1, ..own }.is_gone());
    }

    #[test]
    fn of_another_machine_nothing_is_known() {
        let own = ProcessName::own().unwrap();
        assert!(!ProcessName { machine: "elsewhere".to_owned(), started: 1, ..own }.is_gone());
    }
}
