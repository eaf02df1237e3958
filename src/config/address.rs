//! URLs in configuration files.

/// A URL to call, without a user name or password.
///
/// # Errors
/// The text is anything else.
pub fn url(text: &str) -> Result<String, &'static str> {
    let rest = ["https://", "http://"].into_iter().find_map(|scheme| text.strip_prefix(scheme));
    let rest = rest.ok_or("is not an address that can be called: it has to begin with https:// or http://")?;
    let host = rest.split(['/', '?', '#']).next().unwrap_or_default();
    if host.contains('@') {
        return Err("holds a name or a password; secrets come from the environment: secret: { from_env: NAME }");
    }
    let valid = !host.is_empty() && !host.starts_with(':') && text.bytes().all(|byte| byte.is_ascii_graphic());
    if valid { Ok(text.to_owned()) } else { Err("is not an address that can be called: write https://, a host and a path") }
}

/// The URL at which people reach a server: without a query, and without a slash at the end.
///
/// # Errors
/// The text is anything else.
pub fn base(text: &str) -> Result<String, &'static str> {
    let valid = url(text)?;
    if valid.contains(['?', '#']) {
        return Err("is the address that links begin with, so it has no `?` and no `#`");
    }
    Ok(valid.trim_end_matches('/').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_callable_addresses_are_accepted() {
        for text in ["https://a.example", "http://127.0.0.1:8001/x?y#z", "https://[::1]:1/"] {
            assert_eq!(url(text), Ok(text.to_owned()));
        }
        for text in
            ["", "a.example", "ftp://a.example", "https://", "https://:80", "https://u:p@a.example", "https://a.example/ x", "https://ä"]
        {
            assert!(url(text).is_err(), "{text}");
        }
        assert_eq!(base("https://a.example/parkbrake/"), Ok("https://a.example/parkbrake".to_owned()));
        assert!(base("https://a.example/?x").is_err() && base("https://a.example/#x").is_err());
    }
}
