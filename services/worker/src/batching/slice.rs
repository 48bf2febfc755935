//! How large a batch may be while somebody more urgent may come: whoever comes has to wait for the batch that runs, so it is kept short.

use super::costs::Costs;

/// As long as so many rows by themselves: who comes then waits about as long as its own forward takes, and a little.
const ALONE: f64 = 2.0;
/// A short batch's row costs at most so many times what it costs in the preferred batch, so that what is not urgent does not pay for others who are
/// few. Where only larger batches come up to that, larger ones are run.
const DEARER: f64 = 1.25;

/// The most rows of `length` that one forward may take while somebody more urgent may come, by what forwards were measured to cost; the preferred
/// number while nothing is known.
pub fn slice(costs: &Costs, length: f64) -> usize {
    let best = costs.preferred(length);
    let each = |rows: usize| costs.forward(rows, length) / rows as f64;
    let dearest = DEARER * each(best);
    let sizes = std::iter::successors(Some(1), |rows: &usize| rows.checked_mul(2)).take_while(|rows| *rows < best);
    let cheap = sizes.into_iter().find(|rows| each(*rows) <= dearest).unwrap_or(best);
    costs.within(ALONE * costs.forward(1, length), length).max(cheap).min(best)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is learnt of a machine whose forwards take `fixed` + `each` × rows × length.
    fn learnt(max_batch: usize, fixed: f64, each: f64) -> Costs {
        let mut costs = Costs::new(max_batch);
        let sizes = || std::iter::successors(Some(1), |rows| Some(rows * 2)).take_while(|rows| *rows < max_batch).chain([max_batch]);
        for length in [16.0, 32.0, 64.0].repeat(3) {
            sizes().for_each(|rows| costs.learn(rows, length, fixed + each * rows as f64 * length));
        }
        costs
    }

    #[test]
    fn where_rows_together_cost_what_they_cost_apart_a_slice_is_a_row_or_two() {
        assert_eq!(slice(&learnt(32, 0.0, 1e-3), 32.0), learnt(32, 0.0, 1e-3).preferred(32.0).min(2));
    }

    #[test]
    fn where_rows_together_are_for_nothing_a_slice_is_a_whole_batch() {
        assert_eq!(slice(&learnt(32, 10e-3, 1e-6), 32.0), 32);
    }

    #[test]
    fn in_between_a_slice_is_as_short_as_it_may_be_without_being_dear() {
        // A row of 32 costs 8 ms and a forward 5: 8.2 ms a row in the best batch, 10.5 in twos, 9.25 in fours.
        assert_eq!(slice(&learnt(32, 5e-3, 0.25e-3), 32.0), 4);
    }

    #[test]
    fn while_nothing_is_known_a_slice_is_a_whole_batch() {
        assert_eq!(slice(&Costs::new(24), 32.0), 24);
    }

    proptest! {
        /// Whatever was measured: never more than a batch that nobody disturbs, never nothing, never dear, and no longer than that asks for.
        #[test]
        fn a_slice_is_short_or_as_short_as_is_not_dear(
            measured in prop::collection::vec((1_usize..64, 1.0_f64..600.0, 1e-4_f64..1.0), 0..40),
            max_batch in 1_usize..64,
            length in 1.0_f64..600.0,
        ) {
            let mut costs = Costs::new(max_batch);
            for (rows, length, seconds) in measured {
                costs.learn(rows.min(max_batch), length, seconds);
            }
            let (rows, best) = (slice(&costs, length), costs.preferred(length));
            let each = |rows: usize| costs.forward(rows, length) / rows as f64;
            prop_assert!((1..=best).contains(&rows));
            if costs.is_known() && rows > 1 {
                let short = costs.forward(rows, length) <= ALONE * costs.forward(1, length) * (1.0 + 1e-9);
                let fewer = 1 << (rows - 1).ilog2();
                prop_assert!(short || each(fewer) > DEARER * each(best), "{rows} of {best} take long, and {fewer} would not be dear");
            }
        }
    }
}
