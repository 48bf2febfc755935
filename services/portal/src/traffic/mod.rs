//! What went on in the last hour, as the router has counted it: rates, latencies and calls in flight of each version.
//!
//! Routers count from their start and forget nothing ([`GetTrafficResponse`]); what lies between two looks is what went on meanwhile. Looks are taken every few seconds, and one minute
//! after the other is kept, for an hour. It is in memory only: another process of the portal has its own, and a new one begins with nothing.

mod between;

pub use between::Figures;

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::time::{MissedTickBehavior, interval};
use torchmesh_api::admin::v1::GetTrafficResponse;
use torchmesh_runtime::lifecycle::Drain;

use crate::{app::App, figures};

/// How often the router is asked.
const EVERY: Duration = Duration::from_secs(5);
/// As long as a minute, less what a clock may be early by.
const MINUTE_MS: i64 = 59_500;
/// So many minutes are kept.
const MINUTES: usize = 60;
/// Of so many versions at most, those that were called most: a page draws no more.
const VERSIONS: usize = 64;

/// A minute that is over.
#[derive(Debug, Clone, PartialEq)]
pub struct Minute {
    /// When it ended, in milliseconds since 1970.
    pub at_ms: i64,
    /// Its versions; none was called where it is empty, or nothing is known.
    pub versions: Vec<Figures>,
}

/// What is shown.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Seen {
    /// The minutes, the newest last.
    pub minutes: Vec<Minute>,
    /// The last few seconds; none: the router does not answer, or was asked once only.
    pub now: Option<Vec<Figures>>,
}

#[derive(Debug, Default)]
struct Kept {
    minutes: VecDeque<Minute>,
    now: Option<Vec<Figures>>,
    last: Option<(i64, GetTrafficResponse)>,
    began: Option<(i64, GetTrafficResponse)>,
    /// The most calls in flight of each version since then.
    most: BTreeMap<(String, String), u64>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Traffic(Mutex<Kept>);

impl Traffic {
    /// What is known.
    pub fn seen(&self) -> Seen {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Seen { minutes: kept.minutes.iter().cloned().collect(), now: kept.now.clone() }
    }

    /// Takes what the router has counted by now.
    fn take(&self, told: GetTrafficResponse, now_ms: i64) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // A clock that was put back says nothing of how long it took.
        kept.last.take_if(|(at, _)| *at >= now_ms);
        kept.began.take_if(|(at, _)| *at > now_ms);
        kept.now = kept.last.as_ref().map(|(at, before)| between::of(before, &told, now_ms - at, VERSIONS));
        for version in &told.versions {
            let most = kept.most.entry((version.model.clone(), version.version.clone())).or_default();
            *most = version.in_flight.max(*most);
        }
        match kept.began.take() {
            Some(began) if now_ms - began.0 < MINUTE_MS => kept.began = Some(began),
            began => {
                if let Some((at, before)) = began {
                    kept.end_minute(&before, &told, now_ms, now_ms - at);
                }
                (kept.began, kept.most) = (Some((now_ms, told.clone())), BTreeMap::new());
            }
        }
        kept.last = Some((now_ms, told));
    }

    /// The router has not answered.
    fn miss(&self) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.now, kept.last) = (None, None);
    }
}

impl Kept {
    fn end_minute(&mut self, before: &GetTrafficResponse, told: &GetTrafficResponse, at_ms: i64, lasted_ms: i64) {
        let mut versions = between::of(before, told, lasted_ms, VERSIONS);
        for version in &mut versions {
            let place = (version.model.clone(), version.version.clone());
            version.in_flight = self.most.get(&place).copied().unwrap_or(version.in_flight);
        }
        self.minutes.push_back(Minute { at_ms, versions });
        while self.minutes.len() > MINUTES {
            self.minutes.pop_front();
        }
    }
}

/// Asks the router until the process drains; nothing is done where there is none.
pub async fn attend(app: Arc<App>, drain: Drain) {
    let Some(router) = &app.router else { return };
    let mut ticks = interval(EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    while !drain.is_draining() {
        tokio::select! {
            _ = ticks.tick() => {}
            () = drain.draining() => return,
        }
        match router.traffic().await {
            Ok(told) => app.traffic.take(told, figures::now_ms()),
            Err(_) => app.traffic.miss(),
        }
    }
}

#[cfg(test)]
mod tests {
    use torchmesh_api::admin::v1::VersionTraffic;

    use super::*;

    fn told(begun: u64, in_flight: u64) -> GetTrafficResponse {
        let version = VersionTraffic { model: "m".into(), version: "1".into(), epoch: 7, begun, in_flight, ..Default::default() };
        GetTrafficResponse { router: "a".into(), versions: vec![version] }
    }

    #[test]
    fn minutes_follow_each_other_for_an_hour_and_have_the_most_that_was_in_flight() {
        let traffic = Traffic::default();
        for look in 0..=(70 * 12) {
            traffic.take(told(look * 10, if look % 12 == 6 { 9 } else { 1 }), i64::try_from(look).unwrap() * 5000);
        }
        let seen = traffic.seen();
        assert_eq!((seen.minutes.len(), seen.minutes[59].at_ms, seen.minutes[0].at_ms), (60, 70 * 60_000, 11 * 60_000));
        for minute in &seen.minutes {
            assert!((minute.versions[0].calls_per_second - 2.0).abs() < 1e-9 && minute.versions[0].in_flight == 9, "{minute:?}");
        }
        let now = seen.now.unwrap();
        assert!((now[0].calls_per_second - 2.0).abs() < 1e-9 && now[0].in_flight == 1, "{now:?}");
    }

    #[test]
    fn a_router_that_is_away_leaves_what_was_seen_and_no_rate_of_the_gap() {
        let traffic = Traffic::default();
        traffic.take(told(0, 0), 0);
        traffic.take(told(600, 0), 60_000);
        traffic.miss();
        assert_eq!((traffic.seen().now, traffic.seen().minutes.len()), (None, 1));
        traffic.take(told(900, 0), 90_000);
        assert_eq!(traffic.seen().now, None, "one look is no rate");
        traffic.take(told(910, 0), 95_000);
        assert!((traffic.seen().now.unwrap()[0].calls_per_second - 2.0).abs() < 1e-9);
    }

    #[test]
    fn a_clock_that_goes_back_begins_another_minute() {
        let traffic = Traffic::default();
        traffic.take(told(0, 0), 1_000_000);
        traffic.take(told(100, 0), 5_000);
        traffic.take(told(200, 0), 65_000);
        let seen = traffic.seen();
        let rates: Vec<f64> = seen.minutes.iter().flat_map(|minute| &minute.versions).map(|version| version.calls_per_second).collect();
        assert!(rates.iter().all(|rate| (0.0..3.0).contains(rate)), "{rates:?}");
    }
}
