//! What lies between two looks at a router's counts.

use std::collections::BTreeMap;

use torchmesh_api::admin::v1::{GetTrafficResponse, VersionTraffic};

/// A version in an interval.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// The model.
    pub model: String,
    /// The version.
    pub version: String,
    /// Calls that began, a second.
    pub calls_per_second: f64,
    /// Calls that failed by the version's fault, a second.
    pub errors_per_second: f64,
    /// The median of how long answered calls took, in milliseconds; none: none was answered.
    pub p50_ms: Option<f64>,
    /// What 99 of 100 did not take longer than.
    pub p99_ms: Option<f64>,
    /// Calls that have not ended.
    pub in_flight: u64,
}

impl Figures {
    /// `model@version`.
    pub fn name(&self) -> String {
        format!("{}@{}", self.model, self.version)
    }
}

/// The versions that the second look has, those first that were called most, at most so many. What has been counted anew since, as by another process, is of nobody knows when: it counts for nothing.
pub(super) fn of(before: &GetTrafficResponse, now: &GetTrafficResponse, lasted_ms: i64, most: usize) -> Vec<Figures> {
    let seconds = lasted_ms.max(1) as f64 / 1000.0;
    let mut versions: Vec<Figures> = now.versions.iter().map(|version| one(earlier(before, now, version), version, seconds)).collect();
    versions.sort_by(|one, other| {
        other
            .calls_per_second
            .total_cmp(&one.calls_per_second)
            .then_with(|| (&one.model, &one.version).cmp(&(&other.model, &other.version)))
    });
    versions.truncate(most);
    versions
}

fn earlier<'a>(before: &'a GetTrafficResponse, now: &GetTrafficResponse, version: &'a VersionTraffic) -> &'a VersionTraffic {
    let same = |other: &&VersionTraffic| (&other.model, &other.version, other.epoch) == (&version.model, &version.version, version.epoch);
    before.versions.iter().find(same).filter(|_| before.router == now.router).unwrap_or(version)
}

fn one(old: &VersionTraffic, new: &VersionTraffic, seconds: f64) -> Figures {
    let rate = |old: u64, new: u64| new.saturating_sub(old) as f64 / seconds;
    let mut latencies: BTreeMap<u64, u64> = new.latencies.iter().map(|bucket| (bucket.from_us, bucket.count)).collect();
    for bucket in &old.latencies {
        if let Some(count) = latencies.get_mut(&bucket.from_us) {
            *count = count.saturating_sub(bucket.count);
        }
    }
    Figures {
        model: new.model.clone(),
        version: new.version.clone(),
        calls_per_second: rate(old.begun, new.begun),
        errors_per_second: rate(old.errors, new.errors),
        p50_ms: quantile(&latencies, 0.5),
        p99_ms: quantile(&latencies, 0.99),
        in_flight: new.in_flight,
    }
}

fn quantile(latencies: &BTreeMap<u64, u64>, share: f64) -> Option<f64> {
    let all: u64 = latencies.values().sum();
    let wanted = ((all as f64 * share).ceil() as u64).max(1);
    let mut seen = 0;
    let found = latencies.iter().find(|(_, count)| {
        seen += **count;
        seen >= wanted
    });
    found.map(|(from_us, _)| *from_us as f64 / 1000.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use torchmesh_api::admin::v1::Latencies;

    use super::*;

    fn told(router: &str, epoch: u64, begun: u64, latencies: &[(u64, u64)]) -> GetTrafficResponse {
        let latencies = latencies.iter().map(|&(from_us, count)| Latencies { bucket: 0, from_us, count }).collect();
        let version = VersionTraffic {
            model: "m".into(),
            version: "1".into(),
            epoch,
            begun,
            errors: begun / 10,
            in_flight: 3,
            latencies,
            ..Default::default()
        };
        GetTrafficResponse { router: router.to_owned(), versions: vec![version] }
    }

    #[test]
    fn only_what_came_between_counts() {
        let before = told("a", 1, 100, &[(1000, 100)]);
        let now = told("a", 1, 120, &[(1000, 110), (9000, 10)]);
        let figures = of(&before, &now, 10_000, 9).remove(0);
        assert!((figures.calls_per_second - 2.0).abs() < 1e-9 && (figures.errors_per_second - 0.2).abs() < 1e-9, "{figures:?}");
        assert_eq!((figures.p50_ms, figures.p99_ms, figures.in_flight), (Some(1.0), Some(9.0), 3));
        assert_eq!(figures.name(), "m@1");
    }

    #[test]
    fn another_process_or_another_count_begins_with_nothing() {
        let before = told("a", 1, 100, &[(1000, 100)]);
        for now in [told("b", 1, 900, &[(1000, 900)]), told("a", 2, 900, &[(1000, 900)])] {
            let figures = of(&before, &now, 10_000, 9).remove(0);
            assert!(figures.calls_per_second.abs() < 1e-9, "{figures:?}");
            assert_eq!((figures.p50_ms, figures.p99_ms), (None, None));
        }
    }

    proptest! {
        #[test]
        fn whatever_is_told_no_rate_is_below_nothing(
            old in prop::collection::vec((0_u64..99, any::<u64>()), 0..9), new in prop::collection::vec((0_u64..99, 0_u64..1 << 50), 0..9),
            begun in any::<[u64; 2]>(), lasted in any::<i64>(),
        ) {
            let figures = of(&told("a", 1, begun[0], &old), &told("a", 1, begun[1], &new), lasted, 9).remove(0);
            prop_assert!(figures.calls_per_second >= 0.0 && figures.calls_per_second.is_finite());
            prop_assert!(figures.p50_ms.unwrap_or(0.0) <= figures.p99_ms.unwrap_or(f64::MAX));
        }
    }
}
