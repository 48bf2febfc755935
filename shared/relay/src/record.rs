//! What is remembered of one endpoint's answers to one kind of call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{balance::ewma::PeakEwma, breaker::Breaker, endpoint::Endpoint, settings::RelaySettings};

/// Load of an endpoint that has calls in flight and has never answered one: whoever is known comes first. One call is enough to get to know it.
const UNKNOWN: f64 = 1e12;

#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) latency: PeakEwma,
    pub(crate) breaker: Breaker,
    pub(crate) in_flight: AtomicUsize,
    /// When it was first listed, in microseconds of the process.
    since: u64,
}

impl Record {
    pub(crate) fn new(now: u64) -> Self {
        Self { latency: PeakEwma::default(), breaker: Breaker::default(), in_flight: AtomicUsize::new(0), since: now }
    }
}

/// One endpoint of a group, with its record there.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) record: Arc<Record>,
}

impl Member {
    /// Whether a call may go there, as far as is known.
    pub(crate) fn admits(&self, now: u64) -> bool {
        !self.endpoint.is_paused() && self.record.breaker.admits(now)
    }

    /// What another call would have to wait for: the latency to expect, times the calls that are there already and itself.
    pub(crate) fn load(&self, now: u64, settings: &RelaySettings) -> f64 {
        let calls = self.endpoint.in_flight() as f64;
        let expected = self.record.latency.expected(now, settings.balance.decay);
        let expected = expected.unwrap_or(if calls > 0.0 { UNKNOWN } else { 0.0 });
        let age = Duration::from_micros(now.saturating_sub(self.record.since));
        expected * (calls + 1.0) / settings.balance.share(age)
    }

    pub(crate) fn calls(&self) -> usize {
        self.record.in_flight.load(Ordering::Relaxed)
    }
}
