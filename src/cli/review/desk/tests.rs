use super::*;
use crate::cli::review::draw::draw;
use crate::cli::times;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::json;

fn item(id: &str, level: &str) -> Value {
    json!({"workflow_id": id, "risk_level": level, "requested_at": "2026-11-27T06:00:00Z", "requested_by": "bot\u{1b}[2J", "description": "words",
        "approvers": ["team_lead"], "required": 1, "approvals": 0, "timetable": [],
        "target": {"operation": "deploy", "resource": format!("service-{id}"), "environment": "production", "differs": []}})
}

fn now() -> DateTime<Utc> {
    times::read("2026-11-27T07:00:00Z").unwrap()
}

fn open(id: &str, target: Option<&str>) -> Open {
    Open {
        id: id.to_owned(),
        text: format!("what {id} would run"),
        digest: Ok(format!("sha256:{id}")),
        target: target.map(str::to_owned),
        needs_justification: false,
    }
}

/// Three requests: `c` is critical, `a` and `b` high.
fn desk() -> Desk {
    let mut desk = Desk::default();
    desk.refresh(vec![item("a", "high"), item("b", "high"), item("c", "critical")], now());
    desk
}

fn press(desk: &mut Desk, keys: &str) -> Wish {
    let code = |key: char| match key {
        '\n' => KeyCode::Enter,
        '\u{1b}' => KeyCode::Esc,
        '\t' => KeyCode::Tab,
        other => KeyCode::Char(other),
    };
    keys.chars().map(|key| desk.key(KeyEvent::new(code(key), KeyModifiers::NONE))).last().unwrap_or(Wish::Nothing)
}

#[test]
fn no_single_key_decides() {
    let every = (' '..='~').map(KeyCode::Char).chain([KeyCode::Enter, KeyCode::Tab, KeyCode::Delete, KeyCode::Backspace, KeyCode::F(1)]);
    for code in every {
        let mut desk = desk();
        desk.read(open("c", None));
        let wish = desk.key(KeyEvent::new(code, KeyModifiers::NONE));
        assert!(matches!(wish, Wish::Nothing | Wish::Quit), "{code:?}: {wish:?}");
    }
}

#[test]
fn the_desk_approves_only_what_the_screen_shows() {
    let mut desk = desk();
    assert_eq!(press(&mut desk, "a\n"), Wish::Nothing, "it was not read yet");
    desk.read(open("c", None));
    let approve = Wish::Approve { id: "c".to_owned(), digest: "sha256:c".to_owned(), justification: Some("tests are green".to_owned()) };
    assert_eq!(press(&mut desk, "atests are green\n"), approve);
    assert_eq!(press(&mut desk, "ja\n"), Wish::Nothing, "the next one was not read yet");
    desk.read(Open { digest: Err("it is not what the server names".to_owned()), ..open("a", None) });
    assert_eq!((press(&mut desk, "a\n"), desk.said.as_str()), (Wish::Nothing, "it is not what the server names"));
    assert_eq!(press(&mut desk, "rno\n"), Wish::Reject { id: "a".to_owned(), reason: Some("no".to_owned()) });
}

#[test]
fn a_request_that_changes_or_goes_while_it_is_decided_is_not_decided() {
    let mut desk = desk();
    desk.read(open("c", None));
    press(&mut desk, "ayes");
    desk.read(Open { digest: Ok("sha256:other".to_owned()), ..open("c", None) });
    assert!(desk.form.is_none() && desk.said.contains("changed while you were deciding"), "{desk:?}");
    press(&mut desk, "a");
    desk.refresh(vec![item("a", "high"), item("b", "high")], now());
    assert!(desk.form.is_none() && desk.said.contains("nothing was sent"), "{desk:?}");
    assert_eq!(desk.chosen(), Some("a"), "the next one");
}

#[test]
fn a_critical_request_is_approved_by_typing_its_target() {
    let mut desk = desk();
    desk.read(open("c", Some("db-prod")));
    assert_eq!(press(&mut desk, "adb-stage\nwhy\n"), Wish::Nothing);
    assert!(desk.form.as_ref().unwrap().refused.contains("The target is db-prod"), "{desk:?}");
    press(&mut desk, "\u{1b}");
    assert!(matches!(press(&mut desk, "adb-prod\nwhy\n"), Wish::Approve { .. }));
    desk.read(Open { needs_justification: true, ..open("c", None) });
    assert_eq!(press(&mut desk, "a  \n"), Wish::Nothing, "a reason is required");
}

#[test]
fn pasted_text_decides_nothing() {
    let mut desk = desk();
    desk.read(open("c", None));
    desk.paste("a\n");
    assert!(desk.form.is_none());
    press(&mut desk, "a");
    desk.paste("one\ntwo\n");
    assert_eq!(desk.form.as_ref().unwrap().fields[0].text, "one two ");
}

#[test]
fn the_list_is_searched_and_what_is_looked_at_stays() {
    let mut desk = desk();
    assert_eq!(desk.chosen(), Some("c"), "the most dangerous first");
    press(&mut desk, "jj");
    assert_eq!(desk.chosen(), Some("b"));
    desk.refresh(vec![item("x", "critical"), item("b", "high"), item("a", "high")], now());
    assert_eq!((desk.chosen(), desk.position()), (Some("b"), Some(1)));
    press(&mut desk, "/service-A\n");
    assert_eq!((desk.chosen(), desk.listed().len()), (Some("a"), 1));
    press(&mut desk, "/nothing like it\n");
    assert_eq!((desk.chosen(), desk.position()), (None, None));
}

#[test]
fn the_screen_fits_a_small_terminal_and_shows_nothing_raw() {
    for (width, height) in [(80, 24), (40, 12), (20, 5), (1, 1)] {
        let mut desk = desk();
        desk.read(open("c", Some("db-prod")));
        for keys in ["", "a", "\u{1b}?", "\n/"] {
            press(&mut desk, keys);
            let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
            terminal.draw(|frame| draw(frame, &desk, now())).unwrap();
        }
    }
    let mut desk = desk();
    desk.read(open("c", None));
    let mut terminal = Terminal::new(TestBackend::new(100, 20)).unwrap();
    terminal.draw(|frame| draw(frame, &desk, now())).unwrap();
    let shown: String = terminal.backend().buffer().content().iter().map(ratatui::buffer::Cell::symbol).collect();
    for part in [
        "1 of 3",
        "1 critical",
        "2 high",
        "CRITICAL   1h  deploy service-c in production",
        "by bot<U+001B>[2J",
        "what c would run",
        "? help",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}
