//! The next step: first the tokens that were chosen in the last one, then prompts, of new sequences too, then guesses.

use std::time::Instant;

use super::{Scheduler, sequence::Sequence};
use crate::Span;

/// What a step has still room for.
struct Room {
    tokens: usize,
    /// Rows of logits beyond one a sequence.
    extra_rows: usize,
}

impl Room {
    /// Makes as much as possible of what the sequence has to read its part of the step.
    fn read_on(&mut self, sequence: &mut Sequence) {
        let most = if sequence.reads_aloud() { self.tokens.min(self.extra_rows + 1) } else { self.tokens };
        sequence.part = sequence.to_read().min(most);
        self.tokens -= sequence.part;
        self.extra_rows -= sequence.rows().saturating_sub(1);
    }
}

impl Scheduler {
    /// Decides on the next step; false where nothing is to do.
    pub(crate) fn plan(&mut self, now: Instant) -> bool {
        self.drop_what_is_over(now);
        let mut room = Room { tokens: self.settings.step_tokens, extra_rows: self.settings.extra_rows };
        // Of a failed step each is tried alone; its blocks are those that it had then.
        if let Some(suspect) = self.running.iter_mut().find(|sequence| sequence.is_suspect()) {
            room.read_on(suspect);
            return true;
        }
        self.write_on(&mut room);
        self.admit(room.tokens);
        for sequence in self.running.iter_mut().filter(|sequence| sequence.part == 0) {
            room.read_on(sequence);
        }
        self.guess(&mut room);
        self.running.iter().any(|sequence| sequence.part > 0)
    }

    /// The step that was planned.
    pub(crate) fn spans(&self) -> Vec<Span<'_>> {
        self.running.iter().filter(|sequence| sequence.part > 0).map(Sequence::span).collect()
    }

    fn drop_what_is_over(&mut self, now: Instant) {
        let Self { running, waiting, pool, .. } = self;
        let mut keep = |sequence: &mut Sequence| match sequence.check(now) {
            Ok(()) => true,
            Err(over) => {
                pool.clear(&mut sequence.table);
                sequence.pen.put_down(over);
                false
            }
        };
        running.retain_mut(&mut keep);
        waiting.retain(keep);
    }

    /// Gives each running sequence that has but one token to read its place in the step, and takes that of others where blocks are short.
    fn write_on(&mut self, room: &mut Room) {
        let mut place = 0;
        while place < self.running.len() {
            if self.running[place].to_read() == 1 && self.make_space(place) {
                room.read_on(&mut self.running[place]);
            }
            place += 1;
        }
    }

    /// Whether the sequence has a block for its next token. The last of all loses its place until it has, and if it is that one itself.
    fn make_space(&mut self, place: usize) -> bool {
        while place < self.running.len() {
            let sequence = &mut self.running[place];
            if self.pool.grow(&mut sequence.table, sequence.cached + 1) {
                return true;
            }
            self.preempt_last();
        }
        false
    }

    /// Takes the place of the one that goes last, and its part of the step.
    pub(super) fn preempt_last(&mut self) {
        let Some(mut last) = self.running.pop() else { return };
        self.pool.clear(&mut last.table);
        last.stop();
        self.waiting.put_back(last);
        self.figures.preemptions += 1;
    }

    /// Adds guesses where tokens, rows and blocks are left over. Nobody loses a place for them.
    fn guess(&mut self, room: &mut Room) {
        let Some(lookup) = self.settings.lookup else { return };
        let spare = self.running.len();
        for sequence in &mut self.running {
            let most = lookup.most_guesses.min(room.tokens).min(room.extra_rows).min(sequence.guessable());
            if most == 0 || sequence.part != 1 || sequence.to_read() != 1 {
                continue;
            }
            let mut guesses = sequence.look_up(lookup, most);
            let (tokens, blocks) = (sequence.known().len(), sequence.table.blocks().len());
            let new = (tokens + guesses.len()).div_ceil(self.pool.block_tokens()).saturating_sub(blocks);
            if self.pool.available() < new + spare {
                guesses.end = guesses.end.min(guesses.start + blocks * self.pool.block_tokens() - tokens);
            }
            self.pool.grow(&mut sequence.table, tokens + guesses.len());
            room.tokens -= guesses.len();
            room.extra_rows -= guesses.len();
            sequence.guess(guesses);
        }
    }
}
