//! May an operator have a waiting event attempted now, before its schedule says so?

/// Of the receives that the queue's redrive policy allows, those that people may not use up, as one in so
/// many: retries of the schedule need the others.
const KEPT_OF: u32 = 10;

/// Whether a message that was received so often may be received once more than its schedule says, where
/// the queue moves it to the dead-letter queue after `max_receive_count` receives, as it does with what
/// crashes the function.
#[must_use]
pub fn may_be_early(receive_count: u32, max_receive_count: u32) -> bool {
    receive_count < max_receive_count - max_receive_count / KEPT_OF
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_receives_is_left_to_the_schedule() {
        assert!(may_be_early(899, 1_000));
        assert!(!may_be_early(900, 1_000));
        assert!(may_be_early(4, 5));
        assert!(!may_be_early(5, 5));
        assert!(!may_be_early(u32::MAX, 1));
    }
}
