//! Runs a command on a terminal.

use super::parkbrake;
use super::stub::Stub;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};
use std::fs::File;
use std::io::{Read, Write};
use std::process::Child;

/// Runs a command on a terminal and types this text: returns its exit status and the contents of
/// the terminal.
pub fn on_a_terminal(stub: &Stub, args: &[&str], typed: &str) -> (Option<i32>, String) {
    let (mut child, mut ours) = start(stub, args, "dumb");
    ours.write_all(typed.as_bytes()).unwrap();
    let mut shown = Vec::new();
    let _ = ours.read_to_end(&mut shown);
    (child.wait().unwrap().code(), String::from_utf8_lossy(&shown).into_owned())
}

/// Starts a command on a terminal of 24 lines and 100 columns, and returns the other end.
pub fn start(stub: &Stub, args: &[&str], term: &str) -> (Child, File) {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&ours).unwrap();
    unlockpt(&ours).unwrap();
    tcsetwinsize(&ours, Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
    let name = ptsname(&ours, Vec::new()).unwrap().into_string().unwrap();
    let open = || std::fs::OpenOptions::new().read(true).write(true).open(&name).unwrap();
    let mut command = parkbrake(stub, args);
    // After this, only the command holds the terminal, so that it closes when the command ends.
    let child = command.env("TERM", term).stdin(open()).stdout(open()).stderr(open()).spawn().unwrap();
    (child, File::from(ours))
}
