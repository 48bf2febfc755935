//! Which waiting rows run together, and when: plain functions of what waits and of the time.

use std::{
    collections::HashMap,
    time::{Duration, Instant},
};

use crate::manifest::Batching;

/// Sequences shorter than this count as this long when lengths are compared: the padding between them costs next to nothing.
const SHORT: usize = 8;
/// How many waiting parts are looked at for one batch, so that a long queue cannot make the choice slow.
const SCAN: usize = 4096;

/// Rows that wait, as far as batching looks at them.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// Whose: equal for the rows of one request.
    pub owner: usize,
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
/// over, never the end of the search. When not all fit, every request first gets an even share of the batch, so that a request of a
/// thousand rows does not hold up those of one. The picks come in the order of the candidates.
pub fn select<'a>(candidates: impl Iterator<Item = Candidate<'a>>, max_rows: usize, rules: &Batching) -> Vec<Pick> {
    let near = near(candidates, max_rows, rules);
    let Some(&Near { candidate: seed, .. }) = near.first() else { return Vec::new() };
    let owners = 1 + near.windows(2).filter(|pair| pair[0].candidate.owner != pair[1].candidate.owner).count();
    let mixed = near.iter().any(|other| other.candidate.length != seed.length);
    let mut order = near;
    if mixed {
        order.sort_by_key(|near| near.candidate.length.abs_diff(seed.length));
    }
    let mut batch = Shape { rows: 0, shortest: seed.length, longest: seed.length };
    let wanted: usize = order.iter().map(|near| near.candidate.rows).sum();
    if wanted > max_rows && owners < wanted {
        batch.fill_evenly(&mut order, (max_rows / owners).max(1), max_rows, rules);
    }
    for near in &mut order {
        near.taken += batch.take(near.left(), max_rows, rules);
    }
    let mut picks: Vec<_> = order.iter().filter(|near| near.taken > 0).map(|near| Pick { index: near.index, rows: near.taken }).collect();
    if mixed {
        picks.sort_unstable_by_key(|pick| pick.index);
    }
    if batch.rows == 0 {
        // Longer than the token budget: it runs alone.
        picks.push(Pick { index: 0, rows: 1 });
    }
    picks
}

/// A candidate that can share a batch with the oldest.
struct Near<'a> {
    index: usize,
    candidate: Candidate<'a>,
    taken: usize,
}

impl<'a> Near<'a> {
    fn left(&self) -> Candidate<'a> {
        Candidate { rows: self.candidate.rows - self.taken, ..self.candidate }
    }
}

/// The oldest candidate and those that can share a batch with it, in their order; no more of them than can be of use.
fn near<'a>(candidates: impl Iterator<Item = Candidate<'a>>, max_rows: usize, rules: &Batching) -> Vec<Near<'a>> {
    let mut near: Vec<Near<'a>> = Vec::new();
    // Requests with a row as long as the oldest: a batch full of them cannot be bettered.
    let mut equal_owners = 0;
    for (index, candidate) in candidates.take(SCAN).enumerate() {
        let Some(Near { candidate: seed, .. }) = near.first() else {
            near.push(Near { index, candidate, taken: 0 });
            equal_owners = 1;
            continue;
        };
        if equal_owners >= max_rows {
            break;
        }
        if candidate.shape == seed.shape && compatible(seed.length, candidate.length, rules) {
            let new_owner = near.last().is_none_or(|last| last.candidate.owner != candidate.owner);
            equal_owners += usize::from(new_owner && candidate.length == seed.length);
            near.push(Near { index, candidate, taken: 0 });
        }
    }
    near
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
    /// Adds rows of each owner until it has `share` of them.
    fn fill_evenly(&mut self, order: &mut [Near<'_>], share: usize, max_rows: usize, rules: &Batching) {
        let mut given: HashMap<usize, usize> = HashMap::new();
        for near in order {
            let given = given.entry(near.candidate.owner).or_default();
            let rows = near.candidate.rows.min(share - *given);
            near.taken = self.take(Candidate { rows, ..near.candidate }, max_rows, rules);
            *given += near.taken;
        }
    }

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
