//! Consistent hashing with bounded loads.

use std::hash::{BuildHasher as _, BuildHasherDefault, DefaultHasher};

/// Points that each endpoint has on the ring. With so many the largest share of ten endpoints is within a fifth of the average.
const POINTS: u64 = 160;

/// A hash ring (Karger et al., 1997): a key belongs to the endpoint whose point follows it. When an endpoint comes or goes, only the keys that
/// become or were its own move.
#[derive(Debug, Clone)]
pub struct Ring {
    /// Sorted by the first.
    points: Box<[(u64, u32)]>,
}

impl Ring {
    /// A ring of endpoints, each known by a name that is the same at every hop and after every restart.
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Self {
        let mut points: Vec<_> =
            names.into_iter().enumerate().flat_map(|(at, name)| (0..POINTS).map(move |point| (hash(&(name, point)), at as u32))).collect();
        points.sort_unstable();
        Self { points: points.into() }
    }

    /// The first endpoint from the key's place on that `takes` the call. With bounded loads (Mirrokni, Thorup and Zadimoghaddam, 2016) it does while it has less than
    /// its bound in flight, so that a hot key spills over to its neighbour and never piles up.
    pub fn find(&self, key: u64, mut takes: impl FnMut(usize) -> bool) -> Option<usize> {
        let from = self.points.partition_point(|(point, _)| *point < key);
        let mut refused: Vec<usize> = Vec::new();
        for (_, at) in self.points[from..].iter().chain(&self.points[..from]) {
            let at = *at as usize;
            if refused.contains(&at) {
                continue;
            }
            if takes(at) {
                return Some(at);
            }
            refused.push(at);
        }
        None
    }
}

/// The most calls that one of `count` endpoints may have in flight when `total` are, this one included: `bound` times the average, rounded up.
pub fn most_in_flight(total: usize, count: usize, bound: f64) -> usize {
    ((total as f64 / count.max(1) as f64) * bound).ceil() as usize
}

/// The place of a key on the ring: the same in every process.
pub fn hash(key: &impl std::hash::Hash) -> u64 {
    // SipHash with the keys that are its default: what matters is that all routers agree, and that close names lie far apart.
    BuildHasherDefault::<DefaultHasher>::default().hash_one(key)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|at| format!("worker-{at}")).collect()
    }

    fn ring(names: &[String]) -> Ring {
        Ring::new(names.iter().map(String::as_str))
    }

    #[test]
    fn when_one_of_ten_leaves_only_its_keys_move() {
        let all = names(10);
        let fewer: Vec<_> = all.iter().filter(|name| *name != "worker-3").cloned().collect();
        let (before, after) = (ring(&all), ring(&fewer));
        let mut moved = 0;
        for key in 0..100_000_u64 {
            let key = hash(&key);
            let (was, is) = (before.find(key, |_| true).unwrap(), after.find(key, |_| true).unwrap());
            if all[was] != fewer[is] {
                assert_eq!(all[was], "worker-3", "a key moved that did not have to");
                moved += 1;
            }
        }
        assert!(moved <= 12_000, "{moved} of 100,000 keys moved; a tenth and two in a hundred is the limit");
    }

    #[test]
    fn keys_spread_over_all_endpoints() {
        let (ring, mut counts) = (ring(&names(10)), [0_u32; 10]);
        for key in 0..100_000_u64 {
            counts[ring.find(hash(&key), |_| true).unwrap()] += 1;
        }
        assert!(counts.iter().all(|count| (7_000..13_000).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_hot_key_never_piles_up() {
        let (ring, mut in_flight) = (ring(&names(5)), [0_usize; 5]);
        for total in 1..=1000 {
            let most = most_in_flight(total, 5, 1.25);
            let at = ring.find(hash(&"hot"), |at| in_flight[at] < most).expect("somebody is below the bound");
            in_flight[at] += 1;
        }
        assert!(in_flight.iter().all(|calls| *calls <= 250), "{in_flight:?}");
    }

    proptest! {
        #[test]
        fn one_that_takes_the_call_is_found_if_there_is_one(takes in proptest::collection::vec(any::<bool>(), 1..20), key: u64) {
            let found = ring(&names(takes.len())).find(key, |at| takes[at]);
            prop_assert_eq!(found.is_some(), takes.contains(&true));
            prop_assert!(found.is_none_or(|at| takes[at]));
        }

        #[test]
        fn the_bound_always_leaves_room_for_the_call(total in 1_usize..10_000, count in 1_usize..100, bound in 1.0_f64..3.0) {
            let most = most_in_flight(total, count, bound);
            // Were all at the bound, they would have at least as many as there are: with one less in flight, somebody is below.
            prop_assert!(most * count >= total);
        }
    }
}
