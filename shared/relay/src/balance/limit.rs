//! How many calls an endpoint may have at once, found by how fast it answers.
//!
//! A gradient limit, as in Netflix's concurrency-limits: while answers take about as long as they ever did, more calls are let in; when they take longer, calls wait inside the endpoint, and the
//! limit follows the ratio of the two. How long answers take when nothing waits is measured anew from time to time, with a low limit for it: a model may have become slower, and behind a queue
//! one would measure the queue.

use std::{
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use parking_lot::Mutex;

/// Where it begins.
const FIRST: f64 = 16.0;
/// How much longer answers may take than the fastest: batches make them longer without a queue, and calls are not all the same.
const TOLERANCE: f64 = 2.0;
/// How much of an answer's latency goes into the average, and of a new limit into the limit.
const LATENCY_WEIGHT: f64 = 1.0 / 16.0;
const LIMIT_WEIGHT: f64 = 0.2;
/// What a refusal leaves of it.
const REFUSED: f64 = 0.9;
/// After so many microseconds the fastest latency is measured anew: soon at first, since what it begins with may be too much, and then more and more seldom.
const FIRST_MEASURED_FOR: u64 = 1_000_000;
const MEASURED_FOR: u64 = 30_000_000;
/// What is left of the limit for that: as far below what is tolerated as answers may be slower than the fastest, and as far again, or each measurement would find the queue of the one before.
const MEASURED_WITH: f64 = 0.5 / TOLERANCE;

/// See the module.
#[derive(Debug)]
pub struct Limit {
    /// What [`State::limit`] is in whole calls: calls read it without a lock.
    calls: AtomicUsize,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    limit: f64,
    /// The average latency of the last answers in microseconds, and the least that it was. 0: not measured.
    short: f64,
    least: f64,
    /// When the least began to be measured, in microseconds on the caller's clock, and for how long it is.
    since: u64,
    measured_for: u64,
    /// Answers that are still to come of calls that waited behind others.
    settling: usize,
}

impl Default for Limit {
    fn default() -> Self {
        let state = State { limit: FIRST, short: 0.0, least: 0.0, since: 0, measured_for: FIRST_MEASURED_FOR, settling: 0 };
        Self { calls: AtomicUsize::new(FIRST as usize), state: Mutex::new(state) }
    }
}

impl Limit {
    /// The most calls at once; at least 1 and at most `most`.
    pub fn calls(&self, most: usize) -> usize {
        self.calls.load(Ordering::Relaxed).min(most).max(1)
    }

    /// An answer came at `now` (microseconds on one clock) after so long, while so many calls were there, it among them.
    pub fn observe(&self, now: u64, took: Duration, in_flight: usize, most: usize) {
        let mut state = self.state.lock();
        // What is not made use of is no sign that more would go well.
        let used = 2 * in_flight >= state.limit as usize;
        if now.saturating_sub(state.since) > state.measured_for {
            let limit = state.measure_anew(now, in_flight, used);
            self.set(&mut state, limit, most);
        }
        if state.settling > 0 {
            state.settling -= 1;
            return;
        }
        let wanted = state.wanted(took);
        if used || wanted < state.limit {
            let next = state.limit + (wanted - state.limit) * LIMIT_WEIGHT;
            self.set(&mut state, next, most);
        }
    }

    /// The endpoint refused a call because it has too many.
    pub fn refused(&self, most: usize) {
        let mut state = self.state.lock();
        let next = state.limit * REFUSED;
        self.set(&mut state, next, most);
    }

    fn set(&self, state: &mut State, limit: f64, most: usize) {
        state.limit = limit.clamp(1.0, most.max(1) as f64);
        self.calls.store(state.limit as usize, Ordering::Relaxed);
    }
}

impl State {
    /// Forgets the fastest latency; gives the limit to measure it with. One that is not used up measures no queue as it is.
    fn measure_anew(&mut self, now: u64, in_flight: usize, used: bool) -> f64 {
        let limit = if used && self.least > 0.0 { (self.limit * MEASURED_WITH).max(1.0) } else { self.limit };
        if limit < self.limit {
            self.settling = in_flight + limit as usize;
            self.measured_for = (2 * self.measured_for).min(MEASURED_FOR);
        }
        (self.short, self.least, self.since) = (0.0, 0.0, now);
        limit
    }

    /// The limit that another answer calls for.
    fn wanted(&mut self, took: Duration) -> f64 {
        let took = (took.as_nanos() as f64 / 1000.0).max(1.0);
        self.short = if self.short > 0.0 { self.short + (took - self.short) * LATENCY_WEIGHT } else { took };
        self.least = if self.least > 0.0 { self.least.min(self.short) } else { self.short };
        let gradient = (TOLERANCE * self.least / self.short).clamp(0.5, 1.0);
        self.limit.mul_add(gradient, self.limit.sqrt())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MOST: usize = 1000;

    /// Answers of an endpoint that works at `capacity` calls side by side, each `base` microseconds long, and is given as many as the limit allows, but no more than `offered`; some thirty come in
    /// a second. Gives the limit after each.
    fn run(limit: &Limit, now: &mut u64, answers: usize, capacity: usize, base: u64, offered: usize) -> Vec<usize> {
        let mut seen = Vec::with_capacity(answers);
        for _ in 0..answers {
            let in_flight = limit.calls(MOST).min(offered);
            let took = base as f64 * (in_flight as f64 / capacity as f64).max(1.0);
            *now += 30_000;
            limit.observe(*now, Duration::from_micros(took as u64), in_flight, MOST);
            seen.push(limit.calls(MOST));
        }
        seen
    }

    #[test]
    fn it_falls_when_answers_take_longer_and_comes_back() {
        let (limit, mut now) = (Limit::default(), 1);
        let well = *run(&limit, &mut now, 2000, 20, 10_000, MOST).last().unwrap();
        let slow = *run(&limit, &mut now, 200, 2, 10_000, MOST).last().unwrap();
        let again = *run(&limit, &mut now, 2000, 20, 10_000, MOST).last().unwrap();
        println!("{well} calls at once at an endpoint for 20, {slow} when it is one for 2, then {again}");
        assert!(slow <= well / 3 && again >= well / 2, "{well} {slow} {again}");
    }

    #[test]
    fn a_refusal_lowers_it_and_never_below_one() {
        let limit = Limit::default();
        limit.refused(MOST);
        assert_eq!(limit.calls(MOST), 14);
        (0..1000).for_each(|_| limit.refused(MOST));
        assert_eq!(limit.calls(MOST), 1);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn it_converges_to_about_what_the_endpoint_does_side_by_side(capacity in 1_usize..50, base in 500_u64..200_000) {
            let (limit, mut now) = (Limit::default(), 1);
            let seen = run(&limit, &mut now, 4000, capacity, base, MOST);
            // Twice as long as alone is tolerated, the square root of it waits, and the average is late.
            let most = 3 * capacity + 10;
            let late = &seen[3000..];
            prop_assert!(late.iter().all(|calls| *calls <= most), "{:?} for {capacity}", late.iter().max());
            prop_assert!(late.iter().filter(|calls| **calls >= capacity).count() > late.len() * 3 / 4, "{:?} for {capacity}", late.iter().min());
        }

        #[test]
        fn it_does_not_grow_while_it_is_not_used(offered in 1_usize..7, answers in 1_usize..500) {
            let (limit, mut now) = (Limit::default(), 1);
            let seen = run(&limit, &mut now, answers, MOST, 10_000, offered);
            prop_assert!(seen.iter().all(|calls| *calls <= FIRST as usize), "{seen:?}");
        }

        #[test]
        fn it_stays_between_one_and_the_most_whatever_comes(
            answers in prop::collection::vec((0_u64..60_000_000, 0_u64..100_000_000, 0_usize..2000, any::<bool>()), 1..200), most in 1_usize..500,
        ) {
            let (limit, mut now) = (Limit::default(), 1);
            for (pause, took, in_flight, refused) in answers {
                now += pause;
                if refused {
                    limit.refused(most);
                } else {
                    limit.observe(now, Duration::from_micros(took), in_flight, most);
                }
                prop_assert!((1..=most).contains(&limit.calls(most)));
            }
        }
    }
}
