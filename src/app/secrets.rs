//! Collects the values that no output of a runbook may show: once, at the start, in one place.
//! Nothing here is logged.

use crate::config::Configuration;
use crate::execution::Redactions;
use crate::secret_key::{self, SecretKeys};
use percent_encoding::percent_decode_str;

/// Secrets of the server itself, in addition to those that the configuration names.
const OF_THE_SERVER: [&str; 3] = ["DATABASE_URL", "PGPASSWORD", secret_key::VARIABLE];

/// Every secret that this server knows: the values that the configuration reads from the
/// environment, the address of the database, the secret keys, and the passwords in all addresses
/// among them.
pub(super) fn gather(
    configuration: &Configuration,
    database_url: &str,
    keys: &SecretKeys,
    read: &dyn Fn(&str) -> Option<String>,
) -> Redactions {
    let names = configuration.variables();
    let named = names.iter().map(String::as_str).chain(OF_THE_SERVER).filter_map(read);
    let texts: Vec<String> = named.chain([database_url.to_owned()]).collect();
    let passwords: Vec<Vec<u8>> = texts.iter().flat_map(|text| passwords(text)).collect();
    let values = texts.into_iter().map(String::into_bytes).chain(passwords);
    Redactions::new(values.chain(keys.expose().map(<[u8]>::to_vec)))
}

/// The passwords in an address, `scheme://USER:PASSWORD@HOST/?password=PASSWORD`: as written there,
/// and decoded.
fn passwords(address: &str) -> Vec<Vec<u8>> {
    let Some((_, rest)) = address.split_once("://") else { return Vec::new() };
    // A password with an unescaped `/` in it is also taken as a whole: the last `@` ends it,
    // wherever that is.
    let before_host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let of_user = [before_host, rest].into_iter().filter_map(|part| Some(part.rsplit_once('@')?.0.split_once(':')?.1.to_owned()));
    let query = rest.split_once('?').map_or("", |(_, query)| query.split('#').next().unwrap_or_default());
    let of_query = query.split('&').filter_map(|pair| pair.strip_prefix("password="));
    let of_query = of_query.flat_map(|password| [password.to_owned(), password.replace('+', " ")]);
    let written = of_user.chain(of_query).filter(|password| !password.is_empty());
    written.flat_map(|password| [percent_decode_str(&password).collect(), password.into_bytes()]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_of_an_address_is_found_as_written_and_as_meant() {
        let found = |address: &str| passwords(address).into_iter().map(|one| String::from_utf8(one).unwrap()).collect::<Vec<_>>();
        for (address, password) in [
            ("postgres://u:hunter-2@h/d", "hunter-2"),
            ("postgres://u:p%40ss%2Fword@h:5432/d?a=b@c", "p@ss/word"),
            ("postgres://u:p%40ss%2Fword@h:5432/d?a=b@c", "p%40ss%2Fword"),
            ("postgres://u:a/b@h/d", "a/b"),
            ("postgres:///d?host=/run&password=p%26ss+w", "p&ss w"),
            ("smtps://me@example.com:mail-pass@mail.example", "mail-pass"),
        ] {
            assert!(found(address).iter().any(|one| one == password), "{address}: {:?}", found(address));
        }
        for address in ["postgres://h/d", "postgres://u@h/d", "postgres://u:@h/d", "no address: at @ all", "https://h:80/a"] {
            assert_eq!(found(address), [""; 0], "{address}");
        }
    }
}
