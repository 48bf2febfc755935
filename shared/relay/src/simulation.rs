//! What one slow endpoint of eight does to everybody's latency under each policy: a simulation of queues, without sockets and clocks.

use std::{cmp::Reverse, collections::BinaryHeap, net::SocketAddr, sync::Arc, time::Duration};

use torchmesh_api::ids::InstanceId;

use crate::{
    Endpoint, Group, Groups, RelayMetrics, RelaySettings,
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

fn group(policy: Policy, count: usize) -> Arc<Group> {
    let balance = BalanceSettings { policy, ..Default::default() };
    let endpoint = |at: usize| {
        let id = InstanceId::parse(&format!("worker-{at}")).unwrap();
        Arc::new(Endpoint::new(id, SocketAddr::from(([127, 0, 0, 1], 1)), 0))
    };
    let endpoints: Vec<_> = (0..count).map(endpoint).collect();
    Groups::new(RelaySettings { balance, ..Default::default() }, RelayMetrics::default()).update("group", &endpoints)
}

fn exponential(random: &mut fastrand::Rng, mean: f64) -> u64 {
    (-mean * (1.0 - random.f64()).ln()) as u64
}

/// The 99th percentile of the calls' latency in milliseconds, once the beginning is over.
fn p99(policy: Policy, slowness: &[f64], seed: u64) -> f64 {
    fastrand::seed(seed);
    let (group, mut random) = (group(policy, slowness.len()), fastrand::Rng::with_seed(seed));
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
        let at = group.choose(Chance { key: None, turn, now }, |_| true).unwrap();
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
