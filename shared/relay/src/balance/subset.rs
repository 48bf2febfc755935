//! A part of a large fleet: so that each of many hops has connections to some endpoints and not to all.
//!
//! By rendezvous hashing (Thaler and Ravishankar, 1998), as gRFC A68 has it for gRPC: each hop ranks the endpoints by a salt of its own, and takes the first. Nobody needs to know
//! how many hops there are, and one endpoint's coming or going changes one place.

use super::ring::hash;

/// The positions of the `size` endpoints that are this hop's, in order; all of them where there are no more. Those that are near come first.
pub fn positions<'a>(endpoints: impl IntoIterator<Item = (&'a str, bool)>, size: usize, salt: u64) -> Vec<usize> {
    let rank = |(at, (name, near)): (usize, (&str, bool))| (!near, hash(&(salt, name)), at);
    let mut ranks: Vec<_> = endpoints.into_iter().enumerate().map(rank).collect();
    if ranks.len() > size {
        ranks.select_nth_unstable(size);
        ranks.truncate(size);
    }
    let mut positions: Vec<_> = ranks.into_iter().map(|(.., at)| at).collect();
    positions.sort_unstable();
    positions
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeSet, HashMap};

    use proptest::prelude::*;

    use super::*;

    fn names(of: &BTreeSet<u16>) -> Vec<(String, bool)> {
        of.iter().map(|at| (format!("w{at}"), at % 3 == 0)).collect()
    }

    fn chosen(fleet: &[(String, bool)], size: usize, salt: u64) -> BTreeSet<String> {
        let chosen = positions(fleet.iter().map(|(name, near)| (name.as_str(), *near)), size, salt);
        chosen.into_iter().map(|at| fleet[at].0.clone()).collect()
    }

    proptest! {
        #[test]
        fn it_is_as_large_as_it_is_to_be_and_near_before_far(fleet in prop::collection::btree_set(any::<u16>(), 0..60), size in 1usize..40, salt: u64) {
            let fleet = names(&fleet);
            let chosen = chosen(&fleet, size, salt);
            prop_assert_eq!(chosen.len(), size.min(fleet.len()));
            let near = fleet.iter().filter(|(_, near)| *near).count();
            let chosen_near = fleet.iter().filter(|(name, near)| *near && chosen.contains(name)).count();
            prop_assert_eq!(chosen_near, near.min(size));
        }

        #[test]
        fn whoever_leaves_is_replaced_and_nobody_else(fleet in prop::collection::btree_set(any::<u16>(), 2..60), size in 1usize..40, salt: u64, leaves: prop::sample::Index) {
            let before = chosen(&names(&fleet), size, salt);
            let mut left = fleet.clone();
            let gone = *fleet.iter().nth(leaves.index(fleet.len())).unwrap();
            left.remove(&gone);
            let after = chosen(&names(&left), size, salt);
            let lost: Vec<_> = before.difference(&after).collect();
            let gone = format!("w{gone}");
            prop_assert!(lost.is_empty() || lost == [&gone], "{lost:?} for {gone}");
        }

        #[test]
        fn the_order_in_which_they_are_listed_is_nothing_to_it(fleet in prop::collection::btree_set(any::<u16>(), 0..60), size in 1usize..40, salt: u64) {
            let listed = names(&fleet);
            let reversed: Vec<_> = listed.iter().rev().cloned().collect();
            prop_assert_eq!(chosen(&listed, size, salt), chosen(&reversed, size, salt));
        }
    }

    #[test]
    fn forty_hops_with_a_fifth_of_the_fleet_each_leave_nobody_idle() {
        let fleet: Vec<_> = (0..200).map(|at| (format!("worker-{at}"), false)).collect();
        let mut hops: HashMap<String, usize> = HashMap::new();
        for salt in 0..40 {
            for name in chosen(&fleet, 40, salt) {
                *hops.entry(name).or_default() += 1;
            }
        }
        let (least, most) = (hops.values().min().unwrap(), hops.values().max().unwrap());
        println!("of 40 hops with 40 of 200 endpoints each, an endpoint has {least} to {most}; 8 on average");
        assert!(hops.len() == 200 && *least >= 1 && *most <= 20, "{} endpoints, {least} to {most}", hops.len());
    }
}
