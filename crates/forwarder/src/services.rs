//! The HTTP client for what is no destination: AWS's services and Lambda's Runtime API.

use std::sync::Arc;
use std::time::Duration;

use reqwest::Client;
use rustls::ClientConfig;

use crate::resolve::Resolver;

/// How long an idle connection is kept.
const IDLE: Duration = Duration::from_secs(50);

/// Kept-alive connections, no redirects, no proxy, no metadata services.
pub(crate) fn client(tls: ClientConfig) -> Result<Client, reqwest::Error> {
    Client::builder()
        .tls_backend_preconfigured(tls)
        .redirect(reqwest::redirect::Policy::none())
        .retry(reqwest::retry::never())
        .no_proxy()
        .http1_only()
        .tcp_nodelay(true)
        .pool_idle_timeout(IDLE)
        .referer(false)
        .dns_resolver(Arc::new(Resolver::System))
        .build()
}
