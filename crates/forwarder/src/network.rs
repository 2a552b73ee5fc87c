//! What is outside of the function itself: the network, the system's clock and standard output.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use domain::batch::Kept;
use domain::dead_letter::Outgoing;
use domain::route::{Destination, Route};
use domain::secret::{Secret, SecretReference};
use domain::time::Timestamp;
use http::HeaderMap;

use crate::aws::{AwsError, AwsSecrets};
use crate::client::Exchange;
use crate::identity::{Clients, IdentityError};
use crate::outside::Outside;
use crate::queue::{Queue, QueueError};
use crate::timeout::Timers;
use crate::{Settings, StartError, logging, services, tls};

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
