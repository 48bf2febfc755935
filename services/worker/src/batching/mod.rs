//! Which waiting rows run together, and when: plain functions of what waits and of the time.

use std::time::{Duration, Instant};

use crate::manifest::Batching;

/// Sequences shorter than this count as this long when lengths are compared: the padding between them costs next to nothing.
const SHORT: usize = 8;
/// How many waiting parts are looked at for one batch, so that a long queue cannot make the choice slow.
const SCAN: usize = 4096;

/// Rows that wait, as far as batching looks at them.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// How many; each may run without the others.
    pub rows: usize,
    /// The sequence length of each row; 1 for models without sequences.
    pub length: usize,
    /// Dimensions that must be equal within a batch.
    pub shape: &'a [i64],
}

/// Rows chosen for a batch.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pick {
    /// Which candidate.
    pub index: usize,
    /// How many of its rows, from its front.
    pub rows: usize,
}

/// Whether to run now.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Moment {
    /// Run what was chosen.
    Run,
    /// More may come: look again when something arrives, and run at this instant at the latest.
    Wait(Instant),
}

/// Chooses the next batch of at most `max_rows` rows. The first candidate, the oldest, is always in it.
///
/// The others join in the order of how near their length is to the oldest's, then of age. One that does not fit is passed
/// over, never the end of the search. The picks come in the order of the candidates.
pub fn select<'a>(candidates: impl Iterator<Item = Candidate<'a>>, max_rows: usize, rules: &Batching) -> Vec<Pick> {
    let mut rest = candidates.take(SCAN).enumerate();
    let Some((_, seed)) = rest.next() else { return Vec::new() };
    let mut batch = Shape { rows: 0, shortest: seed.length, longest: seed.length };
    let taken = batch.take(seed, max_rows.max(1), rules).max(1);
    batch.rows = taken;
    let mut picks = vec![Pick { index: 0, rows: taken }];

    // Equal lengths first come, first served; only a mix of lengths has to be sorted.
    let mut mixed = false;
    let mut near = Vec::new();
    let mut equal_rows = taken;
    for (index, candidate) in rest {
        if equal_rows >= max_rows {
            break;
        }
        if candidate.shape == seed.shape && compatible(seed.length, candidate.length, rules) {
            let equal = candidate.length == seed.length;
            mixed |= !equal;
            equal_rows += if equal { candidate.rows } else { 0 };
            near.push((index, candidate));
        }
    }
    if mixed {
        near.sort_by_key(|(_, candidate)| candidate.length.abs_diff(seed.length));
    }
    for (index, candidate) in near {
        let rows = batch.take(candidate, max_rows, rules);
        if rows > 0 {
            picks.push(Pick { index, rows });
        }
    }
    if mixed {
        picks.sort_unstable_by_key(|pick| pick.index);
    }
    picks
}

/// Whether a batch of `rows` rows should run at `now`, or wait for company: `full` when nothing more fits.
pub fn moment(now: Instant, oldest: Instant, full: bool, delay: Duration) -> Moment {
    let until = oldest + delay;
    if full || now >= until { Moment::Run } else { Moment::Wait(until) }
}

/// How many rows one executor takes while `idle` others stand ready: an even share, so that the first does not take all.
pub fn share(waiting_rows: usize, idle: usize, max_batch: usize) -> usize {
    waiting_rows.div_ceil(idle + 1).clamp(1, max_batch)
}

/// When a caller who finds the queue full should try again: the time that half of the queue takes.
pub fn retry_after(waiting_rows: usize, instances: usize, seconds_a_row: f64) -> Duration {
    let seconds = seconds_a_row * waiting_rows as f64 / instances.max(1) as f64 / 2.0;
    Duration::from_secs_f64(if seconds.is_finite() { seconds.clamp(0.001, 10.0) } else { 1.0 })
}

fn compatible(one: usize, other: usize, rules: &Batching) -> bool {
    let (shorter, longer) = (one.min(other).max(SHORT), one.max(other).max(SHORT));
    longer as f64 <= shorter as f64 * rules.length_ratio
}

/// A batch so far.
struct Shape {
    rows: usize,
    shortest: usize,
    longest: usize,
}

impl Shape {
    /// Adds as many of the candidate's rows as fit, and says how many.
    fn take(&mut self, candidate: Candidate<'_>, max_rows: usize, rules: &Batching) -> usize {
        let shortest = self.shortest.min(candidate.length);
        let longest = self.longest.max(candidate.length);
        if !compatible(shortest, longest, rules) {
            return 0;
        }
        let by_tokens = rules.max_padded_tokens / longest.max(1);
        let room = max_rows.min(by_tokens).saturating_sub(self.rows);
        let rows = candidate.rows.min(room);
        if rows > 0 {
            *self = Self { rows: self.rows + rows, shortest, longest };
        }
        rows
    }
}

#[cfg(test)]
mod tests;
