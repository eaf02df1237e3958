//! Which waiting requests a person goes through, and in which order: according to an address, or
//! carried along by forms.

use crate::domain::risk::level::Level;
use crate::domain::risk::order::{ListPosition, Order};
use crate::domain::risk::target::Target;
use crate::http::problem::Problem;
use crate::http::query::{self, invalid};
use crate::service::lists::PendingQuery;
use crate::service::{self, About};
use crate::web::Web;
use crate::web::form::{Fields, address};
use crate::web::session::Session;
use uuid::Uuid;

/// How many requests a page examines at a time when it searches for words.
pub const WINDOW: usize = 1_000;

/// A part of the waiting requests, in an order.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Everybody's requests, not only those that the reader may decide.
    pub is_everybodys: bool,
    pub level: Option<Level>,
    /// Only requests that this role may decide.
    pub role: Option<String>,
    /// Only requests that contain these words.
    pub words: Option<String>,
    pub order: Option<Order>,
    /// Whether requests of one kind are grouped in a table of their differences.
    pub is_grouped: bool,
}

impl Selection {
    /// Reads the selection from an address.
    ///
    /// # Errors
    /// A parameter occurs twice or is invalid.
    pub fn of(fields: &Fields) -> Result<Self, Problem> {
        let known = || Order::ALL.map(Order::as_str).join(", ");
        let order = fields.one("sort")?;
        let is_grouped = match fields.one("group")? {
            None => false,
            Some("kind") => true,
            Some(_) => return Err(invalid("group", "has to be `kind`, or left out")),
        };
        Ok(Self {
            is_grouped,
            is_everybodys: fields.one("of")? == Some("all"),
            level: query::level(fields.one("level")?)?,
            role: fields.one("role")?.map(str::to_owned),
            words: fields.one("text")?.map(|words| words.trim().to_owned()),
            order: order
                .map(|word| Order::parse(word).ok_or_else(|| invalid("sort", format!("has to be one of {}", known()))))
                .transpose()?,
        })
    }

    /// Reads the selection that a form or an address carries along.
    ///
    /// # Errors
    /// The text is not one that a list has made.
    pub fn carried_by(text: &str) -> Result<Self, Problem> {
        Self::of(&Fields::of_query(text)?)
    }

    /// The selection as text, to be carried along.
    pub fn carried(&self) -> String {
        match self.address(None).split_once('?') {
            Some((_, query)) => query.to_owned(),
            None => "of=mine".to_owned(),
        }
    }

    /// The order: by default the most dangerous first, and within a level what falls due next.
    pub fn order(&self) -> Order {
        self.order.unwrap_or(Order::Level)
    }

    /// The same in another order.
    pub fn sorted(&self, order: Order) -> Self {
        Self { order: (order != Order::Level).then_some(order), ..self.clone() }
    }

    /// Whether it filters by more than what the reader may decide.
    pub fn is_filtered(&self) -> bool {
        self.level.is_some() || self.role.is_some() || self.words.is_some()
    }

    /// The query for the service, which does not search for words.
    pub fn query(&self, after: Option<ListPosition>, limit: usize) -> PendingQuery {
        PendingQuery {
            risk_level: self.level,
            role: self.role.clone(),
            mine: !self.is_everybodys,
            order: self.order(),
            after,
            limit: i64::try_from(limit).unwrap_or(i64::MAX),
        }
    }

    /// The ids of the selected requests, in order: this many, or, in a search for words, the
    /// matches among this many.
    ///
    /// # Errors
    /// Fails if the database is unavailable.
    pub async fn ids(&self, web: &Web, session: &Session, most: usize) -> Result<Vec<Uuid>, Problem> {
        let Some(words) = self.words.as_deref() else {
            return Ok(web.service.pending_ids(&session.person, self.query(None, most)).await?);
        };
        let rows = web.service.pending(&session.person, self.query(None, WINDOW)).await?.items;
        let ids: Vec<Uuid> = rows.iter().map(|row| row.workflow_id).collect();
        let targets = web.service.targets(&session.person, &ids).await?;
        Ok(rows.iter().filter(|row| holds(row, targets.get(&row.workflow_id), words)).map(|row| row.workflow_id).collect())
    }

    /// The address of its list, starting after a position.
    pub fn address(&self, after: Option<ListPosition>) -> String {
        let cursor = after.map(|position| position.to_string());
        address(
            "/",
            &[
                ("of", self.is_everybodys.then_some("all")),
                ("level", self.level.map(Level::as_str)),
                ("role", self.role.as_deref()),
                ("text", self.words.as_deref()),
                ("sort", self.order.map(Order::as_str)),
                ("group", self.is_grouped.then_some("kind")),
                ("cursor", cursor.as_deref()),
            ],
        )
    }
}

/// Whether a line contains the words, ignoring case.
pub fn holds(row: &service::Waiting, about: Option<&About>, words: &str) -> bool {
    let Target { operation, resource, environment, .. } = &row.target;
    let named = [resource, environment, &row.task_id].into_iter().flatten().chain(about.and_then(|about| about.action_name.as_ref()));
    let texts = named.chain([operation, &row.description, &row.requested_by]);
    let words = words.to_lowercase();
    texts.into_iter().any(|text| text.to_lowercase().contains(&words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_carried_selection_leads_back_to_the_same_list() {
        for address in ["/", "/?of=all", "/?level=high&role=cto&text=a%20%26%20b&sort=due", "/?of=all&sort=newest", "/?group=kind"] {
            let selection = Selection::carried_by(address.trim_start_matches("/").trim_start_matches('?')).unwrap();
            assert_eq!(Selection::carried_by(&selection.carried()).unwrap().address(None), address);
        }
        assert!(Selection::carried_by("sort=odd").is_err());
    }
}
