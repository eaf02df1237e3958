//! Which URLs in a call are public.

/// Whether a URL has a host with a public name and the scheme http or https.
pub fn is_public(url: &str) -> bool {
    let lower = url.to_ascii_lowercase();
    let Some(rest) = lower.strip_prefix("https://").or_else(|| lower.strip_prefix("http://")) else { return false };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let (host, port) = authority.split_once(':').unwrap_or((authority, ""));
    let plain = !host.is_empty() && host.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'.' || byte == b'-');
    let top = host.trim_end_matches('.').rsplit('.').next().unwrap_or_default();
    let is_name = host.contains('.') && top.len() > 1 && top.bytes().all(|byte| byte.is_ascii_alphabetic());
    let private = ["internal", "local", "localhost", "lan", "corp", "home", "intranet", "cluster"].contains(&top);
    plain && is_name && !private && port.bytes().all(|byte| byte.is_ascii_digit())
}
