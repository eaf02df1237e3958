//! The resource registry: what resources really are, whatever a requester says, and the spellings
//! under which a resource is looked up.

use crate::domain::task::vocabulary::normalized;
use core::net::Ipv6Addr;

/// An entry: what resources with a matching name really are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// `*` matches any text. Like every spelling, it is compared trimmed and in ASCII lower case.
    pub pattern: String,
    /// Canonical words.
    pub environment: Option<String>,
    pub resource_type: Option<String>,
}

impl Resource {
    /// Whether this entry matches a resource with this name, however the name is spelled.
    pub fn matches(&self, resource: &str) -> bool {
        self.speaks_of(&spellings(resource))
    }

    /// Whether this entry matches a resource with these [`spellings`]. Compute them once to check
    /// many entries.
    pub fn speaks_of(&self, spellings: &[String]) -> bool {
        spellings.iter().any(|spelling| glob(self.pattern.as_bytes(), spelling.as_bytes()))
    }
}

/// The names under which a resource is looked up: as written, as compared, and each of its hosts
/// alone, without scheme, user, port, path and trailing dot. Each appears once; the first is the
/// name as written.
pub fn spellings(resource: &str) -> Vec<String> {
    let compared = normalized(resource);
    let mut spellings = vec![resource.to_owned()];
    for spelling in std::iter::once(compared.clone()).chain(hosts(&compared)) {
        if !spelling.is_empty() && !spellings.contains(&spelling) {
            spellings.push(spelling);
        }
    }
    spellings
}

/// The hosts in an address, or in a list of them as database clients write it
/// (`postgres://u@a:5432,b:5432/x`).
fn hosts(name: &str) -> Vec<String> {
    // Browsers and Windows treat a backslash as a slash.
    let name = name.replace('\\', "/");
    let address = name.split_once("://").map_or(name.as_str(), |(_, rest)| rest).trim_start_matches('/');
    let authority = address.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    authority.split(',').filter_map(host).collect()
}

fn host(written: &str) -> Option<String> {
    let written = unescaped(written.trim());
    let bare = match written.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((inside, _)) => inside,
        None if written.parse::<Ipv6Addr>().is_ok() => &written,
        // Text with two colons and no brackets is not a host with a port, but another kind of name,
        // such as an ARN.
        None => match written.split_once(':') {
            Some((host, port)) if !port.contains(':') => host,
            _ => &written,
        },
    };
    let bare = bare.split('%').next().unwrap_or_default().trim_end_matches('.');
    // An address has many spellings; one of them is compared.
    let bare = bare.parse::<Ipv6Addr>().map_or_else(|_| bare.to_owned(), |address| address.to_string());
    (!bare.is_empty()).then_some(bare)
}

/// A host with percent escapes such as `%2D` decoded, if they stand for visible ASCII.
fn unescaped(host: &str) -> String {
    let mut parts = host.split('%');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).filter(u8::is_ascii_graphic);
        match code {
            Some(code) => {
                plain.push(char::from(code).to_ascii_lowercase());
                plain.push_str(&part[2..]);
            }
            None => {
                plain.push('%');
                plain.push_str(part);
            }
        }
    }
    plain
}

/// Whether a text matches a pattern in which `*` matches any characters, in linear space and at
/// most length × length steps.
pub fn glob(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                retry = Some((p, t));
                p += 1;
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => match retry {
                Some((star, from)) => {
                    p = star + 1;
                    t = from + 1;
                    retry = Some((star, from + 1));
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, resource: &str) -> bool {
        Resource { pattern: pattern.to_owned(), environment: None, resource_type: None }.matches(resource)
    }

    #[test]
    fn one_host_is_known_however_tools_spell_it() {
        for spelling in [
            "api.internal.example.com",
            "API.Internal.Example.COM",
            " api.internal.example.com ",
            "api.internal.example.com.",
            "api.internal.example.com:5432",
            "api.internal.example.com.:5432",
            "https://api.internal.example.com",
            "HTTPS://API.internal.example.com./x?y#z",
            "https://me:secret@api.internal.example.com:8443/x/y",
            "postgres://u:p@api.internal.example.com:5432/payments",
            "jdbc:postgresql://api.internal.example.com:5432/payments",
            "postgres://u@elsewhere:5432,api.internal.example.com:5432/payments",
            "//api.internal.example.com/share",
            r"\\api.internal.example.com\share",
            "git@api.internal.example.com:team/repository.git",
            "root@api.internal.example.com",
            "api.internal.example.com/path",
            "api.internal.example.com?x=1",
            "https://api%2Einternal.example%2ecom/",
        ] {
            assert!(matches("*.internal.example.com", spelling), "{spelling}");
        }
    }

    #[test]
    fn an_ipv6_address_is_known_however_it_is_spelled() {
        for spelling in ["2001:db8::1", "2001:DB8:0:0:0:0:0:1", "[2001:db8::1]", "[2001:db8::1]:5432", "https://u@[2001:0db8::1]:443/x"] {
            assert!(matches("2001:db8::1", spelling), "{spelling}");
        }
        assert!(matches("fe80::1", "[fe80::1%eth0]:22"));
    }

    #[test]
    fn a_name_that_only_looks_alike_is_another_name() {
        for other in ["apiXinternal.example.com.evil.test", "internal.example.com", "https://evil.test/api.internal.example.com/", ""] {
            assert!(!matches("*.internal.example.com", other), "{other}");
        }
        assert!(matches("arn:aws:rds:*", "arn:aws:rds:eu-west-1:123:db:main"), "a name is matched as it is given too");
        assert!(!matches("arn", "arn:aws:rds:eu-west-1:123:db:main"));
    }

    #[test]
    fn odd_names_are_looked_up_without_a_fault() {
        for odd in ["%", "%2", "%zz", "a%2", "[", "]", "[]", "[:", "://", "@", ":", ",", ".", "..", "a%\u{e4}", "\u{e4}%41", "%00", "a:b:c"]
        {
            assert_eq!(spellings(odd)[0], odd);
        }
    }

    #[test]
    fn a_pattern_fits_from_end_to_end() {
        for (pattern, text, fits) in [
            ("db-prod-*", "db-prod-1", true),
            ("db-prod-*", "my-db-prod-1", false),
            ("*a*b", "xaxxb", true),
            ("*a*b", "xaxxbc", false),
            ("*", "anything", true),
        ] {
            assert_eq!(glob(pattern.as_bytes(), text.as_bytes()), fits, "{pattern} {text}");
        }
    }
}
