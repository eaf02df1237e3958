//! Where a connection comes from, to distinguish callers before they are known.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use std::convert::Infallible;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// The address at the other end of a connection, never one that a header claims. All addresses of
/// one IPv6 network of 64 bits are one peer, because whoever has one of them usually has them all.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Peer(IpAddr);

impl From<SocketAddr> for Peer {
    fn from(address: SocketAddr) -> Self {
        match address.ip().to_canonical() {
            IpAddr::V6(address) if !address.is_loopback() => {
                Self(IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))))
            }
            address => Self(address),
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Infallible;

    /// The server attaches it to each request; a request without a connection has the default.
    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get().copied().unwrap_or(Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(address: &str) -> Peer {
        Peer::from(address.parse::<SocketAddr>().unwrap())
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_peer_and_a_mapped_address_is_the_ipv4_address() {
        assert_eq!(peer("[2001:db8:1:2:3::4]:80"), peer("[2001:db8:1:2::9]:443"));
        assert_ne!(peer("[2001:db8:1:2::1]:80"), peer("[2001:db8:1:3::1]:80"));
        assert_eq!(peer("[::ffff:192.0.2.7]:80"), peer("192.0.2.7:81"));
        assert_ne!(peer("192.0.2.7:80"), peer("192.0.2.8:80"));
        assert_eq!(peer("[::1]:80").to_string(), "::1");
    }
}
