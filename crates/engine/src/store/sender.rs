//! Who sent a message.
//!
//! A receiver can tell what came from a stranger through the ingest from what somebody who may speak
//! SQS here has sent, an operator or the forwarder: SQS's `SenderId` says so on AWS as well.

use rusqlite::types::{FromSql, FromSqlResult, ToSql, ToSqlOutput, ValueRef};

/// `SenderId` of what the ingest accepted; on AWS a role's that API Gateway has assumed.
pub const INGEST_SENDER_ID: &str = "AROAINGESTLOCAL:ingest";

/// `SenderId` of what was sent over the SQS API.
pub const API_SENDER_ID: &str = "AIDALOCAL";

/// Who sent a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sender {
    /// Ingest: an event is accepted.
    Ingest,
    /// Whoever speaks SQS: the forwarder with a dead letter, an operator with one on its way back,
    /// somebody who sends straight to the queue.
    Api,
}

impl Sender {
    /// `SenderId`.
    #[must_use]
    pub fn id(self) -> &'static str {
        match self {
            Self::Ingest => INGEST_SENDER_ID,
            Self::Api => API_SENDER_ID,
        }
    }
}

impl ToSql for Sender {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok((*self == Self::Api).into())
    }
}

impl FromSql for Sender {
    fn column_result(value: ValueRef<'_>) -> FromSqlResult<Self> {
        Ok(if bool::column_result(value)? { Self::Api } else { Self::Ingest })
    }
}
