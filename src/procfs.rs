//! The processes of this machine, as Linux shows them under `/proc`.

use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open, pidfd_send_signal};
use std::fs;

/// A running process. Its id alone does not identify it, because ids are reused; together with its
/// start time it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    pub pid: i32,
    pub parent: i32,
    pub group: i32,
    /// In clock ticks since the machine started.
    pub started: u64,
}

/// All processes, except zombies.
pub fn all() -> Vec<Process> {
    let numbers = fs::read_dir("/proc").into_iter().flatten().flatten();
    numbers.filter_map(|entry| Process::read(entry.file_name().to_str()?.parse().ok()?)).collect()
}

/// The process with this id and its ancestors.
pub fn with_ancestors(pid: i32) -> Vec<Process> {
    std::iter::successors(Process::read(pid), |process| Process::read(process.parent)).collect()
}

impl Process {
    /// The process that has this id now.
    fn read(pid: i32) -> Option<Self> {
        Self::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// Parses `pid (name) state parent group …`, where the name may contain anything, even
    /// parentheses.
    fn parse(pid: i32, stat: &str) -> Option<Self> {
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        let alive = !matches!(*fields.first()?, "Z" | "X");
        let process =
            Self { pid, parent: fields.get(1)?.parse().ok()?, group: fields.get(2)?.parse().ok()?, started: fields.get(19)?.parse().ok()? };
        alive.then_some(process)
    }

    /// Its initial environment, `NAME=value` with a NUL after each; empty if it may not be read.
    pub fn environment(&self) -> Vec<u8> {
        fs::read(format!("/proc/{}/environ", self.pid)).unwrap_or_default()
    }

    /// The name of its program, of which Linux keeps 15 bytes; empty if it has ended.
    pub fn name(&self) -> String {
        fs::read_to_string(format!("/proc/{}/comm", self.pid)).unwrap_or_default().trim_end().to_owned()
    }

    /// Sends it a signal, and never to another process that has got its id in the meantime.
    pub fn signal(&self, signal: Signal) {
        let Some(pid) = Pid::from_raw(self.pid) else { return };
        match pidfd_open(pid, PidfdFlags::empty()) {
            // The handle refers to the process that had the id when it was opened.
            Ok(handle) if self.is_alive() => drop(pidfd_send_signal(handle, signal)),
            // Kernels before 5.3.
            Err(Errno::NOSYS) if self.is_alive() => drop(kill_process(pid, signal)),
            _ => (),
        }
    }

    fn is_alive(&self) -> bool {
        Self::read(self.pid).is_some_and(|now| now.started == self.started)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_hold_anything() {
        let stat = "7 (a) S 1 (b)) S 3 5 5 0 -1 4194304 1 2 3 4 5 6 7 8 20 0 1 0 12345 0 0";
        assert_eq!(Process::parse(7, stat), Some(Process { pid: 7, parent: 3, group: 5, started: 12345 }));
        assert_eq!(Process::parse(7, &stat.replace(") S 3", ") Z 3")), None);
        assert_eq!(Process::parse(7, "nonsense"), None);
    }

    #[test]
    fn this_process_is_among_all() {
        let own = i32::try_from(std::process::id()).unwrap();
        assert!(all().iter().any(|process| process.pid == own));
        assert_eq!(with_ancestors(own).first().map(|process| process.pid), Some(own));
    }
}
