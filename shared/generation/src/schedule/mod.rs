//! Which sequences run in a step, whose blocks are theirs, and what becomes of the logits.
//!
//! [`Scheduler::plan`] decides on a step, [`Scheduler::spans`] is what the model is given, [`Scheduler::apply`] is told what came of it. None of
//! them waits, and time is an argument. While there is any sequence there is a step: one that waits fits when nothing runs.

mod admit;
mod apply;
mod figures;
mod guesses;
mod job;
mod pen;
mod plan;
mod sequence;
mod settings;
#[cfg(test)]
mod tests;
mod waiting;

pub use figures::Figures;
pub(crate) use job::Limits;
pub use job::{Job, Priority, SubmitError};
use sequence::{Progress, Rank, Sequence};
pub use settings::{Lookup, Settings};
use waiting::Waiting;

use crate::{DecoderFacts, End, blocks::Pool};

/// The sequences of one model.
pub(crate) struct Scheduler {
    settings: Settings,
    limits: Limits,
    pool: Pool,
    /// By rank: the last one is the first to lose its place.
    running: Vec<Sequence>,
    waiting: Waiting,
    arrivals: u64,
    figures: Figures,
    progress: Progress,
    /// Blocks that were found for the sequence at hand.
    found: Vec<u32>,
}

impl Scheduler {
    pub(crate) fn new(facts: &DecoderFacts, settings: Settings) -> Self {
        Self {
            settings: settings.sound(),
            limits: Limits::of(facts),
            pool: Pool::new(facts.blocks, facts.block_tokens),
            running: Vec::new(),
            waiting: Waiting::default(),
            arrivals: 0,
            figures: Figures::default(),
            progress: Progress::default(),
            found: Vec::new(),
        }
    }

    /// Takes a job that [`Limits::check`] has let through. How many wait is the caller's to bound.
    pub(crate) fn add(&mut self, job: Job) {
        self.arrivals += 1;
        let mut sequence = Sequence::new(job, self.arrivals, &self.limits);
        match sequence.pen.reads_prompt() {
            Ok(true) => sequence.read_aloud(),
            Ok(false) => {}
            Err(over) => return sequence.pen.put_down(over),
        }
        self.waiting.push(sequence);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.running.is_empty() && self.waiting.len() == 0
    }

    /// Sequences that wait and never had a place.
    pub(crate) fn fresh(&self) -> usize {
        self.waiting.fresh()
    }

    pub(crate) fn figures(&self) -> Figures {
        let progress = &self.progress;
        Figures {
            running: self.running.len(),
            waiting: self.waiting.len(),
            blocks: self.pool.size(),
            blocks_used: self.pool.used(),
            blocks_cached: self.pool.cached(),
            prompt_tokens: progress.prompt_tokens,
            tokens_read_again: progress.tokens_read_again,
            tokens_written: progress.tokens_written,
            guesses: progress.guesses,
            guesses_accepted: progress.guesses_accepted,
            ..self.figures
        }
    }

    /// Ends everything.
    pub(crate) fn end_all(&mut self, end: &End) {
        let Self { running, waiting, pool, .. } = self;
        let mut tell = |sequence: &mut Sequence| {
            pool.clear(&mut sequence.table);
            sequence.pen.put_down(pen::Over::Tell(end.clone()));
            false
        };
        running.retain_mut(&mut tell);
        waiting.retain(tell);
    }
}
