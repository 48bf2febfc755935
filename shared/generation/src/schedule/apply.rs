//! What came of a step.

use std::time::Duration;

use super::{Scheduler, pen::Over, sequence::Sequence};
use crate::{DecoderError, End, Logits};

impl Scheduler {
    /// The step that was planned took so long and gave this. Where it failed, each of its sequences is tried alone in the steps to come, and one
    /// that fails alone too is over.
    pub(crate) fn apply(&mut self, time: Duration, result: Result<Logits, DecoderError>) {
        self.figures.steps += 1;
        self.figures.step_time += time;
        let rows: usize = self.running.iter().map(Sequence::rows).sum();
        let chosen = self.running.iter().filter(|sequence| sequence.is_chosen_for()).count();
        match result {
            Ok(logits) if logits.values.len() == rows * self.limits.vocabulary() && logits.likeliest.len() == chosen => {
                self.hand_out(logits);
            }
            Ok(Logits { values, likeliest }) => self.fail(&DecoderError {
                message: format!(
                    "a step gave {} values and {} tokens, and not {rows} rows of {} and {chosen} tokens",
                    values.len(),
                    likeliest.len(),
                    self.limits.vocabulary()
                ),
                fatal: false,
            }),
            Err(error) => self.fail(&error),
        }
    }

    fn hand_out(&mut self, mut logits: Logits) {
        let mut values = logits.values.as_mut_slice();
        let mut likeliest = logits.likeliest.into_iter();
        let Self { running, pool, limits, progress, .. } = self;
        running.retain_mut(|sequence| {
            if sequence.part == 0 {
                return true;
            }
            let result = if sequence.is_chosen_for() {
                sequence.advance_by(likeliest.next().flatten(), limits, progress)
            } else {
                let (rows, rest) = std::mem::take(&mut values).split_at_mut(sequence.rows() * limits.vocabulary());
                values = rest;
                sequence.advance(rows, limits, progress)
            };
            sequence.settle(pool);
            let Err(over) = result else { return true };
            pool.clear(&mut sequence.table);
            sequence.pen.put_down(over);
            false
        });
    }

    fn fail(&mut self, error: &DecoderError) {
        self.figures.steps_failed += 1;
        let Self { running, pool, .. } = self;
        running.retain_mut(|sequence| {
            if sequence.part == 0 {
                return true;
            }
            // A suspect is alone in its step.
            if sequence.is_suspect() {
                pool.clear(&mut sequence.table);
                sequence.pen.put_down(Over::Tell(End::Failed(error.clone())));
                return false;
            }
            sequence.fall_back(pool.block_tokens());
            true
        });
    }
}
