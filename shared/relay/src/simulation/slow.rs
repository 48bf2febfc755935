//! What one slow endpoint of eight does to everybody's latency under each policy.

use std::{cmp::Reverse, collections::BinaryHeap, time::Duration};

use super::{exponential, group};
use crate::{
    balance::{BalanceSettings, Policy},
    group::Chance,
};

const CALLS: usize = 40_000;
/// What a call takes at a good endpoint, on average.
const SERVICE_US: f64 = 10_000.0;
/// Calls that come in the time that one takes: half of what seven good endpoints can do.
const OFFERED: f64 = 3.5;

struct Server {
    slowness: f64,
    free_at: u64,
}

/// The 99th percentile of the calls' latency in milliseconds, once the beginning is over.
fn p99(policy: Policy, slowness: &[f64], seed: u64) -> f64 {
    fastrand::seed(seed);
    let balance = BalanceSettings { policy, ..Default::default() };
    let (group, mut random) = (group(balance, slowness.len()), fastrand::Rng::with_seed(seed));
    let mut servers: Vec<_> = slowness.iter().map(|&slowness| Server { slowness, free_at: 0 }).collect();
    let mut ends: BinaryHeap<Reverse<(u64, usize, u64)>> = BinaryHeap::new();
    let (mut now, mut latencies) = (1, Vec::with_capacity(CALLS));
    for turn in 0..CALLS {
        now += exponential(&mut random, SERVICE_US / OFFERED);
        while let Some(&Reverse((end, at, began))) = ends.peek().filter(|Reverse((end, ..))| *end <= now) {
            ends.pop();
            group.members[at].endpoint.end();
            let took = Duration::from_micros(end - began);
            group.members[at].record.latency.observe(end, took, group.settings.balance.decay);
            latencies.push((end - began) as f64 / 1000.0);
        }
        let at = group.choose(Chance { key: None, policy, turn, now }, |_| true).unwrap();
        group.members[at].endpoint.begin();
        let server = &mut servers[at];
        // Models take about as long for each call: a little chance, no long tail.
        let service = server.slowness * (SERVICE_US * 0.8 + exponential(&mut random, SERVICE_US * 0.2) as f64);
        server.free_at = server.free_at.max(now) + service as u64;
        ends.push(Reverse((server.free_at, at, now)));
    }
    let mut settled = latencies.split_off(latencies.len() / 4);
    settled.sort_by(f64::total_cmp);
    settled[settled.len() * 99 / 100]
}

#[test]
fn one_endpoint_of_eight_that_is_ten_times_slower_is_hardly_noticed() {
    let (good, mut slow) = ([1.0; 7], [1.0; 8]);
    slow[3] = 10.0;
    for seed in 1..=5 {
        let without = p99(Policy::PeakEwma, &good, seed);
        let (with, in_turn) = (p99(Policy::PeakEwma, &slow, seed), p99(Policy::RoundRobin, &slow, seed));
        println!("seed {seed}: p99 {without:.1} ms without the slow one; with it peak EWMA {with:.1} ms, round robin {in_turn:.1} ms");
        assert!(with <= 1.5 * without, "{with} ms with, {without} ms without");
        assert!(in_turn > 3.0 * with, "were round robin as good, the simulation would show nothing: {in_turn} ms");
    }
}
