//! Going through the waiting requests one after the other: a request's position in the list that it
//! was opened from, its neighbors, and the result of the last decision.

use crate::domain::risk::target::Target;
use crate::http::problem::Problem;
use crate::web::Web;
use crate::web::csrf;
use crate::web::form::{Fields, address};
use crate::web::record;
use crate::web::selection::Selection;
use crate::web::session::Session;
use serde::Serialize;
use uuid::Uuid;

/// How far into a list a person can go.
const MOST: usize = 1_000;

/// The list that a request was opened from, seen from that request.
#[derive(Debug, Serialize)]
pub struct Walk {
    /// The list, as the forms of the page carry it along.
    carried: String,
    /// The address of the request, with its list.
    here: String,
    /// Its position, from 1; none if it is no longer in this list.
    position: Option<usize>,
    total: String,
    previous: Option<String>,
    next: Option<String>,
    list: String,
}

/// What the person did last, shown on the next page.
#[derive(Debug, Serialize)]
pub struct Last {
    done: String,
    id: Uuid,
    headline: String,
    called: Option<String>,
    status_word: &'static str,
    status_words: String,
}

impl Walk {
    /// The position of a request, if its page was opened from a list.
    ///
    /// # Errors
    /// The list is invalid, or the database is unavailable.
    pub async fn of(web: &Web, session: &Session, id: Uuid, carried: Option<&str>) -> Result<Option<Self>, Problem> {
        let Some(selection) = carried.map(Selection::carried_by).transpose()? else { return Ok(None) };
        let ids = selection.ids(web, session, MOST + 1).await?;
        let address_of = |id: &Uuid| address_of(*id, Some(&selection), &[]);
        let position = ids.iter().position(|one| *one == id);
        let (previous, next) = match position {
            Some(position) => (position.checked_sub(1).and_then(|before| ids.get(before)), ids.get(position + 1)),
            None => (None, ids.first()),
        };
        Ok(Some(Self {
            carried: selection.carried(),
            here: address_of(&id),
            position: position.map(|position| position + 1),
            total: if ids.len() > MOST { format!("{MOST}+") } else { ids.len().to_string() },
            previous: previous.map(address_of),
            next: next.map(address_of),
            list: selection.address(None),
        }))
    }
}

/// The address of a request's page, with the list that it is opened from.
pub fn address_of(id: Uuid, from: Option<&Selection>, more: &[(&str, &str)]) -> String {
    let carried = from.map(Selection::carried);
    let mut parameters = vec![("in", carried.as_deref())];
    parameters.extend(more.iter().map(|(name, value)| (*name, Some(*value))));
    address(&format!("/inbox/workflows/{id}"), &parameters)
}

/// Where a person goes after deciding a request.
pub struct Onward(Option<(Selection, Option<Uuid>)>);

impl Onward {
    /// The request after this one in the list that it was opened from, or the first that is left.
    /// It has to be found before the decision, which takes the request out of the list.
    ///
    /// # Errors
    /// The form names an invalid list.
    pub async fn of(web: &Web, session: &Session, id: Uuid, fields: &Fields) -> Result<Self, Problem> {
        let Some(selection) = fields.one("in")?.map(Selection::carried_by).transpose()? else { return Ok(Self(None)) };
        // A decision is not refused because its successor cannot be found.
        let ids = selection.ids(web, session, MOST + 1).await.unwrap_or_default();
        let after = ids.iter().position(|one| *one == id).and_then(|position| ids.get(position + 1));
        let next = after.or_else(|| ids.first().filter(|first| **first != id)).copied();
        Ok(Self(Some((selection, next))))
    }

    /// The page that follows the decision: the next request, or the list if nothing is left, with a
    /// proof of what was done; or the page of the request itself if it was not opened from a list.
    pub fn after(&self, session: &Session, fields: &Fields, id: Uuid, done: &str) -> String {
        let Some((selection, next)) = &self.0 else { return after(session, fields, id, done) };
        // Whoever decided in a table of the list goes on there.
        let next = next.filter(|_| !matches!(fields.one("back"), Ok(Some("list"))));
        let (id, seal) = (id.to_string(), csrf::seal(session.id(), &receipt(id, done)));
        let more = [("last", id.as_str()), ("done", done), ("seal", &seal)];
        match next {
            Some(next) => address_of(next, Some(selection), &more),
            None => {
                let rest = address("", &more.map(|(name, value)| (name, Some(value))));
                format!("/?{}&{}", selection.carried(), rest.trim_start_matches('?'))
            }
        }
    }
}

/// Where a browser goes after a decision, to see its result. Only this server can make such an
/// address, and only for this session: nobody can send a person a link that claims that they
/// approved something.
pub fn after(session: &Session, fields: &Fields, id: Uuid, done: &str) -> String {
    let seal = csrf::seal(session.id(), &receipt(id, done));
    let carried = fields.one("in").ok().flatten();
    address(&format!("/inbox/workflows/{id}"), &[("in", carried), ("done", Some(done)), ("seal", Some(&seal))])
}

/// The text to seal for something that was done to a request.
pub fn receipt(id: Uuid, done: &str) -> String {
    format!("{id} {done}")
}

impl Last {
    /// What an address says was done to another request, if this session did it.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn of(web: &Web, session: &Session, query: &Fields) -> Result<Option<Self>, Problem> {
        let (Some(id), Some(done), Some(seal)) = (query.one("last")?, query.one("done")?, query.one("seal")?) else { return Ok(None) };
        let Ok(id) = Uuid::try_parse(id) else { return Ok(None) };
        if !csrf::is_seal(session.id(), &receipt(id, done), seal) {
            return Ok(None);
        }
        let workflow = web.service.show(&session.person, id).await?.workflow;
        let target = web.service.targets(&session.person, &[id]).await?.remove(&id).map(|about| about.target);
        let status = workflow.status().as_str();
        Ok(Some(Self {
            done: done.to_owned(),
            id,
            headline: target.as_ref().map_or_else(|| id.to_string(), Target::short),
            called: target.as_ref().and_then(Target::called),
            status_word: status,
            status_words: record::status_words(status).to_owned(),
        }))
    }
}
