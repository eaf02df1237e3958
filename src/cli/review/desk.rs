//! The state of the full-screen review, and what each key does to it. Pure: it neither reads keys
//! nor calls the server.
//!
//! No single key decides: `a` and `r` open a form, and Enter in it sends the decision. What is
//! approved is the document on the screen.

use crate::cli::facts::text;
use crate::cli::pending::{Sort, asked_level};
use crate::cli::{consent, show};
use crate::domain::text::escaped;
use chrono::{DateTime, Utc};
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;

/// Lines that a key scrolls by.
const STRIDE: u16 = 10;

/// The whole screen.
#[derive(Debug, Default)]
pub struct Desk {
    /// Every waiting request, in order.
    items: Vec<Value>,
    /// The id of the selected request.
    chosen: Option<String>,
    /// That request, once it has been read.
    open: Option<Open>,
    pub scroll: u16,
    pub form: Option<Form>,
    pub helps: bool,
    pub search: String,
    /// The result of the last decision, or what went wrong.
    pub said: String,
}

/// A request that was read, as the screen shows it.
#[derive(Debug, Clone)]
pub struct Open {
    pub id: String,
    /// What the person reads.
    pub text: String,
    /// The digest of what is shown; an error if it cannot be approved.
    pub digest: Result<String, String>,
    /// What has to be typed before a critical request is approved.
    pub target: Option<String>,
    pub needs_justification: bool,
}

/// The form that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Form {
    pub kind: Kind,
    /// What is typed into each field.
    pub fields: Vec<Field>,
    /// The field with the cursor.
    pub at: usize,
    /// Why it was not sent.
    pub refused: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Approve,
    Reject,
    Search,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub label: String,
    pub text: String,
    pub required: bool,
    /// The only text that is accepted.
    pub only: Option<String>,
}

/// What the screen asks the rest of the program to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wish {
    Nothing,
    Quit,
    /// Read the waiting requests again.
    Refresh,
    Approve {
        id: String,
        digest: String,
        justification: Option<String>,
    },
    Reject {
        id: String,
        reason: Option<String>,
    },
}

impl Open {
    /// A request as the server returned it, with the digest of what the screen shows.
    pub fn of(workflow: &Value, text: String, digest: Result<String, String>) -> Self {
        Self {
            id: id_of(workflow).unwrap_or_default().to_owned(),
            text,
            digest,
            target: consent::is_critical(workflow).then(|| consent::target(workflow)),
            needs_justification: workflow.pointer("/approval/require_justification") == Some(&Value::Bool(true)),
        }
    }
}

impl Desk {
    /// Takes in the requests that wait now. The selected request stays selected even if it moved;
    /// if it is gone, the next one is selected.
    pub fn refresh(&mut self, mut items: Vec<Value>, now: DateTime<Utc>) {
        Sort::Level.sort(&mut items, now);
        let position = self.position().unwrap_or(0);
        self.items = items;
        if self.position().is_none() {
            let left = self.listed();
            let next = left.get(position.min(left.len().saturating_sub(1))).and_then(|item| id_of(item)).map(str::to_owned);
            if self.form.take_if(|form| form.kind != Kind::Search).is_some() {
                "The request that you were deciding no longer waits: nothing was sent.".clone_into(&mut self.said);
            }
            self.choose(next);
        }
    }

    /// The listed requests: all that wait, or those that match the search.
    pub fn listed(&self) -> Vec<&Value> {
        let words = self.search.to_lowercase();
        let fits = |item: &&Value| {
            let named = show::named(&item["target"]);
            let all = [text(item, "/requested_by"), text(item, "/description"), text(item, "/task_id"), id_of(item), Some(named.as_str())];
            all.into_iter().flatten().any(|text| text.to_lowercase().contains(&words))
        };
        self.items.iter().filter(fits).collect()
    }

    /// The position of the selected request in the list.
    pub fn position(&self) -> Option<usize> {
        self.listed().iter().position(|item| id_of(item) == self.chosen.as_deref())
    }

