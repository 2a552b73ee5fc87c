//! Messages that leave in another way than by delivery. Whoever runs the store hears of each, so that
//! nothing that was accepted leaves without a word.

use tokio::sync::mpsc;

/// That messages have left a queue. It is told once that is durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Departure {
    /// The queue's name.
    pub queue: String,
    /// Why they left.
    pub why: Why,
    /// Their route; "" for messages without one.
    pub route: String,
    /// How many; negative if there were more than were known of.
    pub messages: i64,
    /// The event, where it is one message.
    pub event_id: Option<String>,
}

/// Why messages left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Why {
    /// They were older than the queue's retention.
    Expired,
    /// Somebody deleted them over the API.
    Deleted,
    /// Somebody purged the queue, or deleted it.
    Purged,
    /// It is in its queue, and cannot be delivered as it was accepted. What stands for the event is its
    /// sequence number.
    Damaged,
    /// Nobody knows: they were counted, and their rows are not there.
    Gone,
}

/// Where departures are told.
pub(super) type Told = mpsc::UnboundedSender<Departure>;

/// Hears of them.
pub type Departures = mpsc::UnboundedReceiver<Departure>;
