//! Receipt handles: which message, and which receive of it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::error::StoreError;

/// What a receipt handle says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Receipt {
    pub(super) queue_id: i64,
    pub(super) sequence: i64,
    pub(super) receive_number: i64,
}

/// First byte of a handle, so that one of another kind is recognised.
const FORM: u8 = 1;

impl Receipt {
    pub(super) fn handle(self) -> String {
        let mut bytes = vec![FORM];
        for number in [self.queue_id, self.sequence, self.receive_number] {
            bytes.extend(number.to_be_bytes());
        }
        STANDARD.encode(bytes)
    }

    /// Reads a handle of the queue `queue_id`.
    pub(super) fn parse(queue_id: i64, handle: &str) -> Result<Self, StoreError> {
        let invalid = || StoreError::ReceiptHandleIsInvalid(handle.to_owned());
        let bytes = STANDARD.decode(handle).map_err(|_| invalid())?;
        let (&[FORM], numbers) = bytes.split_at_checked(1).ok_or_else(invalid)? else {
            return Err(invalid());
        };
        let (numbers, rest) = numbers.as_chunks::<8>();
        let receipt = match (numbers, rest) {
            ([queue, sequence, receive], []) => Self {
                queue_id: i64::from_be_bytes(*queue),
                sequence: i64::from_be_bytes(*sequence),
                receive_number: i64::from_be_bytes(*receive),
            },
            _ => return Err(invalid()),
        };
        if receipt.queue_id == queue_id { Ok(receipt) } else { Err(invalid()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_handle_leads_back_to_its_receive() {
        let receipt = Receipt { queue_id: 7, sequence: i64::MAX, receive_number: 3 };
        assert_eq!(Receipt::parse(7, &receipt.handle()).unwrap(), receipt);
    }

    #[test]
    fn anything_else_is_no_handle() {
        let of_another_queue = Receipt { queue_id: 8, sequence: 1, receive_number: 1 }.handle();
        for bad in ["", "x", "AQ==", "Ag==", &"A".repeat(400), &of_another_queue] {
            let error = Receipt::parse(7, bad).unwrap_err();
            assert!(matches!(error, StoreError::ReceiptHandleIsInvalid(_)), "{bad}");
        }
    }
}
