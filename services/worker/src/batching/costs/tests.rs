use proptest::prelude::*;

use super::*;

/// A machine whose forwards take `fixed` + `each` × rows × length.
fn line(fixed: f64, each: f64) -> impl Fn(usize, f64) -> f64 {
    move |rows, length| fixed + each * rows as f64 * length
}

fn warm(max_batch: usize, truth: impl Fn(usize, f64) -> f64) -> Costs {
    let mut costs = Costs::new(max_batch);
    for _ in 0..2 {
        for length in [16.0, 64.0] {
            for rows in [1, max_batch] {
                costs.learn(rows, length, truth(rows, length));
            }
        }
    }
    costs
}

fn near(left: f64, right: f64, tolerance: f64) -> bool {
    (left / right - 1.0).abs() <= tolerance
}

#[test]
fn the_warm_up_teaches_the_shapes_that_it_did_not_run() {
    let truth = line(2e-3, 1e-5);
    let costs = warm(32, &truth);
    for (rows, length) in [(1, 16.0), (7, 40.0), (32, 64.0), (12, 16.0), (4, 200.0), (32, 256.0)] {
        assert!(near(costs.forward(rows, length), truth(rows, length), 0.02), "{rows} × {length}: {}", costs.forward(rows, length));
    }
}

#[test]
fn one_forward_during_which_the_machine_slept_changes_next_to_nothing() {
    let truth = line(2e-3, 1e-5);
    let mut costs = warm(32, &truth);
    for _ in 0..10 {
        costs.learn(32, 16.0, truth(32, 16.0));
    }
    costs.learn(32, 16.0, 30.0);
    assert!(costs.forward(32, 16.0) < truth(32, 16.0) * 1.15, "{}", costs.forward(32, 16.0));
}

#[test]
fn a_machine_that_has_become_slower_is_believed_after_a_while() {
    let mut costs = warm(32, line(2e-3, 1e-5));
    let slower = line(8e-3, 4e-5);
    for _ in 0..60 {
        costs.learn(32, 16.0, slower(32, 16.0));
    }
    assert!(near(costs.forward(32, 16.0), slower(32, 16.0), 0.1), "{}", costs.forward(32, 16.0));
}

#[test]
fn a_batch_is_as_large_as_allowed_while_every_further_row_is_cheap() {
    assert_eq!(warm(32, line(20e-3, 1e-5)).preferred(16.0), 32);
}

/// Best at 8 rows: beyond, the cache is too small.
fn cached(rows: usize, length: f64) -> f64 {
    let within = 4e-3 + 1e-4 * rows.min(8) as f64 * length;
    within + 3e-4 * rows.saturating_sub(8) as f64 * length
}

#[test]
fn a_row_that_costs_more_than_it_would_in_the_next_batch_waits_for_that() {
    let mut costs = warm(32, cached);
    for _ in 0..2 {
        for rows in [2, 4, 8, 16] {
            costs.learn(rows, 16.0, cached(rows, 16.0));
        }
    }
    assert_eq!(costs.preferred(16.0), 8);
    assert_eq!(costs.untried(16.0, 32), None);
}

#[test]
fn the_sizes_that_the_warm_up_left_out_are_to_be_tried() {
    let mut costs = warm(32, cached);
    let mut tried = Vec::new();
    while let Some(rows) = costs.untried(16.0, 32) {
        tried.push(rows);
        costs.learn(rows, 16.0, cached(rows, 16.0));
    }
    tried.dedup();
    assert_eq!(tried, [16, 8, 4, 2]);
    assert_eq!(costs.preferred(16.0), 8);
}

#[test]
fn fewer_rows_than_the_largest_untried_size_try_a_smaller_one() {
    // The warm-up of the large batch ran while the machine was busy, so that batches of one seem best.
    let truth = line(8e-3, 2.5e-4);
    let mut costs = warm(32, |rows, length| truth(rows, length) * if rows == 32 { 4.0 } else { 1.0 });
    assert_eq!(costs.preferred(16.0), 1);
    while let Some(rows) = costs.untried(16.0, 15) {
        assert!(rows <= 15, "{rows}");
        costs.learn(rows, 16.0, truth(rows, 16.0));
    }
    assert_eq!(costs.preferred(16.0), 8);
}

#[test]
fn a_forward_of_microseconds_is_never_cut() {
    let costs = warm(32, |rows, _| 1e-6 * (rows * rows) as f64);
    assert_eq!((costs.preferred(16.0), costs.untried(16.0, 32)), (31, None), "32 rows take more than a millisecond");
}

#[test]
fn nothing_known_costs_nothing_but_has_its_share() {
    let costs = Costs::new(32);
    assert_eq!((costs.is_known(), costs.forward(32, 64.0), costs.preferred(64.0), costs.within(0.0, 64.0)), (false, 0.0, 32, 32));
    assert!(near(costs.row(64.0), 2.0 * costs.row(32.0), 1e-9));
}

fn seconds() -> impl Strategy<Value = f64> {
    prop_oneof![8 => 1e-6_f64..1.0, 1 => Just(f64::NAN), 1 => Just(f64::INFINITY), 1 => Just(0.0), 1 => Just(1e6), 1 => Just(-1.0)]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn more_rows_and_longer_ones_never_cost_less_whatever_was_measured(
        history in prop::collection::vec((1_usize..5000, 1.0_f64..200_000.0, seconds()), 0..60),
        rows in 1_usize..4096,
        length in 1.0_f64..131_072.0,
    ) {
        let mut costs = Costs::new(4096);
        for (rows, length, seconds) in history {
            costs.learn(rows, length, seconds);
        }
        let cost = costs.forward(rows, length);
        prop_assert!(cost.is_finite() && cost >= 0.0);
        prop_assert!(costs.forward(rows + 1, length) >= cost * (1.0 - 1e-12));
        prop_assert!(costs.forward(rows, length * 1.01) >= cost * (1.0 - 1e-12));
        prop_assert!(costs.row(length) > 0.0 && costs.row(length).is_finite());
        prop_assert!((1..=4096).contains(&costs.preferred(length)));
        let fits = costs.within(cost * (1.0 + 1e-9), length);
        prop_assert!(fits >= rows && costs.forward(fits, length) <= cost * (1.0 + 1e-9));
    }

    #[test]
    fn noise_and_accidents_average_out(fixed in 1e-4_f64..1e-2, each in 1e-6_f64..1e-4, seed in any::<u64>()) {
        let truth = line(fixed, each);
        let mut costs = warm(32, &truth);
        let mut random = fastrand::Rng::with_seed(seed);
        let shapes = [1, 8, 20, 32];
        for rows in shapes.into_iter().cycle().take(400) {
            // One forward in twenty takes ten times as long.
            let accident = if random.u8(..20) == 0 { 10.0 } else { 1.0 };
            costs.learn(rows, 32.0, truth(rows, 32.0) * (0.9 + 0.2 * random.f64()) * accident);
        }
        for rows in shapes {
            let ratio = costs.forward(rows, 32.0) / truth(rows, 32.0);
            prop_assert!((0.8..1.6).contains(&ratio), "{rows} rows: {ratio}");
        }
    }
}
