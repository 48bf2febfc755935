//! What a router makes of queues that another router fills: two of them share eight endpoints, and the other sends most of its calls to three.

use std::{cmp::Reverse, collections::BinaryHeap, sync::Arc, time::Duration};

use super::{exponential, group};
use crate::{
    Group,
    balance::{BalanceSettings, Policy, reported::Load},
    group::Chance,
};

const ENDPOINTS: usize = 8;
const CALLS: usize = 30_000;
/// What a call takes at an endpoint that has nothing else to do, on average.
const SERVICE_US: f64 = 10_000.0;
/// Those that the other router prefers, and the share of its calls that they get.
const PREFERRED: usize = 3;
const PREFERS: f64 = 0.9;

/// Calls that come in the time that one takes: this router's and the other's.
struct Offered {
    ours: f64,
    theirs: f64,
}

struct Fleet {
    group: Arc<Group>,
    free_at: [u64; ENDPOINTS],
    /// When each call ends, where, since when, and whether it is ours.
    ends: BinaryHeap<Reverse<(u64, usize, u64, bool)>>,
    /// Of our calls, in milliseconds.
    latencies: Vec<f64>,
}

impl Fleet {
    fn end_until(&mut self, now: u64) {
        while let Some(&Reverse((end, at, began, ours))) = self.ends.peek().filter(|Reverse((end, ..))| *end <= now) {
            self.ends.pop();
            if ours {
                let member = &self.group.members[at];
                member.endpoint.end();
                let load = Load { depth: 0, wait_us: self.free_at[at].saturating_sub(end) };
                member.record.reported.told(end, load);
                member.record.latency.observe(end, Duration::from_micros(end - began), self.group.settings.balance.decay);
                self.latencies.push((end - began) as f64 / 1000.0);
            }
        }
    }

    fn send(&mut self, at: usize, now: u64, ours: bool, random: &mut fastrand::Rng) {
        if ours {
            self.group.members[at].endpoint.begin();
            self.group.members[at].record.reported.sent();
        }
        let service = SERVICE_US * 0.8 + exponential(random, SERVICE_US * 0.2) as f64;
        self.free_at[at] = self.free_at[at].max(now) + service as u64;
        self.ends.push(Reverse((self.free_at[at], at, now, ours)));
    }
}

/// The 99th percentile of our calls' latency in milliseconds, once the beginning is over.
fn p99(policy: Policy, offered: &Offered, seed: u64) -> f64 {
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let balance = BalanceSettings { policy, slow_start: Duration::ZERO, ..Default::default() };
    let mut fleet =
        Fleet { group: group(balance, ENDPOINTS), free_at: [0; ENDPOINTS], ends: BinaryHeap::new(), latencies: Vec::with_capacity(CALLS) };
    let [ours, theirs] = [offered.ours, offered.theirs].map(|calls| SERVICE_US / calls);
    let (mut next, mut others, mut turn) = (1 + exponential(&mut random, ours), 1 + exponential(&mut random, theirs), 0);
    while turn < CALLS {
        let now = next.min(others);
        fleet.end_until(now);
        if now == next {
            let at = fleet.group.choose(Chance { key: None, policy, turn, now }, |_| true).unwrap();
            fleet.send(at, now, true, &mut random);
            (next, turn) = (now + exponential(&mut random, ours), turn + 1);
        } else {
            let among = if random.f64() < PREFERS { PREFERRED } else { ENDPOINTS };
            let at = random.usize(..among);
            fleet.send(at, now, false, &mut random);
            others = now + exponential(&mut random, theirs);
        }
    }
    let mut settled = fleet.latencies.split_off(fleet.latencies.len() / 4);
    settled.sort_by(f64::total_cmp);
    settled[settled.len() * 99 / 100]
}

#[test]
fn where_another_router_fills_some_queues_what_workers_say_finds_the_short_ones() {
    for offered in [Offered { ours: 2.0, theirs: 2.5 }, Offered { ours: 3.5, theirs: 2.5 }, Offered { ours: 5.0, theirs: 1.5 }] {
        let of = |policy| (1..=3).map(|seed| p99(policy, &offered, seed)).sum::<f64>() / 3.0;
        let (latency, reports) = (of(Policy::PeakEwma), of(Policy::Reported));
        println!(
            "{} calls of ours to {} of theirs: p99 {latency:.0} ms by peak EWMA, {reports:.0} ms by reports",
            offered.ours, offered.theirs
        );
        assert!(reports < 0.93 * latency, "{reports} ms by reports, {latency} ms by latency");
    }
}

#[test]
fn where_nobody_else_sends_anything_reports_are_as_good_as_latency() {
    let alone = Offered { ours: 5.0, theirs: 0.001 };
    let of = |policy| (1..=3).map(|seed| p99(policy, &alone, seed)).sum::<f64>() / 3.0;
    let (latency, reports) = (of(Policy::PeakEwma), of(Policy::Reported));
    println!("alone: p99 {latency:.1} ms by peak EWMA, {reports:.1} ms by reports");
    assert!(reports < 1.15 * latency, "{reports} ms by reports, {latency} ms by latency");
}
