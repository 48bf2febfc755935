//! Who gets a call, by weight, so that a key which stays the same stays where it is.

use torchmesh_api::ids::ModelName;
use torchmesh_relay::balance::ring::hash;

use super::Destination;

/// The key of what sticks, different for each route: a tenant that is the canary's with one model is not with all.
pub(super) fn key(route: &ModelName, value: &[u8]) -> u64 {
    hash(&(route.as_str(), value))
}

/// The destinations with a share, the one that the key belongs to first: weighted rendezvous hashing (Schindelhauer and Schomaker, 2005). When weights
/// change, only keys that move towards a share which has grown move at all.
pub(super) fn ranked(shares: &[(Destination, f64)], key: u64) -> Vec<&Destination> {
    let mut scored: Vec<_> = shares.iter().filter(|(_, weight)| *weight > 0.0).map(|(to, weight)| (score(to, *weight, key), to)).collect();
    scored.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    scored.into_iter().map(|(_, to)| to).collect()
}

fn score(to: &Destination, weight: f64, key: u64) -> f64 {
    let drawn = hash(&(key, to));
    // Above 0 and below 1.
    let chance = ((drawn >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -weight / chance.ln()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use torchmesh_api::ids::ModelVersion;

    use super::*;

    fn shares(weights: &[f64]) -> Vec<(Destination, f64)> {
        let to = |at: usize| Destination { model: ModelName::parse("m").unwrap(), version: ModelVersion::parse(&(at + 1).to_string()) };
        weights.iter().enumerate().map(|(at, weight)| (to(at), *weight)).collect()
    }

    fn first(shares: &[(Destination, f64)], key: u64) -> u64 {
        ranked(shares, hash(&key))[0].version.unwrap().get()
    }

    #[test]
    fn of_100000_calls_a_tenth_goes_to_the_canary_give_or_take_half_a_percent() {
        let shares = shares(&[90.0, 10.0]);
        let canary = (0..100_000).filter(|key| first(&shares, *key) == 2).count();
        println!("90/10: {canary} of 100000 calls went to the canary");
        assert!((9_500..=10_500).contains(&canary), "{canary}");
    }

    #[test]
    fn when_the_canary_grows_nobody_moves_back() {
        let (before, after) = (shares(&[90.0, 10.0]), shares(&[75.0, 25.0]));
        let mut moved = 0;
        for key in 0..100_000 {
            let (was, is) = (first(&before, key), first(&after, key));
            assert!(was == is || (was, is) == (1, 2), "key {key} moved from {was} to {is}");
            moved += u32::from(was != is);
        }
        assert!((14_000..=16_000).contains(&moved), "{moved} moved, where 15,000 have to");
    }

    #[test]
    fn what_has_no_share_gets_nothing_even_when_the_others_are_not_there() {
        assert!((0..1000).all(|key| ranked(&shares(&[100.0, 0.0]), key).len() == 1));
    }

    proptest! {
        #[test]
        fn a_version_that_is_added_takes_keys_and_gives_none(weights in proptest::collection::vec(1.0_f64..100.0, 1..6), new in 1.0_f64..100.0) {
            let before = shares(&weights);
            let after = shares(&[weights.clone(), vec![new]].concat());
            let added = after.len() as u64;
            for key in 0..500 {
                let is = first(&after, key);
                prop_assert!(is == added || is == first(&before, key));
            }
        }
    }
}
