//! How many calls stay in their zone, and what that does to the queues: three zones with a router and three endpoints in each.

use std::{
    cmp::Reverse,
    collections::BinaryHeap,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use proptest::prelude::*;

use super::{exponential, group_at};
use crate::{
    Group, Place, Steering,
    balance::{BalanceSettings, Policy},
    group::Chance,
};

const ZONES: usize = 3;
const IN_EACH: usize = 3;
const CALLS: usize = 30_000;
const SERVICE_US: f64 = 10_000.0;
/// Calls that come to each router in the time that one takes: two thirds of what its zone's endpoints can do.
const OFFERED: f64 = 2.0;

fn places(near: &[bool]) -> Vec<Place> {
    near.iter().map(|&near| Place { zone: Some(if near { "here" } else { "there" }.into()), near }).collect()
}

/// The share of calls that stayed in their zone, and the 99th percentile of the latency in milliseconds.
fn run(bound: Option<f64>, seed: u64) -> (f64, f64) {
    fastrand::seed(seed);
    let mut random = fastrand::Rng::with_seed(seed);
    let balance = BalanceSettings { zone_bound: bound.unwrap_or(1.0), slow_start: Duration::ZERO, ..Default::default() };
    let near = |zone: usize| (0..ZONES * IN_EACH).map(|at| bound.is_some() && at / IN_EACH == zone).collect::<Vec<_>>();
    let routers: Vec<Arc<Group>> = (0..ZONES).map(|zone| group_at(balance, &places(&near(zone)))).collect();
    let (mut free_at, mut ends) = ([0_u64; ZONES * IN_EACH], BinaryHeap::<Reverse<(u64, usize, usize, u64)>>::new());
    let (mut now, mut stayed, mut latencies) = (1, 0, Vec::with_capacity(CALLS));
    for turn in 0..CALLS {
        now += exponential(&mut random, SERVICE_US / OFFERED / ZONES as f64);
        while let Some(&Reverse((end, router, at, began))) = ends.peek().filter(|Reverse((end, ..))| *end <= now) {
            ends.pop();
            let group: &Group = &routers[router];
            group.members[at].endpoint.end();
            group.members[at].record.in_flight.fetch_sub(1, Ordering::Relaxed);
            group.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
            group.members[at].record.latency.observe(end, Duration::from_micros(end - began), balance.decay);
            latencies.push((end - began) as f64 / 1000.0);
        }
        let router = random.usize(..ZONES);
        let group = &routers[router];
        let at = group.choose(Chance { key: None, policy: Policy::PeakEwma, turn, now }, |_| true).unwrap();
        group.members[at].endpoint.begin();
        group.members[at].record.in_flight.fetch_add(1, Ordering::Relaxed);
        group.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        // Each router has its own order of them.
        let worker: usize = group.members[at].endpoint.id.as_str().rsplit('-').next().unwrap().parse().unwrap();
        stayed += usize::from(worker / IN_EACH == router);
        let service = SERVICE_US * 0.8 + exponential(&mut random, SERVICE_US * 0.2) as f64;
        free_at[worker] = free_at[worker].max(now) + service as u64;
        ends.push(Reverse((free_at[worker], router, at, now)));
    }
    latencies.sort_by(f64::total_cmp);
    (stayed as f64 / CALLS as f64, latencies[latencies.len() * 99 / 100])
}

#[test]
fn calls_stay_in_their_zone_as_far_as_the_bound_allows_and_queues_are_no_longer_for_it() {
    let of = |bound| {
        let (stayed, p99) = run(bound, 1);
        let zones = bound.map_or("without zones".to_owned(), |bound| format!("balance.zone_bound = {bound}"));
        println!("{zones}: {:.0} % stay, p99 {p99:.0} ms", stayed * 100.0);
        (stayed, p99)
    };
    let (without, [narrow, wide]) = (of(None), [1.25, 3.0].map(|bound| of(Some(bound))));
    assert!((without.0 - 1.0 / 3.0).abs() < 0.05, "{without:?}");
    assert!(narrow.0 > without.0 + 0.1 && wide.0 >= narrow.0, "{without:?} {narrow:?} {wide:?}");
    assert!(narrow.1 < 1.25 * without.1 && wide.1 < 1.5 * without.1, "{without:?} {narrow:?} {wide:?}");
}

#[test]
fn where_all_are_near_or_none_is_zones_change_nothing() {
    for near in [true, false] {
        let group = group_at(BalanceSettings::default(), &places(&[near; 4]));
        assert_eq!(group.near, 0);
        let calls: Vec<_> = (0..40).map(|_| group.begin(&Steering::default(), &[]).unwrap().at()).collect();
        assert!((0..4).all(|at| calls.contains(&at)), "{calls:?}");
    }
}

#[test]
fn calls_that_never_end_spread_evenly_over_those_who_are_near() {
    let group =
        group_at(BalanceSettings { zone_bound: 100.0, ..Default::default() }, &places(&[false, true, false, true, false, true, false]));
    fastrand::seed(1);
    let calls: Vec<_> = (0..900).map(|_| group.begin(&Steering::default(), &[]).unwrap()).collect();
    let of = |at: usize| calls.iter().filter(|ticket| ticket.at() == at).count();
    assert!((0..3).all(|at| of(at).abs_diff(300) <= 15) && (3..7).all(|at| of(at) == 0), "{:?}", [0, 1, 2, 3, 4, 5, 6].map(of));
}

proptest! {
    #[test]
    fn the_near_ones_come_first_and_none_has_more_than_its_share_while_another_is_usable(
        near in prop::collection::vec(any::<bool>(), 2..9), bound in 1.0_f64..3.0, steps in prop::collection::vec((any::<bool>(), any::<prop::sample::Index>()), 1..80),
    ) {
        let balance = BalanceSettings { zone_bound: bound, ..Default::default() };
        let group = group_at(balance, &places(&near));
        let mut open = Vec::new();
        for (begins, which) in steps {
            if !begins && !open.is_empty() {
                drop(open.swap_remove(which.index(open.len())));
                continue;
            }
            let most = group.most_in_flight(|_| true, bound);
            let before: Vec<_> = group.members.iter().map(crate::record::Member::calls).collect();
            let ticket = group.begin(&Steering::default(), &[]).unwrap();
            if group.near > 0 {
                prop_assert!(before[ticket.at()] < most, "{before:?} of {most}, and {}", ticket.at());
                let room = before[..group.near].iter().any(|calls| *calls < most);
                prop_assert_eq!(ticket.endpoint().place.near, room);
            }
            open.push(ticket);
        }
    }
}
