//! What counts of yes and no say of a rate, however often one looks.
//!
//! A test that is repeated after each call raises a false alarm sooner or later when it is one for a fixed number of calls. These are not: the
//! likelihood of what was seen, mixed over rates by a beta distribution that was chosen beforehand, over its likelihood at the rate `p`, is a
//! martingale that begins at 1 when `p` is the true rate. By Ville's inequality (1939) it ever reaches `1 / alpha` with a probability of at most
//! `alpha`, at whatever moments it is looked at: Robbins, *Statistical methods related to the law of the iterated logarithm* (1970); Howard,
//! Ramdas, McAuliffe and Sekhon, *Time-uniform, nonparametric, nonasymptotic confidence sequences* (2021), section 3.1 and proposition 7. It is exact for
//! yes and no, also at rates near 0, where the normal distribution is not.

/// More calls than this are not foretold.
const FORETOLD: u64 = 1_000_000_000;

/// Whether the true rate is above `p`: false alarms, over all looks together, with a probability of at most `alpha`.
pub fn is_above(p: f64, hits: u64, of: u64, alpha: f64) -> bool {
    hits as f64 > p * of as f64 && against(p, hits as f64, of as f64) >= -alpha.ln()
}

/// Whether the true rate is below `p`: false alarms, over all looks together, with a probability of at most `alpha`.
pub fn is_below(p: f64, hits: u64, of: u64, alpha: f64) -> bool {
    p >= 1.0 || ((hits as f64) < p * of as f64 && against(p, hits as f64, of as f64) >= -alpha.ln())
}

/// About how many calls it takes until [`is_below`] holds, were the rate to stay as it was; `None` when that rate is not clearly below `p`.
pub fn enough(p: f64, hits: u64, of: u64, alpha: f64) -> Option<u64> {
    let rate = if of == 0 { 0.0 } else { hits as f64 / of as f64 };
    if rate >= 0.9 * p {
        return None;
    }
    let holds = |count: u64| against(p, rate * count as f64, count as f64) >= -alpha.ln();
    let mut most = 64;
    while !holds(most) {
        most *= 2;
        if most > FORETOLD {
            return None;
        }
    }
    let (mut least, mut most) = (most / 2, most);
    while most - least > 1 + least / 64 {
        let middle = least.midpoint(most);
        if holds(middle) { most = middle } else { least = middle }
    }
    Some(most)
}

/// The logarithm of the martingale: how much better the mixture foretold what was seen than the rate `p` does.
fn against(p: f64, hits: f64, of: f64) -> f64 {
    let p = p.clamp(1e-9, 1.0 - 1e-9);
    // A mixture that lies about `p` with much room to both sides: that costs the fewest calls where the rates in question are small.
    let (a, b) = (0.5, (0.5 / p - 0.5).max(0.5));
    let mixture = ln_beta(a + hits, b + of - hits) - ln_beta(a, b);
    mixture - hits * p.ln() - (of - hits) * (-p).ln_1p()
}

fn ln_beta(a: f64, b: f64) -> f64 {
    libm::lgamma(a) + libm::lgamma(b) - libm::lgamma(a + b)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// How many of 2000 series of calls with the rate `rate` raise an alarm at any of 3000 looks.
    fn alarms(rate: f64, seed: u64, alarm: impl Fn(u64, u64) -> bool) -> usize {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut series = || {
            let mut hits = 0;
            (1..=3000).any(|of| {
                hits += u64::from(random.f64() < rate);
                alarm(hits, of)
            })
        };
        (0..2000).filter(|_| series()).count()
    }

    #[test]
    fn looking_after_each_call_raises_no_more_false_alarms_than_promised() {
        for (seed, rate) in [(1, 0.01), (2, 0.05), (3, 0.5)] {
            let (above, below) = (
                alarms(rate, seed, |hits, of| is_above(rate, hits, of, 0.05)),
                alarms(rate, seed, |hits, of| is_below(rate, hits, of, 0.05)),
            );
            println!("rate {rate}: of 2000 series {above} were called above it and {below} below it, at 3000 looks each; 100 are allowed");
            assert!(above <= 100 && below <= 100);
        }
    }

    #[test]
    fn ten_calls_say_nothing_of_one_percent() {
        assert!(!is_below(0.01, 0, 10, 0.05) && !is_above(0.01, 1, 10, 0.05));
        assert!(is_below(0.01, 0, 700, 0.05) && is_above(0.01, 30, 700, 0.001));
    }

    #[test]
    fn what_is_foretold_is_enough_and_hardly_more() {
        let count = enough(0.01, 3, 1000, 0.05).unwrap();
        assert!(is_below(0.01, count * 3 / 1000, count, 0.05), "{count}");
        assert!(!is_below(0.01, (count * 8 / 10 * 3).div_ceil(1000), count * 8 / 10, 0.05), "{count}");
        assert_eq!(enough(0.01, 10, 1000, 0.05), None);
    }

    proptest! {
        #[test]
        fn no_rate_is_both_above_and_below(p in 0.0001_f64..1.0, of in 0_u64..1_000_000, share in 0.0_f64..1.0) {
            let hits = (of as f64 * share) as u64;
            prop_assert!(!(is_above(p, hits, of, 0.05) && is_below(p, hits, of, 0.05)));
        }

        #[test]
        fn fewer_hits_are_never_worse(p in 0.001_f64..0.5, of in 1_u64..10_000, share in 0.0_f64..1.0) {
            let hits = (of as f64 * share) as u64;
            if hits > 0 && is_below(p, hits, of, 0.05) {
                prop_assert!(is_below(p, hits - 1, of, 0.05));
            }
        }
    }
}
