//! How much of what is asked in conversations an endpoint has read before, with and without a look at prefixes.

use std::{
    cmp::Reverse,
    collections::{BinaryHeap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use super::{exponential, group};
use crate::{
    Affinity, Group,
    balance::{BalanceSettings, Policy, prefix::Prefix},
    group::Chance,
};

const ENDPOINTS: usize = 4;
const CALLS: usize = 4_000;
/// Messages of a user in one conversation.
const TURNS: usize = 6;
/// How long somebody thinks between two of them, and how long an answer is written, in microseconds on average.
const THINKS_US: f64 = 2_000_000.0;
const WRITES_US: f64 = 1_000_000.0;
/// What reading a block takes that was not read before.
const READS_US: u64 = 20_000;

/// Somebody who has one conversation after the other.
#[derive(Default)]
struct Person {
    said: Vec<u8>,
    turns: usize,
}

impl Person {
    /// The next prompt: one of three common beginnings, and everything that was said since.
    fn asks(&mut self, random: &mut fastrand::Rng) -> Prefix {
        if self.turns == TURNS || self.said.is_empty() {
            (self.said, self.turns) = (vec![random.u8(..3); 1000], 0);
        }
        self.turns += 1;
        let more = random.usize(400..2400);
        self.said.extend(std::iter::repeat_with(|| random.u8(..)).take(more));
        let mut reading = Prefix::reading(0);
        reading.write(&self.said);
        reading.finish().unwrap()
    }
}

struct World {
    group: Arc<Group>,
    /// The blocks that each endpoint has read.
    read: Vec<HashSet<u64>>,
    /// The most calls in flight at one endpoint, in average shares, while there are some.
    fullest: f64,
    /// Blocks of all prompts.
    asked: usize,
    /// Those of them that their endpoint had read.
    had: usize,
}

impl World {
    fn new(balance: BalanceSettings) -> Self {
        Self { group: group(balance, ENDPOINTS), read: vec![HashSet::new(); ENDPOINTS], fullest: 0.0, asked: 0, had: 0 }
    }

    /// Sends a prompt somewhere; tells where, and how many of its blocks have to be read.
    fn send(&mut self, prompt: &Prefix, aware: bool, turn: usize, now: u64) -> (usize, u64) {
        let group = &self.group;
        let bound = group.most_in_flight(|_| true, group.settings.balance.prefix_bound);
        let key = Affinity { session: None, prefix: Some(prompt.clone()) };
        let at = group.choose(Chance { key: aware.then_some(&key), policy: Policy::PeakEwma, turn, now }, |_| true).unwrap();
        if aware {
            assert!(group.members[at].calls() < bound, "{} of {bound} calls", group.members[at].calls());
            group.note(prompt, at);
        }
        let had = prompt.blocks().iter().take_while(|block| self.read[at].contains(block)).count();
        self.read[at].extend(prompt.blocks());
        (self.asked, self.had) = (self.asked + prompt.blocks().len(), self.had + had);
        group.members[at].endpoint.begin();
        group.members[at].record.in_flight.fetch_add(1, Ordering::Relaxed);
        let all = group.shared.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        if all >= 5 * ENDPOINTS {
            self.fullest = self.fullest.max((group.members[at].calls() * ENDPOINTS) as f64 / all as f64);
        }
        (at, (prompt.blocks().len() - had) as u64)
    }

    fn end(&self, at: usize, now: u64, took: u64) {
        let member = &self.group.members[at];
        member.endpoint.end();
        member.record.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.group.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        member.record.latency.observe(now, Duration::from_micros(took), self.group.settings.balance.decay);
    }
}

/// When something happens, to whom, and the call that ends with it: where it runs and since when.
type Happens = (u64, usize, Option<(usize, u64)>);

/// `people` talk until all calls were made; afterwards the world tells how it went.
fn talk(people: usize, aware: bool, seed: u64) -> World {
    fastrand::seed(seed);
    let balance = BalanceSettings { policy: Policy::PeakEwma, slow_start: Duration::ZERO, ..Default::default() };
    let (mut world, mut random) = (World::new(balance), fastrand::Rng::with_seed(seed));
    let mut everybody: Vec<_> = std::iter::repeat_with(Person::default).take(people).collect();
    let mut events: BinaryHeap<Reverse<Happens>> = BinaryHeap::new();
    events.extend((0..people).map(|who| Reverse((exponential(&mut random, THINKS_US) + 1, who, None))));
    let mut turn = 0;
    while turn < CALLS {
        let Reverse((now, who, ends)) = events.pop().unwrap();
        if let Some((at, since)) = ends {
            world.end(at, now, now - since);
            events.push(Reverse((now + exponential(&mut random, THINKS_US), who, None)));
            continue;
        }
        turn += 1;
        let (at, unread) = world.send(&everybody[who].asks(&mut random), aware, turn, now);
        let took = unread * READS_US + exponential(&mut random, WRITES_US);
        events.push(Reverse((now + took, who, Some((at, now)))));
    }
    world
}

#[test]
fn conversations_find_what_they_have_said_where_prefixes_are_looked_at() {
    for (people, seed) in [(4, 1), (12, 2), (40, 3), (120, 4)] {
        let [without, with] = [false, true].map(|aware| talk(people, aware, seed));
        let [before, after] = [&without, &with].map(|world| world.had as f64 / world.asked as f64);
        println!(
            "{people} people: {:.0} % of the blocks were read before by power of two choices (fullest endpoint {:.2} shares), {:.0} % by prefix ({:.2})",
            before * 100.0,
            without.fullest,
            after * 100.0,
            with.fullest
        );
        assert!(after > before + 0.25, "{after} by prefix, {before} without");
    }
}
