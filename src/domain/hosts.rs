//! The hosts that a server answers for.
//!
//! Any web page can make a browser call any address under a name of its own, by resolving the name
//! to that address (DNS rebinding). Such a call has the page's own origin, so that only its `Host`
//! header reveals it. The server therefore refuses names that it was not given. IP addresses and
//! `localhost` are accepted, because no site can resolve them elsewhere.

use core::net::{Ipv4Addr, Ipv6Addr};
use std::collections::BTreeSet;

/// The names of this server, in lower case.
#[derive(Debug, Default)]
pub struct Hosts(BTreeSet<String>);

impl Hosts {
    /// The names of a server: the host of its public URL, and further allowed names.
    pub fn new(public_url: Option<&str>, allowed: &[String]) -> Self {
        let public = public_url.and_then(|url| url.split("://").nth(1)).and_then(|rest| rest.split(['/', '?', '#']).next());
        Self(public.map(name_of).into_iter().chain(allowed.iter().map(String::as_str)).map(plain).collect())
    }

    /// Whether the server answers for a host, with or without a port.
    pub fn serves(&self, host: &str) -> bool {
        let name = plain(name_of(host));
        is_address(&name) || name == "localhost" || name.ends_with(".localhost") || self.0.contains(&name)
    }
}

/// A host that a setting names.
///
/// # Errors
/// The text is not a host.
pub fn name(text: &str) -> Result<String, String> {
    let name = plain(text.trim());
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._".contains(&byte));
    if is_name { Ok(name) } else { Err("write the host alone, such as parkbrake.example.com: without https://, port and path".to_owned()) }
}

/// A host without its port.
pub fn name_of(host: &str) -> &str {
    let after_address = host.rfind(']').map_or(0, |end| end + 1);
    host[after_address..].find(':').map_or(host, |port| &host[..after_address + port])
}

fn plain(host: &str) -> String {
    host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase()
}

fn is_address(name: &str) -> bool {
    let bracketed = name.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    bracketed.map_or_else(|| name.parse::<Ipv4Addr>().is_ok(), |inner| inner.parse::<Ipv6Addr>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_answered_and_other_names_only_where_they_are_the_servers() {
        let none = Hosts::new(None, &[]);
        let some = Hosts::new(Some("https://Park.example:8443/below"), &["build.internal".to_owned()]);
        for host in [
            "127.0.0.1",
            "127.0.0.1:8001",
            "10.1.2.3:80",
            "[::1]",
            "[::1]:8001",
            "[2001:db8::1]:1",
            "localhost",
            "LOCALHOST:8001",
            "localhost.",
            "parkbrake.localhost:1",
        ] {
            assert!(none.serves(host) && some.serves(host), "{host}");
        }
        for host in ["park.example", "PARK.EXAMPLE.", "park.example:1", "build.internal:8001"] {
            assert!(!none.serves(host) && some.serves(host), "{host}");
        }
        for host in [
            "evil.example",
            "notlocalhost",
            "localhost.evil.example",
            "127.0.0.1.evil.example",
            "a.park.example",
            "park.example.evil",
            "2130706433",
            "0x7f.1",
            "127.1",
            "::1",
            "[::1",
            "",
            ":80",
            "[evil.example]",
        ] {
            assert!(!none.serves(host) && !some.serves(host), "{host}");
        }
    }

    #[test]
    fn a_host_setting_accepts_only_a_host_name() {
        assert_eq!(name(" Park.Example. "), Ok("park.example".to_owned()));
        for text in ["", "https://park.example", "park.example:80", "park.example/", "a b", "*", "*.example", "ü.example"] {
            assert!(name(text).is_err(), "{text:?}");
        }
    }
}
