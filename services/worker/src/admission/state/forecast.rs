//! What is foreseen of a request before it is let in, and of whoever waits: plain functions of the state, which they leave as it is.

use std::time::{Duration, Instant};

use super::{CHEAP, FlowKey, Part, State, nanos, seconds};

/// What was measured longer ago refuses nobody while an executor is free: the next forward may show that it is not so any more.
const STALE: Duration = Duration::from_secs(1);
/// A request that finds others waiting is let in when there is this much more time than it seems to need, in forwards: who comes after it may
/// have the right of way.
const MARGIN: f64 = 0.5;

/// Why a request cannot make its deadline.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::admission) enum TooLate {
    /// A forward of it takes so long, however short the queue.
    Alone(Duration),
    /// So long would it take with what waits before it.
    Behind(Duration),
}

impl State {
    /// Whether a request would miss its deadline, as far as the measured forwards tell.
    pub(in crate::admission) fn too_late(&self, now: Instant, flow: FlowKey, due: Instant, parts: &[Part]) -> Option<TooLate> {
        // What an explanation costs is not learnt.
        if !self.believes(now) || parts.iter().any(|part| part.attribution.is_some()) {
            return None;
        }
        let (rows, length) = parts.iter().fold((0, 0), |(rows, longest), part| (rows + part.rows, longest.max(part.length)));
        let length = length as f64;
        let left = due.saturating_duration_since(now).as_secs_f64();
        let short = self.short(now, flow.0, length);
        let best = short.unwrap_or(usize::MAX).min(self.size(length, left));
        let full = self.costs.forward(best, length);
        let own = parts.iter().map(|part| self.costs.row(part.length as f64) * part.rows as f64).sum::<f64>();
        let alone = self.costs.forward(rows.min(best), length) + (own - full).max(0.0) / self.instances as f64;
        if alone > left {
            return Some(TooLate::Alone(seconds(alone)));
        }
        // What waits is priced by what a row costs in the preferred batch, and costs more in short ones.
        let dearer = short.map_or(1.0, |_| (full / best as f64 / self.costs.row(length)).max(1.0));
        let ahead = dearer * self.flows.ahead(flow, due, nanos(own)) as f64 / 1e9;
        let batches = if full > 0.0 { (ahead / full).floor() } else { 0.0 };
        let company = self.flows.cost() as f64 / 1e9 / self.costs.row(length);
        let last = self.costs.forward((rows + company as usize).min(best), length);
        let free = self.next_free(now).saturating_duration_since(now).as_secs_f64();
        let wait = free + batches * full / self.instances as f64;
        let busy = free > 0.0 || self.rows > 0;
        let finish = wait + last + (own - full).max(0.0) + if busy { MARGIN * last } else { 0.0 };
        (finish > left).then(|| TooLate::Behind(seconds(finish)))
    }

    /// How many rows of `length` run together when there are `left` seconds: the preferred number, or fewer where that makes them in time and costs
    /// little.
    fn size(&self, length: f64, left: f64) -> usize {
        let best = self.costs.preferred(length);
        let fits = self.costs.within(left / 2.0, length).min(best);
        let each = |rows: usize| self.costs.forward(rows, length) / rows as f64;
        if fits > 0 && each(fits) <= CHEAP * each(best) { fits } else { best }
    }

    /// How long it is until an executor is free, and how long all that waits takes from then on.
    pub(in crate::admission) fn wait(&self, now: Instant) -> (Duration, Duration) {
        let free = self.next_free(now).saturating_duration_since(now);
        (free, Duration::from_nanos(self.flows.cost() / self.instances as u64))
    }

    /// Whether what was measured may refuse anybody.
    pub(super) fn believes(&self, now: Instant) -> bool {
        let fresh = || self.measured.is_some_and(|at| now.saturating_duration_since(at) < STALE);
        self.costs.is_known() && (!self.running.is_empty() || fresh())
    }

    fn next_free(&self, now: Instant) -> Instant {
        let all_run = self.idle == 0 && self.running.len() >= self.instances;
        if all_run { self.running.iter().min().map_or(now, |end| now.max(*end)) } else { now }
    }
}
