//! `people` of the file: their roles, their addresses, and which notices they want.

use super::{no_role, valid_name};
use crate::config::freezes::{daily, moment, period, time_zone};
use crate::config::value::At;
use crate::config::{mail_address, names};
use crate::domain::hours::{DAY, Hours, Window};
use crate::domain::policy::{Attention, Away, Person, Quiet};
use crate::domain::risk::level::Level;
use crate::domain::text::shown;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

const KEYS: [&str; 7] = ["roles", "email", "slack", "linear", "team", "notify", "away"];

/// The people, and whether all of them could be read.
pub(super) fn read(at: &At<'_>, allow_cover: bool) -> (BTreeMap<String, Person>, bool) {
    let entries = at.entries("people: a name and { roles: [...] }");
    let (mut people, mut known) = (BTreeMap::new(), entries.is_some());
    let entries = entries.unwrap_or_default();
    for (name, at) in &entries {
        valid_name(name, at, people.keys());
        let person = person(at);
        known &= person.is_some();
        people.insert((*name).to_owned(), person.unwrap_or_default());
    }
    for (name, at) in &entries {
        no_role(name, at, &people);
        let away = at.entries_if_any().into_iter().find(|(key, _)| *key == "away").map(|(_, at)| at);
        if let Some(at) = away.as_ref().filter(|_| !allow_cover) {
            at.problem("has no effect, because nobody may be covered for; set allow_cover to true, or leave this out");
        }
        let away = away.and_then(|at| self::away(name, &at, &people));
        if let (Some(person), Some(away)) = (people.get_mut(*name), away) {
            person.away = allow_cover.then_some(away);
        }
    }
    (people, known)
}

/// One person; `None` if the roles cannot be read.
fn person(at: &At<'_>) -> Option<Person> {
    let fields = at.fields(&KEYS)?;
    let text = |key: &str| fields.get(key).and_then(|at| contact(&at));
    let email = fields.get("email").and_then(|at| at.parsed(mail_address::parse));
    let (slack, linear) = (text("slack"), text("linear"));
    let team = fields.get("team").and_then(|at| at.parsed(names::team));
    let notify = fields.get("notify").map(|at| attention(&at)).unwrap_or_default();
    let roles = fields.get("roles").map_or(Some(Vec::new()), |at| at.items("roles"))?;
    let roles: Vec<_> = roles.iter().map(|at| at.parsed(names::role)).collect();
    let roles: BTreeSet<_> = roles.into_iter().collect::<Option<_>>()?;
    Some(Person { roles, email, slack, linear, team, notify, away: None })
}

/// A person's address on a channel: text in one line.
fn contact(at: &At<'_>) -> Option<String> {
    let text = at.text()?;
    if text.is_empty() || text.chars().any(|character| character.is_whitespace() || character.is_control()) {
        at.problem("is not an address: write it without spaces, or leave the key out");
        return None;
    }
    Some(text.to_owned())
}

/// Until when somebody is away, and who covers for them.
fn away(name: &str, at: &At<'_>, people: &BTreeMap<String, Person>) -> Option<Away> {
    let fields = at.fields(&["until", "cover", "time_zone"])?;
    let zone = fields.get("time_zone").map_or_else(|| time_zone("UTC").ok(), |at| at.parsed(time_zone));
    let until = fields.required("until", "write the last day, such as 2027-01-02, or when the person is back, such as 2027-01-02T08:00");
    let until = until.and_then(|at| at.parsed(|text| moment(text, true)));
    let cover = fields.required("cover", "name the person who decides in their place").and_then(|at| {
        at.parsed(|text| match text {
            text if text == name => Err("is the person who is away; name somebody else".to_owned()),
            text if people.contains_key(text) => Ok(text.to_owned()),
            text => Err(format!(
                "`{}` is not one of the people: {}",
                shown(text),
                people.keys().map(String::as_str).collect::<Vec<_>>().join(", ")
            )),
        })
    });
    Some(Away { until: Hours::end(zone?, until?), cover: cover? })
}

/// Of which requests somebody wants notices, and when.
fn attention(at: &At<'_>) -> Attention {
    let Some(fields) = at.fields(&["levels", "quiet"]) else { return Attention::default() };
    if at.is_empty() {
        at.problem("says nothing; name levels or quiet hours, or leave it out");
    }
    let levels = fields.get("levels").map(|at| {
        if at.is_empty() {
            at.problem("names no level; name those of which this person wants notices, or leave the key out for all");
        }
        levels(&at)
    });
    Attention { levels, quiet: fields.get("quiet").and_then(|at| quiet(&at)) }
}

/// Levels, in order.
fn levels(at: &At<'_>) -> Vec<Level> {
    let named: Vec<Level> = at.items("levels").unwrap_or_default().iter().filter_map(At::level).collect();
    Level::ALL.into_iter().filter(|level| named.contains(level)).collect()
}

/// Quiet hours. By default, critical requests are excepted.
fn quiet(at: &At<'_>) -> Option<Quiet> {
    let fields = at.fields(&["hours", "time_zone", "except"])?;
    let hours = fields.required("hours", "write when notices to this person wait, such as 22:00-07:00").and_then(|at| {
        let (from, minutes) = at.parsed(period)?;
        if minutes == DAY {
            at.problem("is the whole day, so that quiet hours never end; write a part of it, such as 22:00-07:00");
        }
        Some((from, minutes))
    });
    let zone = fields.required("time_zone", "write their time zone, such as Europe/Berlin or UTC").and_then(|at| at.parsed(time_zone));
    let except = fields.get("except").map_or_else(|| vec![Level::Critical], |at| levels(&at));
    Some(Quiet { hours: Hours { window: daily(hours?), zone: zone? }, except })
}

/// A person as part of the document of the configuration. Keys that are left out are not included,
/// so that older configurations keep their version.
pub(super) fn document(person: &Person) -> Value {
    let mut document = json!({ "roles": person.roles, "email": person.email, "slack": person.slack, "linear": person.linear });
    if let Some(team) = &person.team {
        document["team"] = json!(team);
    }
    if let Some(levels) = &person.notify.levels {
        document["notify"]["levels"] = json!(levels);
    }
    if let Some(Quiet { hours, except }) = &person.notify.quiet
        && let Window::Weekly { from, minutes, .. } = &hours.window
    {
        document["notify"]["quiet"] = json!({ "from": from, "minutes": minutes, "time_zone": hours.zone.name(), "except": except });
    }
    if let Some(Away { until, cover }) = &person.away {
        document["away"] = json!({ "until": until, "cover": cover });
    }
    document
}
