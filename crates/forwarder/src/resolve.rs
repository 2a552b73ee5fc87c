//! Names of hosts, without the addresses that are never called: a name that leads to a metadata
//! service is refused after it was resolved, when nobody can change it any more.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::vec;

use domain::address;
use hyper_util::client::legacy::connect::dns;
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tower_service::Service;

/// Why a name leads nowhere.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ResolveError {
    /// It does not resolve.
    #[error("the name does not resolve")]
    Name(#[source] io::Error),
    /// All its addresses are forbidden ones.
    #[error("the name leads to addresses that are never called only")]
    Forbidden,
}

/// Who is asked for the addresses of a name.
#[derive(Debug, Clone)]
pub(crate) enum Resolver {
    /// The system's resolver, with a look at what it says.
    System,
    /// Somebody who gives every name these addresses.
    #[cfg(test)]
    Always(Vec<SocketAddr>),
}

impl Resolver {
    async fn addresses(self, name: String) -> Result<vec::IntoIter<SocketAddr>, ResolveError> {
        match self {
            // The client puts the port of the URL in the place of this one.
            Self::System => {
                let resolved = tokio::net::lookup_host((name, 0)).await;
                allowed(resolved.map_err(ResolveError::Name)?)
            }
            #[cfg(test)]
            Self::Always(addresses) => allowed(addresses.into_iter()),
        }
    }
}

/// For what is called through reqwest.
impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let addresses = self.clone().addresses(name.as_str().to_owned());
        Box::pin(async move {
            let addresses: Addrs = Box::new(addresses.await?);
            Ok(addresses)
        })
    }
}

/// For destinations.
impl Service<dns::Name> for Resolver {
    type Response = vec::IntoIter<SocketAddr>;
    type Error = ResolveError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, ResolveError>> + Send>>;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), ResolveError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, name: dns::Name) -> Self::Future {
        Box::pin(self.clone().addresses(name.as_str().to_owned()))
    }
}

/// The addresses that may be called.
fn allowed(
    addresses: impl Iterator<Item = SocketAddr>,
) -> Result<vec::IntoIter<SocketAddr>, ResolveError> {
    let allowed: Vec<SocketAddr> =
        addresses.filter(|address| !address::is_forbidden(address.ip())).collect();
    if allowed.is_empty() { Err(ResolveError::Forbidden) } else { Ok(allowed.into_iter()) }
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
