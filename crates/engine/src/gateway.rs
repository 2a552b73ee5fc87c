//! The ingest alone, in front of an AWS emulator: emulators keep an HTTP API's `SQS-SendMessage`
//! integrations but do not run them. What was deployed is what runs here, read back from there.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use domain::config::LogLevel;
use serde_json::json;
use tokio::net::TcpListener;
use url::Url;

use crate::clock::SystemClock;
use crate::failure::Failures;
use crate::ingest::{Backend, Emulator, Ingest};
use crate::log::Log;
use crate::server::Server;

/// A running gateway.
pub struct Gateway {
    server: Server,
    log: Log,
}

impl Gateway {
    /// Serves the routes of API `api_id` of the emulator at `endpoint`, on `listen`.
    ///
    /// Writes a line `listening` with the `address` to standard output, and then one for each
    /// request.
    ///
    /// # Errors
    ///
    /// When it cannot listen there.
    pub async fn start(endpoint: Url, api_id: String, listen: SocketAddr) -> io::Result<Self> {
        let clock = Arc::new(SystemClock::new());
        let log = Log::new(
            clock.clone(),
            LogLevel::Info,
            vec![Box::new(io::stdout())],
            &Failures::new(),
        )?;
        let backend = Backend::Emulator(Emulator::new(endpoint, api_id));
        let ingest = Arc::new(Ingest::new(backend, clock, log.clone()));
        let server =
            Server::start(TcpListener::bind(listen).await?, log.clone(), move |peer, request| {
                Arc::clone(&ingest).answer(peer, request)
            })?;
        log.announce(LogLevel::Info, "listening", json!({ "address": server.address() }));
        Ok(Self { server, log })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// Stops once the answers under way have left.
    pub async fn stop(self) {
        self.server.stop().await;
        self.log.flush();
    }
}
