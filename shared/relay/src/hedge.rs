//! Asking a second endpoint when the first takes unusually long ("hedged requests", Dean and Barroso, The Tail at Scale, 2013).

use std::time::Duration;

use torchmesh_settings::Section;

/// When a call is sent to a second endpoint too. Whoever answers first is passed on, the other call is cancelled.
#[derive(Debug, Clone, Copy)]
pub struct HedgeSettings {
    /// `hedge.percentile`: after how long, as a share of the calls that take no longer. 0 switches hedging off.
    pub percentile: f64,
    /// `hedge.at_least`: never sooner than this.
    pub at_least: Duration,
    /// `hedge.budget_ratio`: second calls for each call, on average. Default 0.05.
    pub budget_ratio: f64,
    /// `hedge.budget_reserve`: second calls beyond that, for the moment when an endpoint freezes. Default 100.
    pub budget_reserve: u32,
}

impl HedgeSettings {
    /// Hedging from this percentile on.
    pub const fn after(percentile: f64, at_least: Duration) -> Self {
        Self { percentile, at_least, budget_ratio: 0.05, budget_reserve: 100 }
    }

    /// No hedging.
    pub const OFF: Self = Self::after(0.0, Duration::ZERO);

    /// Reads the table `hedge`.
    pub fn read(s: &mut Section, defaults: Self) -> Self {
        s.section("hedge", |s| {
            let read = Self {
                percentile: s.or("percentile", defaults.percentile),
                at_least: s.or("at_least", defaults.at_least),
                budget_ratio: s.or("budget_ratio", defaults.budget_ratio),
                budget_reserve: s.or("budget_reserve", defaults.budget_reserve),
            };
            let percentile = read.percentile == 0.0 || (0.5..1.0).contains(&read.percentile);
            s.check(percentile, "percentile", "must be from 0.5 to below 1, such as 0.99, or 0 for no hedging");
            s.check((0.0..=1.0).contains(&read.budget_ratio), "budget_ratio", "must be from 0 to 1");
            read
        })
    }

    /// How long to wait for the first endpoint: for as long as nearly all calls take; where too few were seen to say, half of the time that
    /// is left. `None`: for ever.
    pub fn wait(&self, typical: impl FnOnce(f64) -> Option<Duration>, left: Option<Duration>) -> Option<Duration> {
        if self.percentile == 0.0 {
            return None;
        }
        let wait = typical(self.percentile).or_else(|| left.map(|left| left / 2))?;
        Some(wait.max(self.at_least))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn millis(count: u64) -> Duration {
        Duration::from_millis(count)
    }

    #[test]
    fn the_wait_is_what_nearly_all_calls_take_and_half_of_the_rest_when_that_is_not_known() {
        let hedge = HedgeSettings::after(0.99, millis(20));
        assert_eq!(hedge.wait(|_| Some(millis(80)), Some(millis(2000))), Some(millis(80)));
        assert_eq!(hedge.wait(|_| Some(millis(3)), Some(millis(2000))), Some(millis(20)));
        assert_eq!(hedge.wait(|_| None, Some(millis(2000))), Some(millis(1000)));
        assert_eq!(hedge.wait(|_| None, None), None);
        assert_eq!(HedgeSettings::OFF.wait(|_| Some(millis(80)), Some(millis(2000))), None);
    }
}
