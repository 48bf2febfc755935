//! Where one is in Consul's history, and when to ask again.

use std::time::Duration;

use crate::retry::Retry;

/// A Consul that changes faster is not asked faster.
const BETWEEN_ANSWERS: Duration = Duration::from_millis(20);

/// The index to ask with. Consul's documentation, "Blocking Queries": an index that goes backwards or is below 1 means to begin again.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    index: u64,
    retry: Retry,
}

/// What an index says of the state that it came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Memory {
    /// A later state than the last.
    Kept,
    /// A state with another history: Consul has forgotten what it knew.
    Lost,
}

impl Position {
    /// 0 after a failure: a Consul that has lost its memory would leave a question for what comes after an index that it has not reached yet open until the wait is over.
    pub(super) fn index(&self) -> u64 {
        if self.retry.is_failing() { 0 } else { self.index }
    }

    pub(super) fn answered(&mut self, index: u64) -> Memory {
        self.retry.answered();
        let memory = if index < self.index { Memory::Lost } else { Memory::Kept };
        // After a loss the next question waits for what comes after this answer, which is already the new history's.
        self.index = index.max(1);
        memory
    }

    pub(super) fn failed(&mut self) {
        self.retry.failed();
    }

    /// Whether the last question failed and the one before did not: the moment to say so.
    pub(super) fn has_just_failed(&self) -> bool {
        self.retry.has_just_failed()
    }

    /// How long to wait before the next question; `draw` of 0 to 1 spreads those who failed together.
    pub(super) fn pause(&self, draw: f64) -> Duration {
        self.retry.pause(draw).max(BETWEEN_ANSWERS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_that_goes_backwards_is_another_history() {
        let mut position = Position::default();
        assert_eq!(position.answered(90), Memory::Kept);
        assert_eq!(position.answered(90), Memory::Kept);
        assert_eq!(position.answered(12), Memory::Lost);
        assert_eq!(position.answered(13), Memory::Kept);
        assert_eq!(position.index(), 13);
    }

    #[test]
    fn after_a_failure_the_question_is_for_what_there_is_and_a_loss_is_still_noticed() {
        let mut position = Position::default();
        position.answered(90);
        position.failed();
        assert_eq!(position.index(), 0);
        assert_eq!(position.answered(12), Memory::Lost);
        assert_eq!(position.index(), 12);
    }

    #[test]
    fn an_index_of_zero_would_never_wait_and_becomes_one() {
        let mut position = Position::default();
        position.answered(0);
        assert_eq!(position.index(), 1);
    }

    #[test]
    fn a_consul_that_changes_all_the_time_is_not_asked_all_the_time() {
        let mut position = Position::default();
        position.answered(1);
        assert_eq!(position.pause(0.5), BETWEEN_ANSWERS);
        position.failed();
        assert!(position.pause(0.5) > BETWEEN_ANSWERS);
    }
}
