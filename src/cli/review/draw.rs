//! The layout of the full-screen review: the waiting requests above, what would run in the middle,
//! the form or the keys below.

use super::desk::{Desk, Form, Kind, counts};
use crate::cli::facts::text;
use crate::cli::pending::asked_level;
use crate::cli::{id, pending, times};
use crate::domain::text::escaped;
use chrono::{DateTime, Utc};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span, Text};
use ratatui::widgets::{Block, Borders, Clear, List, ListItem, ListState, Paragraph, Wrap};
use serde_json::Value;

/// The most lines of the screen for the list.
const LIST: u16 = 10;

const KEYS: &str = "j k next, previous · space scroll · a approve · r reject · / search · ? help · q quit";

const HELP: &str = "j, Down, e      the next request
k, Up           the one before
Home, End       the first, the last
Space, PageDown scroll down; PageUp scrolls up
a               approve: opens a form, Enter sends it
r               reject: opens a form, Enter sends it
Tab             the next field of a form; Esc leaves it
/               search in what waits
q, Esc          quit

No single key decides. You approve exactly what is on the
screen, by its digest.

Press any key.";

/// Draws the whole screen.
pub fn draw(frame: &mut Frame<'_>, desk: &Desk, now: DateTime<Utc>) {
    let listed = desk.listed();
    let form_lines = desk.form.as_ref().map_or(1, |form| u16::try_from(form.fields.len()).unwrap_or(1) + 2);
    let list_lines = u16::try_from(listed.len()).unwrap_or(LIST).clamp(1, LIST);
    let rows =
        [Constraint::Length(1), Constraint::Length(list_lines), Constraint::Min(3), Constraint::Length(1), Constraint::Length(form_lines)];
    let [head, above, middle, said, below] = Layout::vertical(rows).areas(frame.area());

    frame.render_widget(heading(desk, &listed), head);
    draw_list(frame, above, desk, &listed, now);
    let shown = desk.shown().map_or("", |open| open.text.as_str());
    let detail = Paragraph::new(Text::from(shown)).wrap(Wrap { trim: false }).scroll((desk.scroll, 0));
    frame.render_widget(detail.block(Block::new().borders(Borders::TOP | Borders::BOTTOM)), middle);
    frame.render_widget(Line::from(desk.said.as_str()).style(Style::new().add_modifier(Modifier::BOLD)), said);
    match &desk.form {
        Some(form) => draw_form(frame, below, form),
        None => frame.render_widget(Line::from(KEYS).style(Style::new().add_modifier(Modifier::DIM)), below),
    }
    if desk.helps {
        draw_help(frame);
    }
}

fn heading(desk: &Desk, listed: &[&Value]) -> Line<'static> {
    let position = desk.position().map_or_else(|| "Nothing waits".to_owned(), |position| format!("{} of {}", position + 1, listed.len()));
    let mut spans = vec![Span::styled(format!("parkbrake review   {position}"), Style::new().add_modifier(Modifier::BOLD))];
    for (level, count) in counts(listed) {
        spans.push(Span::styled(format!("   {count} {level}"), of_level(level)));
    }
    if !desk.search.is_empty() {
        spans.push(Span::from(format!("   search: {}", escaped(&desk.search))));
    }
    Line::from(spans)
}

fn draw_list(frame: &mut Frame<'_>, area: Rect, desk: &Desk, listed: &[&Value], now: DateTime<Utc>) {
    let rows = listed.iter().map(|item| ListItem::new(row(item, now)));
    let chosen = Style::new().add_modifier(Modifier::REVERSED);
    let mut state = ListState::default().with_selected(desk.position());
    frame.render_stateful_widget(List::new(rows).highlight_style(chosen), area, &mut state);
}

fn row(item: &Value, now: DateTime<Utc>) -> Line<'static> {
    let word = |pointer: &str| escaped(text(item, pointer).unwrap_or("?"));
    let level = asked_level(item);
    let age = text(item, "/requested_at").and_then(times::read).map_or_else(|| "?".to_owned(), |at| times::size(now - at));
    let what = pending::what(item);
    Line::from(vec![
        Span::styled(format!("{:<8}", escaped(level).to_uppercase()), of_level(level)),
        Span::from(format!(" {age:>4}  ")),
        Span::styled(what.text, if what.differs { of_level("high") } else { Style::new() }),
        Span::from(format!("  by {}  asks {}  {}", word("/requested_by"), pending::needs(item).0, id::short(&word("/workflow_id")))),
    ])
}

fn draw_form(frame: &mut Frame<'_>, area: Rect, form: &Form) {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for (index, field) in form.fields.iter().enumerate() {
        let is_here = index == form.at;
        let label = format!("{}{}: ", if is_here { "> " } else { "  " }, field.label);
        let typed = format!("{}{}", escaped(&field.text), if is_here { "▏" } else { "" });
        let style = if is_here { Style::new().add_modifier(Modifier::BOLD) } else { Style::new() };
        lines.push(Line::from(vec![Span::styled(label, style), Span::from(typed)]));
    }
    lines.push(Line::styled(escaped(&form.refused), of_level("high")));
    let does = match form.kind {
        Kind::Approve => "Enter approves exactly what is shown above · Esc goes back",
        Kind::Reject => "Enter rejects it · Esc goes back",
        Kind::Search => "Enter searches · Esc goes back",
    };
    lines.push(Line::styled(does, Style::new().add_modifier(Modifier::DIM)));
    frame.render_widget(Paragraph::new(lines), area);
}

fn draw_help(frame: &mut Frame<'_>) {
    let lines = u16::try_from(HELP.lines().count()).unwrap_or(u16::MAX);
    let area = frame.area();
    let area = area.centered(Constraint::Length(62.min(area.width)), Constraint::Length((lines + 2).min(area.height)));
    frame.render_widget(Clear, area);
    frame.render_widget(Paragraph::new(HELP).block(Block::bordered().title(" Keys ")), area);
}

fn of_level(level: &str) -> Style {
    match level {
        "low" => Style::new().fg(Color::Green),
        "medium" => Style::new().fg(Color::Yellow),
        "high" => Style::new().fg(Color::Red),
        // A level that this version does not know may be a worse one.
        _ => Style::new().fg(Color::Magenta).add_modifier(Modifier::BOLD),
    }
}
