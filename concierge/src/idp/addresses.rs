//! Addresses that are never an issuer's: link-local and cloud metadata services, checked where the connection is made.
//!
//! `jwks_uri` is the issuer's word, and a name may resolve to something else at every look. So the resolver itself
//! drops these addresses, and a literal address is looked at before the request. Loopback and private addresses stay
//! allowed: issuers inside the cluster exist. Behind a proxy the proxy resolves, and its rules hold.

use std::{
    error::Error,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::net;
use url::{Host, Url};

/// A host that leads to an address no issuer lives at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{host} is a {kind} address")]
pub struct Refused {
    /// The name and the address it has, or the address alone.
    host: String,
    kind: &'static str,
}

/// Resolves as the system does, and leaves out what [`Refused`] is about.
#[derive(Debug, Clone, Copy)]
pub(super) struct CheckedResolver;

/// Says why the URL's host, if it is a literal address, is refused. Names are looked at when they are resolved.
pub(crate) fn refused_host(url: &Url) -> Option<Refused> {
    let address = match url.host()? {
        Host::Domain(_) => return None,
        Host::Ipv4(address) => IpAddr::V4(address),
        Host::Ipv6(address) => IpAddr::V6(address),
    };
    let kind = refused_kind(address)?;
    Some(Refused { host: address.to_string(), kind })
}

/// Whether the URL's host is this very machine, by name (RFC 6761 6.3) or by address.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => IpAddr::V6(address).to_canonical().is_loopback(),
        None => false,
    }
}

/// AWS (`fd00:ec2::254`) and Alibaba (`100.100.100.200`) serve metadata outside the link-local ranges.
fn refused_kind(address: IpAddr) -> Option<&'static str> {
    const AWS_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0x0ec2, 0, 0, 0, 0, 0, 0x0254);
    const ALIBABA_METADATA: Ipv4Addr = Ipv4Addr::new(100, 100, 100, 200);

    match address.to_canonical() {
        IpAddr::V4(v4) if v4.is_link_local() => Some("link-local"),
        IpAddr::V4(ALIBABA_METADATA) | IpAddr::V6(AWS_METADATA) => Some("cloud metadata"),
        IpAddr::V4(v4) if v4.is_unspecified() || v4.is_broadcast() || v4.is_multicast() => Some("no host's"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Some("link-local"),
        IpAddr::V6(v6) if v6.is_unspecified() || v6.is_multicast() => Some("no host's"),
        IpAddr::V4(_) | IpAddr::V6(_) => None,
    }
}

/// The addresses of a name, without those that are refused; a literal address has itself.
pub(crate) async fn lookup(name: &str, port: u16) -> Result<Vec<SocketAddr>, Box<dyn Error + Send + Sync>> {
    let found: Vec<_> = net::lookup_host((name, port)).await?.collect();
    let (refused, usable): (Vec<_>, Vec<_>) = found.into_iter().partition(|socket| refused_kind(socket.ip()).is_some());
    if usable.is_empty()
        && let Some((address, kind)) = refused.first().and_then(|s| Some((s.ip(), refused_kind(s.ip())?)))
    {
        return Err(Refused { host: format!("{name} ({address})"), kind }.into());
    }
    Ok(usable)
}

impl Resolve for CheckedResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // Port 0 is replaced by the URL's port.
            let usable = lookup(name.as_str(), 0).await?;
            Ok(Box::new(usable.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_link_local_addresses_are_refused() {
        for refused in [
            "169.254.169.254",
            "169.254.170.2",
            "::ffff:169.254.169.254",
            "fe80::1",
            "fd00:ec2::254",
            "100.100.100.200",
            "0.0.0.0",
            "::",
            "255.255.255.255",
            "224.0.0.1",
            "ff02::1",
        ] {
            assert!(refused_kind(refused.parse().unwrap()).is_some(), "{refused}");
        }
    }

    #[test]
    fn loopback_private_and_public_addresses_are_allowed() {
        for allowed in ["127.0.0.1", "::1", "10.96.0.1", "192.168.1.1", "172.16.0.1", "fd12:3456::1", "203.0.113.7"] {
            assert_eq!(refused_kind(allowed.parse().unwrap()), None, "{allowed}");
        }
    }

    #[test]
    fn a_literal_address_is_seen_in_each_of_its_spellings() {
        for url in [
            "https://169.254.169.254/keys",
            "https://2852039166/keys",
            "https://0xa9fea9fe/keys",
            "https://[::ffff:a9fe:a9fe]/keys",
        ] {
            assert!(refused_host(&Url::parse(url).unwrap()).is_some(), "{url}");
        }
        assert_eq!(refused_host(&Url::parse("https://idp.example.com/keys").unwrap()), None);
    }

    #[test]
    fn this_machine_is_known_by_name_and_address() {
        for (url, expected) in [
            ("https://localhost:8443/", true),
            ("https://idp.LOCALHOST/", true),
            ("https://127.1/", true),
            ("https://[::1]/", true),
            ("https://[::ffff:127.0.0.1]/", true),
            ("https://localhost.example.com/", false),
            ("https://notlocalhost/", false),
            ("https://10.0.0.1/", false),
        ] {
            assert_eq!(is_loopback(&Url::parse(url).unwrap()), expected, "{url}");
        }
    }
}