    /// The id of the selected request.
    pub fn chosen(&self) -> Option<&str> {
        self.chosen.as_deref()
    }

    /// Takes in a request that was read. If it is no longer what the person was deciding, that
    /// decision is not sent.
    pub fn read(&mut self, open: Open) {
        if self.open.as_ref().is_some_and(|before| before.id == open.id && before.digest != open.digest) {
            let decides = self.form.take_if(|form| form.kind != Kind::Search).is_some();
            let said = if decides {
                "The request changed while you were deciding: nothing was sent; read it again."
            } else {
                "The request changed: read it again."
            };
            said.clone_into(&mut self.said);
        }
        self.open = Some(open);
    }

    /// The selected request, if it has been read.
    pub fn shown(&self) -> Option<&Open> {
        self.open.as_ref().filter(|open| Some(open.id.as_str()) == self.chosen())
    }

    fn choose(&mut self, id: Option<String>) {
        if self.chosen != id {
            self.chosen = id;
            self.scroll = 0;
        }
    }

    fn step(&mut self, by: isize) {
        let listed = self.listed();
        let last = listed.len().saturating_sub(1);
        let position = self.position().map_or(0, |position| position.saturating_add_signed(by).min(last));
        let id = listed.get(position).and_then(|item| id_of(item)).map(str::to_owned);
        self.choose(id);
    }

    /// Pasted text goes into a form, on one line. Elsewhere it does nothing, so that no pasted text
    /// decides.
    pub fn paste(&mut self, pasted: &str) {
        if let Some(form) = &mut self.form {
            form.fields[form.at].text.extend(pasted.chars().map(|character| if character.is_control() { ' ' } else { character }));
        }
    }

    /// What a key does.
    pub fn key(&mut self, key: KeyEvent) -> Wish {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return if key.code == KeyCode::Char('c') { Wish::Quit } else { Wish::Nothing };
        }
        if self.form.is_some() {
            return self.key_in_form(key.code);
        }
        if std::mem::take(&mut self.helps) {
            return Wish::Nothing;
        }
        match key.code {
            KeyCode::Char('j' | 'e') | KeyCode::Down => self.step(1),
            KeyCode::Char('k') | KeyCode::Up => self.step(-1),
            KeyCode::Home => self.step(isize::MIN),
            KeyCode::End => self.step(isize::MAX),
            KeyCode::Char(' ') | KeyCode::PageDown | KeyCode::Enter => self.scroll = self.scroll.saturating_add(STRIDE),
            KeyCode::PageUp => self.scroll = self.scroll.saturating_sub(STRIDE),
            KeyCode::Char('?') => self.helps = true,
            KeyCode::Char('/') => self.form = Some(Form::search(&self.search)),
            KeyCode::Char('a') => self.approve(),
            KeyCode::Char('r') => self.reject(),
            KeyCode::Char('q') | KeyCode::Esc => return Wish::Quit,
            _ => {}
        }
        Wish::Nothing
    }

    fn approve(&mut self) {
        match self.shown().map(|open| (open.digest.clone(), Form::approve(open))) {
            None => "Not read yet: wait until the request is on the screen.".clone_into(&mut self.said),
            Some((Err(why), _)) => self.said = why,
            Some((Ok(_), form)) => self.form = Some(form),
        }
    }

    fn reject(&mut self) {
        match self.shown() {
            None => "Not read yet: wait until the request is on the screen.".clone_into(&mut self.said),
            Some(_) => self.form = Some(Form::reject()),
        }
    }

    fn key_in_form(&mut self, key: KeyCode) -> Wish {
        let Some(form) = &mut self.form else { return Wish::Nothing };
        match key {
            KeyCode::Esc => self.form = None,
            KeyCode::Tab | KeyCode::Down => form.at = (form.at + 1) % form.fields.len(),
            KeyCode::BackTab | KeyCode::Up => form.at = (form.at + form.fields.len() - 1) % form.fields.len(),
            KeyCode::Backspace => {
                form.fields[form.at].text.pop();
            }
            KeyCode::Char(character) => form.fields[form.at].text.push(character),
            KeyCode::Enter if form.at + 1 < form.fields.len() => form.at += 1,
            KeyCode::Enter => return self.send(),
            _ => {}
        }
        Wish::Nothing
    }

    /// Sends the form, if it is filled in correctly.
    fn send(&mut self) -> Wish {
        let Some(mut form) = self.form.take() else { return Wish::Nothing };
        if let Some((index, why)) = form.fields.iter().enumerate().find_map(|(index, field)| Some((index, field.lacks()?))) {
            form.at = index;
            form.refused = why;
            self.form = Some(form);
            return Wish::Nothing;
        }
        let written = form.fields.last().map(|field| field.text.trim().to_owned()).filter(|text| !text.is_empty());
        match (form.kind, self.shown()) {
            (Kind::Search, _) => {
                self.search = written.unwrap_or_default();
                if self.position().is_none() {
                    self.step(0);
                }
                Wish::Nothing
            }
            (Kind::Approve, Some(Open { id, digest: Ok(digest), .. })) => {
                Wish::Approve { id: id.clone(), digest: digest.clone(), justification: written }
            }
            (Kind::Reject, Some(open)) => Wish::Reject { id: open.id.clone(), reason: written },
            _ => Wish::Nothing,
        }
    }
}

