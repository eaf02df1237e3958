//! `parkbrake review`, on a real terminal.

use super::stub::{Stub, task};
use super::terminal::start;
use super::{critical, ran};
use crate::stub::ID;
use serde_json::json;
use std::fs::File;
use std::io::{Read, Write};

/// The contents of a terminal after this output.
struct Screen {
    terminal: File,
    parser: vt100::Parser,
}

impl Screen {
    fn of(terminal: File) -> Self {
        Self { terminal, parser: vt100::Parser::new(24.try_into().unwrap(), 100.try_into().unwrap(), 0) }
    }

    fn press(&mut self, keys: &[u8]) {
        self.terminal.write_all(keys).unwrap();
    }

    /// Reads until a text appears.
    #[track_caller]
    fn until(&mut self, text: &str) {
        let mut part = [0; 4096];
        while !self.parser.screen().contents().contains(text) {
            match self.terminal.read(&mut part) {
                Ok(read) if read > 0 => self.parser.process(&part[..read]),
                ended => panic!("{ended:?} before {text:?}: {}", self.parser.screen().contents()),
            }
        }
    }
}

#[test]
fn review_approves_by_the_digest_of_what_was_shown() {
    let stub = Stub::start();
    let (mut child, terminal) = start(&stub, &["review", "--mine"], "xterm");
    let mut screen = Screen::of(terminal);
    screen.until("support/runbooks/deploy.sh");
    screen.press(b"a");
    screen.until("Enter approves exactly what is shown above");
    screen.press(b"green\r");
    screen.until("000000000001: executing");
    stub.on("GET /workflows/pending", 200, &json!({"success": true, "workflows": [], "next_cursor": null}));
    screen.until("Nothing waits");
    assert_eq!(stub.last("POST").json(), json!({"digest": task().digest(), "justification": "green"}));
    assert!(stub.calls().iter().any(|call| call.query.contains("mine=true")));
    screen.press(b"q");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_critical_request_is_not_approved_before_its_target_is_typed() {
    let stub = Stub::start();
    stub.on(&format!("GET /workflows/{ID}/status"), 200, &critical());
    let (mut child, terminal) = start(&stub, &["review"], "xterm");
    let mut screen = Screen::of(terminal);
    screen.until("support/runbooks/deploy.sh");
    screen.press(b"a");
    screen.until("Type its target");
    screen.press(b"db-stage\r\r");
    screen.until("The target is db-prod, and not \"db-stage\".");
    assert!(stub.called().iter().all(|what| what.starts_with("GET")), "{:?}", stub.called());
    screen.press(&[3]);
    assert_eq!(child.wait().unwrap().code(), Some(0), "Ctrl-C leaves");
}

#[test]
fn without_a_terminal_review_names_the_alternative() {
    ran(&Stub::start(), &["review"]).failed(2, &["needs a terminal", "parkbrake pending"]);
}
