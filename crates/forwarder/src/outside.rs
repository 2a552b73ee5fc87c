//! What the forwarder has from outside: time, a place for its log, destinations, queues, and the services
//! that keep secrets. One seam, so that everything above it runs in a simulation as it is.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use domain::batch::Kept;
use domain::dead_letter::Outgoing;
use domain::outcome::{Answer, TransportError};
use domain::route::{Destination, Route};
use domain::secret::{Secret, SecretReference};
use domain::time::Timestamp;
use http::HeaderMap;

use crate::aws::{AwsError, AwsSecrets};
use crate::identity::{Clients, IdentityError};
use crate::queue::{Queue, QueueError};
use crate::timeout::Timers;
use crate::{Settings, StartError, logging, services, tls};

/// How an exchange ended.
#[derive(Debug)]
pub struct Exchange {
    /// What was answered, or why nothing was.
    pub answer: Result<Answer, TransportError>,
    /// How long it took.
    pub latency: Duration,
}

/// What is outside. What passes there is measured by [`tokio::time`], which a simulation can set as well.
pub trait Outside: fmt::Debug {
    /// What the wall clock says.
    fn now(&self) -> Timestamp;

    /// Writes whole lines of the log, in one piece.
    fn write(&self, lines: &[u8]);

    /// Posts `body` to `destination` within its timeout.
    fn post(
        &self,
        destination: &Destination,
        headers: HeaderMap,
        body: Bytes,
    ) -> impl Future<Output = Exchange>;

    /// Makes new connections of those who are identified by `reference` show this certificate.
    ///
    /// # Errors
    ///
    /// [`IdentityError`] if it is none.
    fn identify(
        &self,
        reference: &SecretReference,
        certificate: &Arc<Secret>,
    ) -> Result<(), IdentityError>;

    /// Sets the visibility timeouts of messages that stay in the queue.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if some were not set; for those the queue's own timeout applies, which is
    /// slower, and still in order.
    fn change_visibility(
        &self,
        kept: &[Kept],
        time_left: Duration,
    ) -> impl Future<Output = Result<(), QueueError>>;

    /// Sends a dead letter.
    ///
    /// # Errors
    ///
    /// [`QueueError`] if SQS has not taken it; the original must stay then.
    fn send_dead_letter(
        &self,
        letter: Outgoing,
        time_left: Duration,
    ) -> impl Future<Output = Result<(), QueueError>>;

    /// The value of a parameter of Systems Manager's Parameter Store, decrypted.
    ///
    /// # Errors
    ///
    /// [`AwsError`] if it is not to be had.
    fn parameter(
        &self,
        name: &str,
        time_left: Duration,
    ) -> impl Future<Output = Result<Vec<u8>, AwsError>>;

    /// The current value of a secret of Secrets Manager.
    ///
    /// # Errors
    ///
    /// [`AwsError`] if it is not to be had.
    fn secret(
        &self,
        id: &str,
        time_left: Duration,
    ) -> impl Future<Output = Result<Vec<u8>, AwsError>>;
}

/// The network, the system's clock and standard output.
#[derive(Debug)]
pub struct Network {
    clients: Clients,
    timers: Timers,
    queue: Queue,
    secrets: AwsSecrets,
}

impl Network {
    pub(crate) fn new(settings: &Settings) -> Result<Self, StartError> {
        let Settings { config, queue_url, dead_letter_queue_url, aws, ssl_cert_file, .. } =
            settings;
        let tls = tls::client_config(ssl_cert_file.as_deref())?;
        let services = services::client(tls.clone()).map_err(StartError::Client)?;
        let destinations = config.routes().values().flat_map(Route::destinations);
        let (url, dead_letter_url) = (queue_url.clone(), dead_letter_queue_url.clone());
        Ok(Self {
            clients: Clients::new(&tls, config.proxy(), destinations),
            timers: Timers::default(),
            secrets: AwsSecrets::new(Arc::clone(aws), services.clone()),
            queue: Queue::new(url, dead_letter_url, Arc::clone(aws), services),
        })
    }
}

impl Outside for Network {
    fn now(&self) -> Timestamp {
        SystemTime::now().into()
    }

    fn write(&self, lines: &[u8]) {
        logging::write(lines);
    }

    async fn post(&self, destination: &Destination, headers: HeaderMap, body: Bytes) -> Exchange {
        let client = self.clients.of(destination);
        client.post(&self.timers, destination.url(), destination.timeout(), headers, body).await
    }

    fn identify(
        &self,
        reference: &SecretReference,
        certificate: &Arc<Secret>,
    ) -> Result<(), IdentityError> {
        self.clients.identify(reference, certificate)
    }

    async fn change_visibility(
        &self,
        kept: &[Kept],
        time_left: Duration,
    ) -> Result<(), QueueError> {
        self.queue.change_visibility(kept, time_left).await
    }

    async fn send_dead_letter(
        &self,
        letter: Outgoing,
        time_left: Duration,
    ) -> Result<(), QueueError> {
        self.queue.send_dead_letter(letter, time_left).await
    }

    async fn parameter(&self, name: &str, time_left: Duration) -> Result<Vec<u8>, AwsError> {
        self.secrets.parameter(name, time_left).await
    }

    async fn secret(&self, id: &str, time_left: Duration) -> Result<Vec<u8>, AwsError> {
        self.secrets.secret(id, time_left).await
    }
}
