//! Which connection takes a call.

/// How a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Load {
    /// Calls that are under way.
    pub(super) in_flight: usize,
    /// It failed lately.
    pub(super) resting: bool,
}

/// The less busy of two that are drawn among those that do not rest, or among all where all do. `None` without any.
pub(super) fn choose(loads: &[Load], draws: [usize; 2]) -> Option<usize> {
    let all_rest = loads.iter().all(|load| load.resting);
    let usable: Vec<usize> = (0..loads.len()).filter(|&at| all_rest || !loads[at].resting).collect();
    let count = usable.len();
    let first = draws[0].checked_rem(count)?;
    // Another one than the first, where there is one.
    let second = if count > 1 { (first + 1 + draws[1] % (count - 1)) % count } else { first };
    [usable[first], usable[second]].into_iter().min_by_key(|&at| loads[at].in_flight)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn loads() -> impl Strategy<Value = Vec<Load>> {
        proptest::collection::vec((0_usize..9, any::<bool>()).prop_map(|(in_flight, resting)| Load { in_flight, resting }), 1..6)
    }

    proptest! {
        #[test]
        fn what_rests_takes_no_call_while_something_else_is_there(loads in loads(), draws: [usize; 2]) {
            let chosen = loads[choose(&loads, draws).unwrap()];
            prop_assert!(!chosen.resting || loads.iter().all(|load| load.resting));
        }

        #[test]
        fn the_busiest_of_all_takes_no_call_unless_it_is_alone_or_has_its_equal(loads in loads(), draws: [usize; 2]) {
            let awake: Vec<_> = loads.iter().map(|load| Load { resting: false, ..*load }).collect();
            let busiest = awake.iter().map(|load| load.in_flight).max().unwrap();
            let alone = awake.len() == 1 || awake.iter().filter(|load| load.in_flight == busiest).count() > 1;
            prop_assert!(alone || awake[choose(&awake, draws).unwrap()].in_flight < busiest);
        }
    }

    #[test]
    fn each_may_be_drawn_and_none_is_drawn_of_none() {
        let idle = [Load { in_flight: 0, resting: false }; 3];
        let drawn: std::collections::BTreeSet<_> = (0..3).filter_map(|draw| choose(&idle, [draw, 0])).collect();
        assert_eq!((drawn.len(), choose(&[], [0, 0])), (3, None));
    }
}
