//! The full-screen review on a real terminal: reads keys, calls the server, and does what the
//! screen asks for.

use super::desk::{Desk, Open, Wish, outcome};
use super::draw::draw;
use crate::cli::client::Client;
use crate::cli::pending::{self, Filter};
use crate::cli::terminal::{Page, is_terminal};
use crate::cli::{Error, approve, show, status, times};
use ratatui::crossterm::event::{self, DisableBracketedPaste, EnableBracketedPaste, Event, KeyEventKind};
use ratatui::crossterm::execute;
use reqwest::Method;
use serde_json::{Value, json};
use std::io::{self, IsTerminal as _};
use std::process::ExitCode;
use std::time::Duration;
use tokio::sync::mpsc;
use uuid::Uuid;

/// How often the waiting requests are read again.
const PAUSE: Duration = Duration::from_secs(2);

/// How often the reader of keys checks whether they are still needed.
const LOOK_UP: Duration = Duration::from_millis(100);

/// Keys that are buffered during a call to the server; the terminal keeps any further ones.
const EVENTS: usize = 64;

/// Shows the screen until the person leaves it.
///
/// # Errors
/// There is no terminal, or the server does not answer at the start.
pub async fn run(client: Client, filter: Filter) -> Result<ExitCode, Error> {
    if !is_terminal() || !io::stdin().is_terminal() {
        return Err(Error::Usage(
            "the full-screen review needs a terminal: use `parkbrake pending` and `parkbrake approve ID` here".to_owned(),
        ));
    }
    let mut desk = Desk::default();
    // Reports a server that does not answer before the screen is switched.
    desk.refresh(pending::read(&client, &filter, |_| Ok(())).await?, times::now());
    let mut terminal = ratatui::try_init().map_err(Error::Output)?;
    let pasting = execute!(io::stdout(), EnableBracketedPaste);
    let left = follow(&mut terminal, &client, &filter, &mut desk).await;
    if pasting.is_ok() {
        let _ = execute!(io::stdout(), DisableBracketedPaste);
    }
    ratatui::restore();
    left?;
    Ok(ExitCode::SUCCESS)
}

async fn follow(terminal: &mut ratatui::DefaultTerminal, client: &Client, filter: &Filter, desk: &mut Desk) -> Result<(), Error> {
    let mut events = read_events();
    let mut tick = tokio::time::interval(PAUSE);
    loop {
        open_chosen(client, desk).await;
        terminal.draw(|frame| draw(frame, desk, times::now())).map_err(Error::Output)?;
        let wish = tokio::select! {
            event = events.recv() => match event {
                // The terminal is gone.
                None => return Ok(()),
                Some(Event::Key(key)) if key.kind != KeyEventKind::Release => desk.key(key),
                Some(Event::Paste(text)) => {
                    desk.paste(&text);
                    Wish::Nothing
                }
                Some(_) => Wish::Nothing,
            },
            _ = tick.tick() => Wish::Refresh,
        };
        match wish {
            Wish::Nothing => {}
            Wish::Quit => return Ok(()),
            Wish::Refresh => refresh(client, filter, desk).await,
            Wish::Approve { id, digest, justification } => {
                let mut body = json!({"digest": digest});
                if let Some(justification) = justification {
                    body["justification"] = justification.into();
                }
                decide(client, filter, desk, &format!("/workflows/{id}/approve"), &body).await;
                forget(&mut events);
            }
            Wish::Reject { id, reason } => {
                let body = reason.map_or_else(|| json!({}), |reason| json!({"reason": reason}));
                decide(client, filter, desk, &format!("/workflows/{id}/reject"), &body).await;
                forget(&mut events);
            }
        }
    }
}

/// Keys as they are pressed, until the receiver is dropped.
fn read_events() -> mpsc::Receiver<Event> {
    let (sender, receiver) = mpsc::channel(EVENTS);
    tokio::task::spawn_blocking(move || {
        while !sender.is_closed() {
            match event::poll(LOOK_UP) {
                Ok(false) => {}
                Ok(true) if event::read().is_ok_and(|event| sender.blocking_send(event).is_ok()) => {}
                _ => return,
            }
        }
    });
    receiver
}

/// Reads the selected request, if it has not been read yet or may have changed.
async fn open_chosen(client: &Client, desk: &mut Desk) {
    if desk.shown().is_some() {
        return;
    }
    let Some(id) = desk.chosen().and_then(|id| id.parse().ok()) else { return };
    match read(client, id).await {
        Ok(open) => desk.read(open),
        Err(error) => desk.said = error.to_string(),
    }
}

async fn read(client: &Client, id: Uuid) -> Result<Open, Error> {
    let answer = status::read(client, id).await?;
    let workflow = answer.workflow();
    let mut page = Page::plain();
    show::request(&mut page, workflow);
    Ok(Open::of(workflow, page.text().to_owned(), approve::digest_of(workflow).map_err(|error| error.to_string())))
}

async fn refresh(client: &Client, filter: &Filter, desk: &mut Desk) {
    match pending::read(client, filter, |_| Ok(())).await {
        Ok(items) => desk.refresh(items, times::now()),
        Err(error) => desk.said = error.to_string(),
    }
    if let Some(id) = desk.chosen().and_then(|id| id.parse().ok())
        && let Ok(open) = read(client, id).await
    {
        desk.read(open);
    }
}

/// Sends a decision, shows its result, and goes on to the next request.
async fn decide(client: &Client, filter: &Filter, desk: &mut Desk, path: &str, body: &Value) {
    let sent = client.send(client.call(Method::POST, path).json(body)).await;
    let said = sent.map_or_else(|error| error.to_string(), |answer| outcome(&answer.value));
    refresh(client, filter, desk).await;
    desk.said = said;
}

/// Drops the keys that were pressed during a decision: they were not meant for the request that is
/// shown next.
fn forget(events: &mut mpsc::Receiver<Event>) {
    while events.try_recv().is_ok() {}
}
