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
        match result {
            Ok(mut logits) if logits.values.len() == rows * self.limits.vocabulary() => self.hand_out(&mut logits.values),
            Ok(logits) => self.fail(&DecoderError {
                message: format!("a step gave {} values, and not {rows} rows of {}", logits.values.len(), self.limits.vocabulary()),
                fatal: false,
            }),
            Err(error) => self.fail(&error),
        }
    }

    fn hand_out(&mut self, mut values: &mut [f32]) {
        let Self { running, pool, limits, progress, .. } = self;
        running.retain_mut(|sequence| {
            if sequence.part == 0 {
                return true;
            }
            let (rows, rest) = std::mem::take(&mut values).split_at_mut(sequence.rows() * limits.vocabulary());
            values = rest;
            let result = sequence.advance(rows, limits, progress);
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
