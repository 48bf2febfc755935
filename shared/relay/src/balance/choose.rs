//! The policies that look at load: each takes what is known of an endpoint by its position, and gives a position.

/// Power of two choices (Mitzenmacher, 2001): of two different endpoints drawn at random, the better one, and of two that are as good the first.
///
/// `better` tells whether the one position is better than the other, `usable` whether a position may be chosen, `draw` gives a random number below its
/// argument. `None` when no position is usable.
pub fn power_of_two(
    count: usize,
    usable: impl Fn(usize) -> bool,
    better: impl Fn(usize, usize) -> bool,
    mut draw: impl FnMut(usize) -> usize,
) -> Option<usize> {
    if count == 1 {
        return usable(0).then_some(0);
    }
    // Two draws among all positions, each moved on to the next usable one: no list of the usable ones is made for a call.
    let next_usable =
        |from: usize, not: Option<usize>| (0..count).map(|step| (from + step) % count).find(|&at| usable(at) && Some(at) != not);
    let first = next_usable((count > 0).then(|| draw(count))?, None)?;
    let Some(second) = next_usable(draw(count), Some(first)) else { return Some(first) };
    Some(if better(second, first) { second } else { first })
}

/// The usable position at or after the `turn`-th.
pub fn round_robin(count: usize, usable: impl Fn(usize) -> bool, turn: usize) -> Option<usize> {
    (0..count).map(|step| (turn.wrapping_add(step)) % count).find(|&at| usable(at))
}

/// The usable position with the least load; of several, the first from a random place on.
pub fn least<L: PartialOrd>(
    count: usize,
    usable: impl Fn(usize) -> bool,
    load: impl Fn(usize) -> L,
    mut draw: impl FnMut(usize) -> usize,
) -> Option<usize> {
    let from = if count > 0 { draw(count) } else { 0 };
    let mut best: Option<(usize, L)> = None;
    for at in (0..count).map(|step| (from + step) % count).filter(|&at| usable(at)) {
        let load = load(at);
        if best.as_ref().is_none_or(|(_, least)| load < *least) {
            best = Some((at, load));
        }
    }
    best.map(|(at, _)| at)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seeded(seed: u64) -> impl FnMut(usize) -> usize {
        let mut random = fastrand::Rng::with_seed(seed);
        move |below| random.usize(..below)
    }

    #[test]
    fn nothing_usable_means_no_choice() {
        assert_eq!(power_of_two(0, |_| true, |_, _| false, seeded(1)), None);
        assert_eq!(power_of_two(1, |_| false, |_, _| false, seeded(1)), None);
        assert_eq!(power_of_two(5, |_| false, |_, _| false, seeded(1)), None);
    }

    #[test]
    fn of_two_endpoints_the_less_loaded_always_wins() {
        for seed in 0..100 {
            assert_eq!(power_of_two(2, |_| true, |one, other| one > other, seeded(seed)), Some(1));
        }
    }

    #[test]
    fn calls_that_never_end_spread_evenly() {
        let mut loads = [0_usize; 8];
        let mut draw = seeded(7);
        for _ in 0..8000 {
            let at = power_of_two(8, |_| true, |one, other| loads[one] < loads[other], &mut draw).unwrap();
            loads[at] += 1;
        }
        assert!(loads.iter().all(|load| load.abs_diff(1000) <= 5), "{loads:?}");
    }

    #[test]
    fn round_robin_passes_over_what_is_not_usable() {
        let chosen: Vec<_> = (0..6).map(|turn| round_robin(3, |at| at != 1, turn).unwrap()).collect();
        assert_eq!(chosen, [0, 2, 2, 0, 2, 2]);
        assert_eq!(round_robin(0, |_| true, 3), None);
        assert_eq!(round_robin(2, |_| true, usize::MAX), Some(1));
    }

    #[test]
    fn equal_loads_are_not_all_given_to_the_first() {
        let (mut draw, mut counts) = (seeded(3), [0; 4]);
        for _ in 0..1000 {
            counts[least(4, |_| true, |_| 0, &mut draw).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| *count > 150), "{counts:?}");
    }

    proptest! {
        #[test]
        fn the_least_loaded_of_the_usable_is_found(loads in proptest::collection::vec((any::<bool>(), 0_u8..5), 0..12), seed: u64) {
            let chosen = least(loads.len(), |at| loads[at].0, |at| loads[at].1, seeded(seed));
            let least = loads.iter().filter(|(usable, _)| *usable).map(|(_, load)| *load).min();
            prop_assert_eq!(chosen.map(|at| loads[at].1), least);
            prop_assert!(chosen.is_none_or(|at| loads[at].0));
        }

        #[test]
        fn only_a_usable_endpoint_is_chosen_and_never_the_worst_of_three(usable in proptest::collection::vec(any::<bool>(), 0..9), seed: u64) {
            let chosen = power_of_two(usable.len(), |at| usable[at], |one, other| one < other, seeded(seed));
            prop_assert_eq!(chosen.is_some(), usable.contains(&true));
            if let Some(at) = chosen {
                prop_assert!(usable[at]);
                let worse = usable.iter().skip(at + 1).filter(|u| **u).count();
                prop_assert!(worse > 0 || usable.iter().filter(|u| **u).count() == 1);
            }
        }
    }
}
