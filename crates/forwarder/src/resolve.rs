//! Names of hosts, without the addresses that are never called: a name that leads to a metadata
//! service is refused after it was resolved, when nobody can change it any more.

use std::net::SocketAddr;
use std::sync::Arc;

use domain::address;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};

/// All addresses of a name are forbidden ones.
#[derive(Debug, thiserror::Error)]
#[error("the name leads to addresses that are never called only")]
pub(crate) struct ForbiddenAddress;

/// The system's resolver, with a look at what it says.
struct SystemResolver;

/// What the HTTP client resolves names with.
pub(crate) fn resolver() -> Arc<impl Resolve> {
    Arc::new(SystemResolver)
}

impl Resolve for SystemResolver {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            // The client puts the port of the URL in the place of this one.
            let addresses = tokio::net::lookup_host((name.as_str(), 0)).await?;
            Ok(allowed(addresses)?)
        })
    }
}

/// The addresses that may be called.
pub(crate) fn allowed(
    addresses: impl Iterator<Item = SocketAddr>,
) -> Result<Addrs, ForbiddenAddress> {
    let allowed: Vec<SocketAddr> =
        addresses.filter(|address| !address::is_forbidden(address.ip())).collect();
    if allowed.is_empty() { Err(ForbiddenAddress) } else { Ok(Box::new(allowed.into_iter())) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forbidden_addresses_are_left_out() {
        let check = |addresses: &[&str], expected: &[&str]| {
            let addresses: Vec<SocketAddr> =
                addresses.iter().map(|text| text.parse().unwrap()).collect();
            let left = allowed(addresses.into_iter()).into_iter().flatten();
            assert_eq!(left.map(|address| address.to_string()).collect::<Vec<_>>(), expected);
        };
        check(&["10.0.0.1:0", "169.254.169.254:0", "[::1]:0"], &["10.0.0.1:0", "[::1]:0"]);
        check(&["169.254.169.254:0", "[fe80::1]:0", "[::ffff:169.254.169.254]:0"], &[]);
    }
}
