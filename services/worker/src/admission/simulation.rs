//! The order of service under more load than an executor can carry, in made-up time: seeded arrivals, and an engine that is a formula.

mod classes;

use std::{
    collections::{BTreeMap, BinaryHeap},
    sync::Arc,
    time::{Duration, Instant},
};

use tracing::Span;

use super::{
    Batch, Priority, Tenant, Ticket, Work,
    flows::FlowKey,
    state::{Next, State},
};
use crate::{manifest::Batching, testing::part};

/// Requests of one kind, which arrive at random.
#[derive(Clone, Copy)]
struct Stream {
    flow: FlowKey,
    /// How many a second.
    rate: f64,
    length: usize,
    deadline: Duration,
}

/// What became of the requests of one flow.
#[derive(Clone, Debug, Default)]
struct Outcome {
    offered: usize,
    /// Answered within their deadline.
    good: usize,
    /// Answered after it: work for nothing.
    late: usize,
    /// Refused when they came.
    refused: usize,
    /// Given up in the queue.
    given_up: usize,
    /// Executor time of the good ones, in seconds.
    seconds: f64,
    latencies: Vec<Duration>,
}

/// A forward of a small encoder: best at 8 rows of 32, beyond which the cache is too small.
fn truth(work: Work) -> f64 {
    let tokens = work.rows as f64 * work.longest as f64;
    3e-3 + 1.2e-4 * tokens + 3e-5 * (tokens - 256.0).max(0.0)
}

/// Requests of 32 tokens a second that one executor can answer at best.
fn capacity() -> f64 {
    8.0 / truth(Work::of(8, 32))
}

struct Simulation {
    truth: fn(Work) -> f64,
    state: State,
    random: fastrand::Rng,
    now: Instant,
    /// The batches that run, and how long each takes.
    running: Vec<(Instant, f64, Batch)>,
    executors: usize,
    outcomes: BTreeMap<FlowKey, Outcome>,
}

fn batching() -> Batching {
    Batching { max_batch: 32, max_queue_delay: Duration::ZERO, max_padded_tokens: 16_384, length_ratio: 1.5 }
}

fn run(executors: usize, streams: &[Stream], length: Duration) -> BTreeMap<FlowKey, Outcome> {
    run_on(truth, executors, streams, length)
}

fn run_on(truth: fn(Work) -> f64, executors: usize, streams: &[Stream], length: Duration) -> BTreeMap<FlowKey, Outcome> {
    let mut state = State::new(batching(), executors);
    let now = Instant::now();
    for (rows, length) in [(1, 16), (32, 16), (1, 64), (32, 64)].repeat(2) {
        state.learn(Work::of(rows, length), truth(Work::of(rows, length)), now);
    }
    state.idle = executors;
    let random = fastrand::Rng::with_seed(7);
    let mut simulation = Simulation { truth, state, random, now, running: Vec::new(), executors, outcomes: BTreeMap::new() };
    simulation.run(streams, length);
    simulation.outcomes
}

impl Simulation {
    fn run(&mut self, streams: &[Stream], length: Duration) {
        for (at, stream) in self.arrivals(streams, length) {
            self.run_until(at);
            self.arrive(stream);
            self.serve();
        }
        self.run_until(self.now + Duration::from_secs(60));
        assert!(self.state.is_empty() && self.state.rows == 0 && self.state.bytes == 0);
        for outcome in self.outcomes.values() {
            assert_eq!(outcome.offered, outcome.good + outcome.late + outcome.refused + outcome.given_up, "each ends once: {outcome:?}");
        }
    }