impl Form {
    fn of(kind: Kind, fields: Vec<Field>) -> Self {
        Self { kind, fields, at: 0, refused: String::new() }
    }

    fn search(before: &str) -> Self {
        Self::of(Kind::Search, vec![Field { text: before.to_owned(), ..Field::free("Search", false) }])
    }

    fn approve(open: &Open) -> Self {
        let confirmation = open.target.as_ref().map(|target| Field {
            only: Some(target.clone()),
            ..Field::free(&format!("This is critical. Type its target, {target}"), true)
        });
        let why = if open.needs_justification { "Reason for approving" } else { "Reason for approving (optional)" };
        Self::of(Kind::Approve, confirmation.into_iter().chain([Field::free(why, open.needs_justification)]).collect())
    }

    fn reject() -> Self {
        Self::of(Kind::Reject, vec![Field::free("Reason for rejecting (optional)", false)])
    }
}

impl Field {
    fn free(label: &str, required: bool) -> Self {
        Self { label: label.to_owned(), text: String::new(), required, only: None }
    }

    /// What is wrong with the text in the form.
    fn lacks(&self) -> Option<String> {
        let written = self.text.trim();
        match &self.only {
            Some(only) if written != only => Some(format!("The target is {only}, and not \"{}\".", escaped(written))),
            _ if self.required && written.is_empty() => Some("This level requires a reason.".to_owned()),
            _ => None,
        }
    }
}

fn id_of(item: &Value) -> Option<&str> {
    text(item, "/workflow_id")
}

/// The result of a decision, in a line.
pub fn outcome(answer: &Value) -> String {
    let id = escaped(text(answer, "/workflow_id").unwrap_or("?"));
    match answer.get("approvals_remaining").and_then(Value::as_u64) {
        Some(more) if more > 0 => format!("Your approval of {id} counts; approvals still needed: {more}"),
        _ => format!(
            "{id}: {}",
            escaped(text(answer, "/workflow_status").or_else(|| text(answer, "/status")).unwrap_or("decided")).replace('_', " ")
        ),
    }
}

/// The number of waiting requests at each level.
pub fn counts(items: &[&Value]) -> Vec<(&'static str, usize)> {
    let count = |level: &str| items.iter().filter(|item| asked_level(item) == level).count();
    ["critical", "high", "medium", "low"].into_iter().map(|level| (level, count(level))).filter(|(_, count)| *count > 0).collect()
}

#[cfg(test)]
mod tests;
