//! Form fields and query parameters: names with values, read from and written as
//! `application/x-www-form-urlencoded`.

use crate::domain::request::Fault;
use crate::http::body::FromBody;
use crate::http::problem::{Code, Problem};
use crate::http::query::invalid;
use axum::body::{Body, Bytes};
use axum::extract::{Form, FromRequest as _, FromRequestParts, Query};
use axum::http::request::Parts;
use axum::http::{Request, Uri};
use std::fmt::Write as _;

/// The fields of a form, or the parameters of an address, in order.
#[derive(Debug, Default)]
pub struct Fields(Vec<(String, String)>);

impl Fields {
    /// Reads the query of an address.
    ///
    /// # Errors
    /// The text cannot be parsed.
    pub fn of_query(query: &str) -> Result<Self, Problem> {
        let unread = || invalid("query", "cannot be read");
        let address: Uri = format!("/?{query}").parse().map_err(|_| unread())?;
        let Query(fields) = Query::try_from_uri(&address).map_err(|_| unread())?;
        Self::valid(fields)
    }

    fn valid(fields: Vec<(String, String)>) -> Result<Self, Problem> {
        match fields.iter().find(|(_, value)| value.contains('\0')) {
            Some((name, _)) => Err(Problem::invalid(&[Fault::new(format!("/{name}"), "holds a NUL character")])),
            // Browsers end the lines of a text field with CRLF.
            None => Ok(Self(fields.into_iter().map(|(name, value)| (name, value.replace("\r\n", "\n"))).collect())),
        }
    }

    /// The value of a field, unless it is empty.
    ///
    /// # Errors
    /// The field occurs twice, so it is not clear which value is meant.
    pub fn one(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(field, _)| field == name).map(|(_, value)| value.as_str());
        match (values.next(), values.next()) {
            (_, Some(_)) => Err(invalid(name, "appears twice")),
            (value, None) => Ok(value.filter(|value| !value.trim().is_empty())),
        }
    }

    /// Every value of a field that may occur several times.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.0.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

impl FromBody for Fields {
    async fn from_body(head: Parts, bytes: Bytes) -> Result<Self, Problem> {
        let read = Form::<Vec<(String, String)>>::from_request(Request::from_parts(head, Body::from(bytes)), &()).await;
        let Form(fields) = read.map_err(|_| Problem::new(Code::UnsupportedMediaType, "this is not the form of a page"))?;
        Self::valid(fields)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Fields {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Self::of_query(parts.uri.query().unwrap_or_default())
    }
}

/// An address with parameters; those without a value are left out.
pub fn address(path: &str, parameters: &[(&str, Option<&str>)]) -> String {
    let mut address = path.to_owned();
    let said = parameters.iter().filter_map(|(name, value)| value.map(|value| (name, value)));
    for (index, (name, value)) in said.enumerate() {
        let _ = write!(address, "{}{name}={}", if index == 0 { '?' } else { '&' }, encoded(value));
    }
    address
}

/// A value, percent-encoded for any part of an address.
pub fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_back_as_they_were_meant() {
        let written = address("/", &[("text", Some("a b&c=d/é?#")), ("level", None), ("role", Some("cto"))]);
        assert_eq!(written, "/?text=a%20b%26c%3Dd%2F%C3%A9%3F%23&role=cto");
        let Query(read) = Query::<Vec<(String, String)>>::try_from_uri(&written.parse().unwrap()).unwrap();
        let fields = Fields(read);
        assert_eq!(fields.one("text").unwrap(), Some("a b&c=d/é?#"));
        assert_eq!(fields.one("level").unwrap(), None);
    }

    #[test]
    fn a_field_that_is_sent_twice_is_refused() {
        let fields = Fields(vec![("a".to_owned(), "1".to_owned()), ("a".to_owned(), "2".to_owned()), ("b".to_owned(), " ".to_owned())]);
        assert!(fields.one("a").is_err());
        assert_eq!(fields.all("a").collect::<Vec<_>>(), ["1", "2"]);
        assert_eq!(fields.one("b").unwrap(), None);
    }
}