    /// When each request comes, in order.
    fn arrivals<'a>(&mut self, streams: &'a [Stream], length: Duration) -> Vec<(Instant, &'a Stream)> {
        let mut heap = BinaryHeap::new();
        for (index, stream) in streams.iter().enumerate() {
            let mut at = 0.0;
            while at < length.as_secs_f64() {
                heap.push((self.now + Duration::from_secs_f64(at), index));
                at -= (1.0 - self.random.f64()).ln() / stream.rate;
            }
        }
        heap.into_sorted_vec().into_iter().map(|(at, index)| (at, &streams[index])).collect()
    }

    fn run_until(&mut self, until: Instant) {
        while let Some(next) = self.running.iter().map(|(end, ..)| *end).min().filter(|end| *end <= until) {
            self.now = next;
            let at = self.running.iter().position(|(end, ..)| *end == next).unwrap();
            let (end, seconds, batch) = self.running.swap_remove(at);
            self.state.learn(batch.work(), seconds, end);
            self.answer(&batch, seconds);
            self.state.executor_came();
            self.ask();
        }
        self.now = until;
    }

    fn arrive(&mut self, stream: &Stream) {
        let deadline = self.now + stream.deadline;
        let outcome = self.outcomes.entry(stream.flow).or_default();
        outcome.offered += 1;
        let parts = vec![part(1, &vec![1; stream.length])];
        if self.state.too_late(self.now, stream.flow, deadline, &parts).is_some() {
            outcome.refused += 1;
            return;
        }
        let ticket = Arc::new(Ticket::new(1, 1, self.now, Some(deadline), stream.flow, Span::none()));
        self.state.push(&ticket, parts);
    }

    /// Idle executors look for work.
    fn serve(&mut self) {
        while self.state.idle > 0 && !self.state.is_empty() {
            self.state.idle -= 1;
            self.ask();
        }
    }

    /// An executor asks for work, as [`super::Queue::pull`] does.
    fn ask(&mut self) {
        loop {
            for piece in self.state.remove_expired(self.now) {
                self.outcomes.get_mut(&piece.ticket.flow).unwrap().given_up += 1;
            }
            if self.state.is_empty() {
                self.state.rest();
                self.state.idle += 1;
                return;
            }
            match self.state.next(self.now) {
                Next::Run(batch) => {
                    let seconds = (self.truth)(batch.work()) * (0.95 + 0.1 * self.random.f64());
                    self.running.push((self.now + Duration::from_secs_f64(seconds), seconds, batch));
                    assert!(self.running.len() + self.state.idle <= self.executors);
                    return;
                }
                Next::Late(pieces) => {
                    assert!(!pieces.is_empty());
                    for piece in pieces {
                        self.outcomes.get_mut(&piece.ticket.flow).unwrap().given_up += 1;
                    }
                }
                Next::Wait(_) => panic!("nothing waits for company here"),
            }
        }
    }

    fn answer(&mut self, batch: &Batch, seconds: f64) {
        let tokens = batch.work().tokens as f64;
        for piece in &batch.pieces {
            let outcome = self.outcomes.get_mut(&piece.ticket.flow).unwrap();
            if piece.ticket.expired(self.now) {
                outcome.late += 1;
            } else {
                outcome.good += 1;
                outcome.seconds += seconds * piece.content.length as f64 / tokens;
            }
            outcome.latencies.push(piece.ticket.age(self.now));
        }
    }
}

const A: FlowKey = (Priority::Normal, Tenant::numbered(1));
const B: FlowKey = (Priority::Normal, Tenant::numbered(2));
const LENGTH: Duration = Duration::from_secs(30);

/// Requests of 32 tokens at so many times what one executor can do.
fn stream(flow: FlowKey, load: f64) -> Stream {
    Stream { flow, rate: load * capacity(), length: 32, deadline: Duration::from_millis(300) }
}

fn good(outcomes: &BTreeMap<FlowKey, Outcome>) -> usize {
    outcomes.values().map(|outcome| outcome.good).sum()
}

fn quantile(outcome: &Outcome, share: f64) -> Duration {
    let mut latencies = outcome.latencies.clone();
    latencies.sort_unstable();
    let last = latencies.len() - 1;
    latencies[((last as f64 * share).round() as usize).min(last)]
}

