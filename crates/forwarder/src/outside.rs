//! What the forwarder has from outside: time, a place for its log, destinations, queues, and the services
//! that keep secrets. One seam, so that everything above it runs in a simulation as it is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use domain::batch::Kept;
use domain::dead_letter::Outgoing;
use domain::route::Destination;
use domain::secret::{Secret, SecretReference};
use domain::time::Timestamp;
use http::HeaderMap;

use crate::aws::AwsError;
use crate::client::Exchange;
use crate::identity::IdentityError;
use crate::queue::QueueError;

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
