//! The lines of an axis.

/// Round values from 0 to at least `most`, at most six of them, the last one being the axis's end.
pub fn ticks(most: f64) -> Vec<f64> {
    let most = if most.is_finite() && most > 0.0 { most } else { 1.0 };
    // What is counted has no halves.
    let step = step(most / 4.0).max(if most >= 1.0 { 1.0 } else { 0.0 });
    let count = (most / step).ceil() as usize;
    (0..=count).map(|at| at as f64 * step).collect()
}

/// The least of 1, 2, 2.5, 5 times a power of ten that is not below.
fn step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    [1.0, 2.0, 2.5, 5.0, 10.0].into_iter().map(|times| times * power).find(|step| *step >= least * 0.999_999).unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_lines_are_at_round_values() {
        assert_eq!(ticks(100.0), [0.0, 25.0, 50.0, 75.0, 100.0]);
        assert_eq!(ticks(7.0), [0.0, 2.0, 4.0, 6.0, 8.0]);
        assert_eq!(ticks(1.0), [0.0, 1.0]);
        assert_eq!(ticks(0.0), ticks(1.0));
    }

    proptest! {
        #[test]
        fn every_value_is_below_the_last_line(most in 0.001_f64..1e15) {
            let ticks = ticks(most);
            prop_assert!((2..=6).contains(&ticks.len()), "{:?}", ticks);
            prop_assert!(ticks[ticks.len() - 1] >= most * 0.999_99);
        }
    }
}