#[test]
fn three_times_the_load_gets_as_many_answers_in_time_as_the_best_load() {
    for executors in [1, 2] {
        let at = |load: f64| run(executors, &[stream(A, load * executors as f64)], LENGTH);
        let peak = [0.8, 0.9, 1.0, 1.1, 1.3].map(|load| good(&at(load))).into_iter().max().unwrap();
        for load in [2.0, 3.0, 10.0] {
            let overload = at(load);
            let share = good(&overload) as f64 / peak as f64;
            assert!(
                share >= 0.9,
                "{executors} executors at {load} times: {share} of {peak}; {:?}",
                Outcome { latencies: vec![], ..overload[&A].clone() }
            );
            let Outcome { offered, late, given_up, .. } = overload[&A];
            assert!(late * 50 <= good(&overload), "{late} answers came late");
            assert!(given_up * 20 <= offered, "refused when they come, not after they have waited: {given_up} of {offered}");
        }
    }
}

#[test]
fn below_saturation_nobody_is_refused() {
    let outcomes = run(1, &[stream(A, 0.6)], LENGTH);
    assert!(outcomes[&A].good * 1000 >= outcomes[&A].offered * 995, "{} of {}", outcomes[&A].good, outcomes[&A].offered);
}

#[test]
fn a_tenant_that_floods_takes_nothing_from_one_that_stays_within_its_share() {
    let outcomes = run(1, &[stream(A, 2.6), stream(B, 0.4)], LENGTH);
    let served = outcomes[&B].good as f64 / outcomes[&B].offered as f64;
    assert!(served >= 0.95, "{served} of the quiet tenant's requests were answered in time");
    assert!(good(&outcomes) as f64 >= 0.85 * capacity() * LENGTH.as_secs_f64(), "and the rest goes to the other: {}", good(&outcomes));
}

#[test]
fn tenants_share_time_and_not_requests() {
    let long = Stream { length: 128, rate: capacity(), ..stream(B, 1.0) };
    let outcomes = run(1, &[stream(A, 3.0), Stream { deadline: Duration::from_millis(600), ..long }], LENGTH);
    let share = outcomes[&B].seconds / (outcomes[&A].seconds + outcomes[&B].seconds);
    assert!((0.4..0.6).contains(&share), "{share} of the time went to the tenant of long texts");
}

#[test]
fn what_cannot_make_its_deadline_even_alone_is_refused_when_it_comes() {
    let hopeless = Stream { deadline: Duration::from_millis(2), ..stream(B, 0.5) };
    let outcomes = run(1, &[stream(A, 0.5), hopeless], LENGTH);
    assert_eq!(outcomes[&B].refused + outcomes[&B].late, outcomes[&B].offered);
    assert!(outcomes[&B].late <= 5, "{} were tried", outcomes[&B].late);
}

/// A machine that becomes three times as slow in the middle must not refuse everybody for good, nor go on promising too much.
#[test]
fn a_queue_finds_its_measure_again_after_the_machine_has_changed() {
    let mut state = State::new(batching(), 1);
    let now = Instant::now();
    for _ in 0..20 {
        state.learn(Work::of(1, 32), 10.0, now);
    }
    let parts = [part(1, &[1; 32])];
    let soon = |now: Instant| now + Duration::from_millis(300);
    assert!(state.too_late(now, A, soon(now), &parts).is_some());
    // An idle executor tries one now and then, and learns.
    let mut now = now;
    let mut tries = 0;
    while state.too_late(now, A, soon(now), &parts).is_some() || tries == 0 {
        now += Duration::from_secs(2);
        assert!(state.too_late(now, A, soon(now), &parts).is_none(), "what is old refuses nobody");
        state.learn(Work::of(1, 32), 0.01, now);
        tries += 1;
        assert!(tries < 200);
    }
}
