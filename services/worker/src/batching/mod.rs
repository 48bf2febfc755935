//! Which waiting rows run together, and when: plain functions of what waits and of the time.

pub mod costs;
mod slice;

use std::{
    collections::{HashMap, HashSet},
    time::{Duration, Instant},
};

pub use self::slice::slice;
use crate::manifest::Batching;

/// Sequences shorter than this count as this long when lengths are compared: the padding between them costs next to nothing.
const SHORT: usize = 8;
/// An engine that packs its rows gets and gives padded tensors all the same: they may hold so many times the token budget.
const PACKED: usize = 4;
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

/// What limits a batch beside its rows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// Sequence elements that one forward may run.
    pub max_tokens: usize,
    /// The longest sequence against the shortest, at least 1; none for an engine that packs its rows: padding costs it nothing, so any lengths go
    /// together, and only real tokens count.
    pub length_ratio: Option<f64>,
}

impl Rules {
    /// The rules of a manifest, for an engine that multiplies padding or does not.
    pub fn of(batching: &Batching, padding_costs: bool) -> Self {
        Self { max_tokens: batching.max_padded_tokens, length_ratio: padding_costs.then_some(batching.length_ratio) }
    }

    fn compatible(&self, one: usize, other: usize) -> bool {
        let (shorter, longer) = (one.min(other).max(SHORT), one.max(other).max(SHORT));
        self.length_ratio.is_none_or(|ratio| longer as f64 <= shorter as f64 * ratio)
    }
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

/// Chooses the next batch of at most `max_rows` rows. The first candidate, whose turn it is, is always in it.
///
/// The others join in the order of how near their length is to the first one's (where padding costs), then in theirs. One that does not fit is passed
/// over, never the end of the search. When not all fit, every request first gets an even share of the batch, so that a request of a
/// thousand rows does not hold up those of one. The picks come in the order of the candidates.
pub fn select<'a>(candidates: impl Iterator<Item = Candidate<'a>>, max_rows: usize, rules: &Rules) -> Vec<Pick> {
    let near = near(candidates, max_rows, rules);
    let Some(&Near { candidate: seed, .. }) = near.first() else { return Vec::new() };
    if seed.length > rules.max_tokens {
        // Longer than the token budget: it runs alone.
        return vec![Pick { index: 0, rows: 1 }];
    }
    let mixed = rules.length_ratio.is_some() && near.iter().any(|other| other.candidate.length != seed.length);
    let mut order = near;
    if mixed {
        order.sort_by_key(|near| near.candidate.length.abs_diff(seed.length));
    }
    let mut batch = Shape { rows: 0, tokens: 0, shortest: seed.length, longest: seed.length };
    let wanted: usize = order.iter().map(|near| near.candidate.rows).sum();
    if wanted > max_rows {
        let owners = order.iter().map(|near| near.candidate.owner).collect::<HashSet<_>>().len();
        if owners < wanted {
            batch.fill_evenly(&mut order, (max_rows / owners).max(1), max_rows, rules);
        }
    }
    for near in &mut order {
        near.taken += batch.take(near.left(), max_rows, rules);
    }
    let mut picks: Vec<_> = order.iter().filter(|near| near.taken > 0).map(|near| Pick { index: near.index, rows: near.taken }).collect();
    if mixed {
        picks.sort_unstable_by_key(|pick| pick.index);
    }
    picks
}

/// A candidate that can share a batch with the first.
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

/// The first candidate and those that can share a batch with it, in their order; no more of them than can be of use.
fn near<'a>(candidates: impl Iterator<Item = Candidate<'a>>, max_rows: usize, rules: &Rules) -> Vec<Near<'a>> {
    let mut near: Vec<Near<'a>> = Vec::new();
    // Requests with a row as good as the first: a batch full of them cannot be bettered.
    let mut equal_owners = HashSet::new();
    for (index, candidate) in candidates.take(SCAN).enumerate() {
        let Some(Near { candidate: seed, .. }) = near.first() else {
            near.push(Near { index, candidate, taken: 0 });
            equal_owners.insert(candidate.owner);
            continue;
        };
        if equal_owners.len() >= max_rows {
            break;
        }
        if candidate.shape == seed.shape && rules.compatible(seed.length, candidate.length) {
            if candidate.length == seed.length || rules.length_ratio.is_none() {
                equal_owners.insert(candidate.owner);
            }
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

/// When a caller who finds the queue full should try again: the time that half of the queue takes, where all of it takes `wait`.
pub fn retry_after(wait: Duration) -> Duration {
    (wait / 2).clamp(Duration::from_millis(1), Duration::from_secs(10))
}

/// A batch so far.
struct Shape {
    rows: usize,
    /// Without padding.
    tokens: usize,
    shortest: usize,
    longest: usize,
}

impl Shape {
    /// Adds rows of each owner until it has `share` of them.
    fn fill_evenly(&mut self, order: &mut [Near<'_>], share: usize, max_rows: usize, rules: &Rules) {
        let mut given: HashMap<usize, usize> = HashMap::new();
        for near in order {
            let given = given.entry(near.candidate.owner).or_default();
            let rows = near.candidate.rows.min(share - *given);
            near.taken = self.take(Candidate { rows, ..near.candidate }, max_rows, rules);
            *given += near.taken;
        }
    }

    /// Adds as many of the candidate's rows as fit, and says how many.
    fn take(&mut self, candidate: Candidate<'_>, max_rows: usize, rules: &Rules) -> usize {
        let shortest = self.shortest.min(candidate.length);
        let longest = self.longest.max(candidate.length);
        if !rules.compatible(shortest, longest) {
            return 0;
        }
        let by_tokens = if rules.length_ratio.is_some() {
            (rules.max_tokens / longest.max(1)).saturating_sub(self.rows)
        } else {
            let padded = (PACKED * rules.max_tokens / longest.max(1)).saturating_sub(self.rows);
            padded.min(rules.max_tokens.saturating_sub(self.tokens) / candidate.length.max(1))
        };
        let rows = candidate.rows.min(by_tokens).min(max_rows.saturating_sub(self.rows));
        if rows > 0 {
            *self = Self { rows: self.rows + rows, tokens: self.tokens + rows * candidate.length, shortest, longest };
        }
        rows
    }
}

#[cfg(test)]
mod tests;
