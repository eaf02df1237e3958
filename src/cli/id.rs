//! The id of a workflow on the command line: the whole id, or its end.
//!
//! Ids begin with the time, so those of one day begin alike, and people copy their ends. An end is
//! looked up among the waiting and the latest workflows. If it matches none or several of them,
//! nothing is done.

use crate::cli::Error;
use crate::cli::client::Client;
use crate::cli::facts::{list, text};
use reqwest::Method;
use std::collections::BTreeSet;
use std::str::FromStr;
use uuid::Uuid;

/// The fewest characters of an end.
const SHORTEST: usize = 6;
/// How many characters of a shortened id are shown.
const SHOWN: usize = 8;
/// The most that a server returns at once.
const PAGE: usize = 500;
/// How many pages of the newest workflows are searched.
const PAGES: usize = 4;

/// An id as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GivenId {
    Whole(Uuid),
    /// The last characters of an id, in lower case and without hyphens.
    End(String),
}

impl FromStr for GivenId {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(id) = text.parse() {
            return Ok(Self::Whole(id));
        }
        let end: String = text.chars().filter(|character| *character != '-').map(|character| character.to_ascii_lowercase()).collect();
        let is_end = (SHORTEST..32).contains(&end.len()) && end.bytes().all(|byte| byte.is_ascii_hexdigit());
        if is_end { Ok(Self::End(end)) } else { Err(format!("write the whole id, or at least the last {SHORTEST} characters of it")) }
    }
}

/// The end of an id, as lists show it.
pub fn short(id: &str) -> &str {
    id.char_indices().rev().nth(SHOWN - 1).map_or(id, |(start, _)| &id[start..])
}

impl Client {
    /// The workflow with the given id.
    ///
    /// # Errors
    /// No workflow or more than one has such an id, or the server did not answer.
    pub async fn find(&self, given: &GivenId) -> Result<Uuid, Error> {
        let lists = [("/workflows/pending", usize::MAX), ("/workflows", PAGES)];
        let looked_through = format!("no request that waits, and none of the newest {} workflows, has", PAGES * PAGE);
        self.find_in(given, &lists, ["/workflows", "/workflow_id"], &looked_through).await
    }

    /// The grant with the given id.
    ///
    /// # Errors
    /// No grant or more than one has such an id, or the server did not answer.
    pub async fn find_grant(&self, given: &GivenId) -> Result<Uuid, Error> {
        self.find_in(given, &[("/grants", 1)], ["/grants", "/grant_id"], "no grant has").await
    }

    /// Looks an id up in lists, reading the given number of pages of each. `pointers` are the JSON
    /// pointers to the items in a page and to the id in an item.
    async fn find_in(&self, given: &GivenId, lists: &[(&str, usize)], pointers: [&str; 2], none_has: &str) -> Result<Uuid, Error> {
        let end = match given {
            GivenId::Whole(id) => return Ok(*id),
            GivenId::End(end) => end,
        };
        let mut found = BTreeSet::new();
        for (path, pages) in lists {
            self.collect(&mut found, end, path, *pages, pointers).await?;
        }
        match (found.len(), found.first()) {
            (1, Some(id)) => Ok(*id),
            (0, _) => Err(Error::Other(format!("{none_has} an id that ends in {end}: write the whole id"))),
            _ => {
                let all = found.iter().map(Uuid::to_string).collect::<Vec<_>>().join(", ");
                Err(Error::Other(format!("several ids end in {end}: {all}; write more of the one that you mean")))
            }
        }
    }

    /// Adds the ids in a list that have this end.
    async fn collect(&self, found: &mut BTreeSet<Uuid>, end: &str, path: &str, pages: usize, [items, id]: [&str; 2]) -> Result<(), Error> {
        let mut cursor: Option<String> = None;
        for _ in 0..pages {
            // A list with only one page takes no query.
            let mut query = if pages > 1 { vec![("limit", PAGE.to_string())] } else { Vec::new() };
            query.extend(cursor.clone().map(|cursor| ("cursor", cursor)));
            let answer = self.send(self.call(Method::GET, path).query(&query)).await?;
            let ids = list(&answer.value, items).iter().filter_map(|item| text(item, id)?.parse::<Uuid>().ok());
            found.extend(ids.filter(|id| id.simple().to_string().ends_with(end)));
            match text(&answer.value, "/next_cursor") {
                Some(next) if Some(next) != cursor.as_deref() => cursor = Some(next.to_owned()),
                _ => break,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_of_an_id_has_six_digits_at_least() {
        let id = "0198c0de-0000-7000-8000-00000000000a";
        assert_eq!(id.parse(), Ok(GivenId::Whole(id.parse().unwrap())));
        assert_eq!("8000-00000000000A".parse(), Ok(GivenId::End("800000000000000a".to_owned())));
        assert_eq!("00000a".parse(), Ok(GivenId::End("00000a".to_owned())));
        for wrong in ["0000a", "", "../../halt", "00000g", "0198c0de-0000-7000-8000-00000000000a0", "------", "éééééé"] {
            assert!(wrong.parse::<GivenId>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_shortened_id_can_be_typed() {
        let end = short("0198c0de-0000-7000-8000-00000000000a");
        assert_eq!(end, "0000000a");
        assert!(end.parse::<GivenId>().is_ok());
        assert_eq!(short("?"), "?");
    }
}
