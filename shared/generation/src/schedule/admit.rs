//! Which waiting sequences get their place.

use super::{
    Rank, Scheduler,
    pen::Over,
    sequence::Sequence,
    waiting::{Look, Seat},
};
use crate::blocks::Pool;

/// Sequences that are passed over in one step at most, so that a long queue costs no more than a short one.
const MOST_LOOKS: usize = 64;

/// What is to do for the next one.
enum Verdict {
    /// It can start.
    Fits(Seat),
    /// It can when one of a lower class has lost its place.
    Displaces,
    /// There is none, or it has to wait.
    Nobody,
}

impl Scheduler {
    /// Gives waiting sequences their places, as long as the cache has room for their blocks and the step for one of their tokens at least, when
    /// all that go before them have had theirs of the `tokens` that the step has left.
    pub(super) fn admit(&mut self, tokens: usize) {
        let mut looks = MOST_LOOKS;
        loop {
            match self.next(tokens, &mut looks) {
                Verdict::Fits(seat) => match self.waiting.take(seat) {
                    Some(sequence) => self.start(sequence),
                    None => break,
                },
                Verdict::Displaces => self.preempt_last(),
                Verdict::Nobody => break,
            }
        }
    }

    /// The next one that may start. One that does not fit keeps its turn: were smaller ones let past, it might wait for ever.
    fn next(&mut self, tokens: usize, looks: &mut usize) -> Verdict {
        let Self { waiting, running, pool, found, settings, .. } = self;
        // A block for each that runs is left over, or the newcomer would soon lose its place again.
        let free = pool.available().saturating_sub(running.len());
        let mut displaces = false;
        let seat = waiting.find(|sequence| {
            if is_held_back(sequence, running, pool, found) {
                *looks = looks.saturating_sub(1);
                return if *looks == 0 { Look::Stop } else { Look::Skip };
            }
            if before(sequence, running, settings.extra_rows) >= tokens {
                return Look::Stop;
            }
            let lower = lower_blocks(sequence, running);
            if lower == 0 && (running.len() >= settings.max_running || sequence.refused.is_some_and(|refused| free <= refused)) {
                return Look::Stop;
            }
            let needs = needs(sequence, pool, found);
            if needs > free {
                sequence.refused = Some(free);
            } else if running.len() < settings.max_running {
                return Look::Take;
            }
            displaces = lower > 0 && needs <= free + lower;
            Look::Stop
        });
        match seat {
            Some(seat) => Verdict::Fits(seat),
            None if displaces => Verdict::Displaces,
            None => Verdict::Nobody,
        }
    }

    /// Starts a sequence whose blocks were just found to fit.
    fn start(&mut self, mut sequence: Sequence) {
        self.pool.open(&mut sequence.table, &self.found);
        let tokens = sequence.known().len();
        let fits = self.pool.grow(&mut sequence.table, tokens);
        debug_assert!(fits, "an admitted sequence has its blocks");
        sequence.start(self.found.len() * self.pool.block_tokens());
        if let Err(over) = self.begin(&mut sequence) {
            self.pool.clear(&mut sequence.table);
            return sequence.pen.put_down(over);
        }
        let place = self.running.partition_point(|other| other.rank < sequence.rank);
        self.running.insert(place, sequence);
    }

    fn begin(&mut self, sequence: &mut Sequence) -> Result<(), Over> {
        if sequence.begun {
            return Ok(());
        }
        sequence.begun = true;
        self.figures.prompt_tokens_cached += sequence.cached as u64;
        sequence.pen.begin(sequence.prompt(), sequence.cached)
    }
}

/// How many tokens those would read in this step that go before it, and have no part in the step yet.
fn before(sequence: &Sequence, running: &[Sequence], extra_rows: usize) -> usize {
    let first = running.iter().take_while(|other| other.rank < sequence.rank);
    let reads = |other: &Sequence| other.to_read().min(if other.reads_aloud() { extra_rows + 1 } else { usize::MAX });
    first.filter(|other| other.part == 0).map(reads).sum()
}

/// How many blocks a sequence has to get that are free now; leaves in `found` those whose content the cache has.
fn needs(sequence: &Sequence, pool: &Pool, found: &mut Vec<u32>) -> usize {
    pool.find(&sequence.scope, sequence.skippable(), found);
    let in_use = found.iter().filter(|&&block| !pool.is_idle(block)).count();
    sequence.known().len().div_ceil(pool.block_tokens()) - in_use
}

/// How many blocks those of lower classes would leave at most, each with the one that is kept for it.
fn lower_blocks(sequence: &Sequence, running: &[Sequence]) -> usize {
    let lower = running.iter().rev().take_while(|other| other.rank.priority > sequence.rank.priority);
    lower.map(|other| other.table.blocks().len() + 1).sum()
}

/// Whether a running sequence is about to read what this one begins with, so that reading it here too would be the same work done twice. A sequence
/// waits only for one of its own class or a higher one, which runs: it never waits in a circle, nor for what is itself put off.
fn is_held_back(sequence: &mut Sequence, running: &[Sequence], pool: &Pool, found: &mut Vec<u32>) -> bool {
    if let Some((rank, until)) = sequence.waits_for {
        if running.iter().any(|other| other.rank == rank && other.cached < until) {
            return true;
        }
        sequence.waits_for = None;
    }
    let Some((rank, until)) = longest_common(sequence, running, pool.block_tokens()) else { return false };
    pool.find(&sequence.scope, sequence.skippable(), found);
    if found.len() * pool.block_tokens() >= until {
        return false;
    }
    sequence.waits_for = Some((rank, until));
    true
}

/// The running sequence that is still reading the most of this one's beginning, and how many tokens that is, in whole blocks.
fn longest_common(sequence: &Sequence, running: &[Sequence], block_tokens: usize) -> Option<(Rank, usize)> {
    let wanted = sequence.skippable();
    let reading = running
        .iter()
        .filter(|other| other.to_read() > 1 && other.rank.priority <= sequence.rank.priority && other.scope == sequence.scope);
    let common = reading.map(|other| {
        let same = wanted.iter().zip(other.known()).take_while(|(one, other)| one == other).count();
        (other.rank, other.cached, same - same % block_tokens)
    });
    let to_come = common.filter(|(_, cached, until)| cached < until);
    to_come.max_by_key(|&(_, _, until)| until).map(|(rank, _, until)| (rank, until))
}
