//! HTTP clients for calls to addresses that the operator wrote, and the rule about private
//! networks.
//!
//! An address may be a secret (Slack's is), so no error from this module names one. Redirects are
//! not followed: what is sent is meant only for the address that the operator wrote.

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, ClientBuilder, Url, redirect};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::Duration;

/// How long the other side may take to accept a connection.
const CONNECT: Duration = Duration::from_secs(10);

/// A client for an address that the operator wrote. The operator chooses whether the address may be
/// on this machine or in a private network.
///
/// # Errors
/// TLS cannot be set up.
pub fn for_address(timeout: Duration, allow_private: bool) -> Result<Client, String> {
    if allow_private { client(timeout) } else { public_client(timeout) }
}

/// A client for an address that the operator wrote, which may be anywhere. Proxies of the
/// environment are used.
///
/// # Errors
/// TLS cannot be set up.
pub fn client(timeout: Duration) -> Result<Client, String> {
    built(builder(timeout))
}

/// A client that connects only to public addresses: the resolved address is checked when the
/// connection is made, so that a name whose address changes cannot lead into a private network. A
/// literal address is not resolved; call [`is_inside`] first.
///
/// # Errors
/// TLS cannot be set up.
pub fn public_client(timeout: Duration) -> Result<Client, String> {
    // A proxy would resolve the name again, unchecked.
    built(builder(timeout).no_proxy().dns_resolver(Arc::new(PublicAddresses)))
}

fn builder(timeout: Duration) -> ClientBuilder {
    // Fails only if a provider is already installed, which then does as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder()
        .user_agent(concat!("parkbrake/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT.min(timeout))
        .timeout(timeout)
        .redirect(redirect::Policy::none())
}

fn built(builder: ClientBuilder) -> Result<Client, String> {
    builder.build().map_err(|error| format!("cannot set up a connection: {}", cause(&error)))
}

/// The innermost cause of a connection error, which names no address.
pub fn cause(error: &dyn std::error::Error) -> String {
    let mut deepest = error;
    while let Some(source) = deepest.source() {
        deepest = source;
    }
    deepest.to_string()
}

/// Whether a URL has an address of this machine or of a private network in place of a name.
pub fn is_inside(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
    host.parse::<IpAddr>().is_ok_and(|address| !is_public(address))
}

/// Resolves names, and leaves out every address that is not public.
struct PublicAddresses;

impl Resolve for PublicAddresses {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let found = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<_> = found.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err("its name leads to this machine or into a private network, which needs `allow_private: true`".into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

/// Whether an address can belong to somebody else on the public internet (by IANA's special-purpose
/// address registries).
fn is_public(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_public_v4(address),
        IpAddr::V6(address) => is_public_v6(address),
    }
}

fn is_public_v4(address: Ipv4Addr) -> bool {
    let special = matches!(
        address.octets(),
        [0 | 10 | 127 | 240..=255, ..]
            | [100, 64..=127, ..]
            | [169, 254, ..]
            | [172, 16..=31, ..]
            | [192, 0, 0 | 2, _]
            | [192, 88, 99, _]
            | [192, 168, ..]
            | [198, 18..=19, ..]
            | [198, 51, 100, _]
            | [203, 0, 113, _]
    );
    !special && !address.is_multicast()
}

fn is_public_v6(address: Ipv6Addr) -> bool {
    let embedded = |high: u16, low: u16| {
        let ([a, b], [c, d]) = (high.to_be_bytes(), low.to_be_bytes());
        is_public_v4(Ipv4Addr::new(a, b, c, d))
    };
    match address.segments() {
        // An IPv4 address, translated or tunneled.
        [0x64, 0xff9b, 0, 0, 0, 0, high, low] => embedded(high, low),
        [0x2002, high, low, ..] => embedded(high, low),
        // Protocol assignments and documentation.
        [0x2001, 0..=0x1ff | 0xdb8, ..] => false,
        [0x3fff, 0..=0xfff, ..] => false,
        // Everything else that is assigned as global unicast.
        [0x2000..=0x3fff, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_outside() {
        for inside in [
            "127.0.0.1",
            "127.9.9.9",
            "0.0.0.0",
            "10.1.2.3",
            "172.16.0.1",
            "172.31.255.255",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "192.0.0.8",
            "192.0.2.1",
            "198.18.0.1",
            "198.51.100.7",
            "203.0.113.9",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::1",
            "::127.0.0.1",
            "::ffff:127.0.0.1",
            "::ffff:8.8.8.8",
            "fe80::1",
            "fc00::1",
            "fd12::1",
            "ff02::1",
            "2001:db8::1",
            "2001::1",
            "2002:7f00:1::",
            "2002:a00:1::1",
            "64:ff9b::10.0.0.1",
            "64:ff9b::7f00:1",
            "3fff::1",
            "100::1",
        ] {
            assert!(!is_public(inside.parse().unwrap()), "{inside}");
        }
        for outside in ["8.8.8.8", "1.1.1.1", "172.32.0.1", "192.0.1.1", "2606:4700::1111", "2a00:1450::1", "64:ff9b::8.8.8.8"] {
            assert!(is_public(outside.parse().unwrap()), "{outside}");
        }
    }

    #[test]
    fn an_address_in_place_of_a_name_is_recognized_in_every_spelling() {
        let inside = |text: &str| is_inside(&Url::parse(text).unwrap());
        for text in [
            "http://127.0.0.1/",
            "http://[::1]:80/",
            "http://2130706433/",
            "http://0x7f.1/",
            "http://0177.0.0.1/",
            "http://[::ffff:7f00:1]/",
        ] {
            assert!(inside(text), "{text}");
        }
        for text in ["https://8.8.8.8/", "https://example.com/", "https://localhost/"] {
            assert!(!inside(text), "{text}");
        }
    }

    #[tokio::test]
    async fn a_name_that_leads_inside_is_not_connected_to() {
        let client = public_client(Duration::from_secs(5)).unwrap();
        let error = client.post("http://localhost:9/secret-path").send().await.unwrap_err();
        let reason = cause(&error);
        assert!(reason.contains("allow_private") && !reason.contains("secret-path"), "{reason}");
    }
}
