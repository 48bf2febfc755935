//! What a model's scheduler has done, and how it stands.

use std::time::Duration;

/// One look at a scheduler. Totals count from its beginning.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Figures {
    /// Sequences that have their place.
    pub running: usize,
    /// Sequences that wait for it, preempted ones among them.
    pub waiting: usize,
    /// Blocks in the cache.
    pub blocks: usize,
    /// Blocks that sequences hold.
    pub blocks_used: usize,
    /// Blocks that nobody holds, with content that can be used again.
    pub blocks_cached: usize,
    /// Total: prompt tokens that were read, each once.
    pub prompt_tokens: u64,
    /// Total: prompt tokens that were in the cache when their sequence began.
    pub prompt_tokens_cached: u64,
    /// Total: tokens that were read once more, after a preemption or a failed step.
    pub tokens_read_again: u64,
    /// Total: tokens that authors chose.
    pub tokens_written: u64,
    /// Total: sequences that lost their place to others.
    pub preemptions: u64,
    /// Total: tokens that were guessed.
    pub guesses: u64,
    /// Total: guesses that were right.
    pub guesses_accepted: u64,
    /// Total: steps, failed ones among them.
    pub steps: u64,
    /// Total: failed steps.
    pub steps_failed: u64,
    /// Total: time in steps, authors and scheduling apart.
    pub step_time: Duration,
}
