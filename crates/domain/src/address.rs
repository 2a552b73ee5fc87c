//! What may be called: services at URLs that nobody else listens in to. Some addresses are never called,
//! whatever name leads there: they are the machine's own affairs.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use url::{Host, Url};

/// EC2's instance metadata by IPv6.
/// Source: EC2 guide, "Access instance metadata for an EC2 instance".
const EC2_METADATA: Ipv6Addr = Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// Whether `address` is link-local (where clouds have their metadata and credentials), EC2's metadata
/// by IPv6, unspecified, multicast or broadcast.
#[must_use]
pub fn is_forbidden(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            ip.is_link_local() || ip.is_unspecified() || ip.is_multicast() || ip.is_broadcast()
        }
        IpAddr::V6(ip) => {
            ip.is_unicast_link_local()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip == EC2_METADATA
        }
    }
}

/// The address that is the host of a URL, where that is no name.
#[must_use]
pub fn literal(url: &Url) -> Option<IpAddr> {
    match url.host()? {
        Host::Ipv4(ip) => Some(IpAddr::V4(ip)),
        Host::Ipv6(ip) => Some(IpAddr::V6(ip)),
        Host::Domain(_) => None,
    }
}

/// The URL of a service: `https`, or `http` where nobody else listens in. Never with a password in it,
/// as URLs of destinations are shown.
///
/// # Errors
///
/// What is wrong, with the scheme or the host and nothing else of the URL: the rest may hold a token.
pub fn service_url(source: &str) -> Result<Url, String> {
    let url = Url::parse(source).map_err(|error| format!("is not a URL: {error}"))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err("must not contain a user name or password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not have a fragment".to_owned());
    }
    if let Some(ip) = literal(&url).filter(|ip| is_forbidden(*ip)) {
        return Err(format!(
            "{ip} is link-local, a metadata service, unspecified or multicast, and never called"
        ));
    }
    match (url.scheme(), url.host()) {
        ("https", Some(_)) => Ok(url),
        ("http", Some(host)) if is_private(&host) => Ok(url),
        ("http", Some(host)) => Err(format!(
            "must be https, as {host} is neither loopback nor a private address or name (a name \
             without a dot, or ending in .internal, .local, .localhost or .test)"
        )),
        (scheme, _) => Err(format!("must be https, or http to a private host; is {scheme}")),
    }
}

fn is_private(host: &Host<&str>) -> bool {
    match host {
        Host::Ipv4(ip) => ip.is_loopback() || ip.is_private(),
        Host::Ipv6(ip) => {
            let mapped_private =
                |ip: Ipv6Addr| ip.to_ipv4_mapped().is_some_and(|ip: Ipv4Addr| ip.is_private());
            ip.is_loopback() || ip.is_unique_local() || mapped_private(*ip)
        }
        Host::Domain(name) => {
            !name.contains('.')
                || [".internal", ".local", ".localhost", ".test"]
                    .iter()
                    .any(|suffix| name.ends_with(suffix))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_and_link_local_addresses_are_forbidden() {
        for address in [
            "169.254.169.254",
            "169.254.170.2",
            "::ffff:169.254.169.254",
            "fe80::1",
            "febf:ffff::1",
            "fd00:ec2::254",
            "0.0.0.0",
            "::",
            "::ffff:0.0.0.0",
            "224.0.0.1",
            "239.255.255.255",
            "ff02::1",
            "255.255.255.255",
        ] {
            assert!(is_forbidden(address.parse().unwrap()), "{address}");
        }
    }

    #[test]
    fn services_may_be_public_private_or_on_this_machine() {
        for address in [
            "127.0.0.1",
            "::1",
            "10.0.0.7",
            "192.168.1.1",
            "169.253.255.255",
            "169.255.0.0",
            "203.0.113.9",
            "fd00:ec2::253",
            "fec0::1",
            "2001:db8::1",
        ] {
            assert!(!is_forbidden(address.parse().unwrap()), "{address}");
        }
    }
}
