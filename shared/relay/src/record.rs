//! What is remembered of one endpoint's answers to one kind of call.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use crate::{
    balance::{ewma::PeakEwma, limit::Limit, prefix::Seat, reported::Reported, silence::Silence},
    breaker::Breaker,
    endpoint::Endpoint,
    settings::RelaySettings,
};

/// Load of an endpoint that has calls in flight and has never answered one: whoever is known comes first. One call is enough to get to know it.
const UNKNOWN: f64 = 1e12;
/// Latencies that differ by less than this factor are those of endpoints that are alike: the calls were not all the same, and to follow every difference would leave some
/// endpoints without any.
const ALIKE: f64 = 2.0;

#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) latency: PeakEwma,
    pub(crate) silence: Silence,
    pub(crate) reported: Reported,
    pub(crate) breaker: Breaker,
    pub(crate) limit: Limit,
    pub(crate) in_flight: AtomicUsize,
    /// When it was first listed, in microseconds of the process.
    since: u64,
}

impl Record {
    pub(crate) fn new(now: u64) -> Self {
        Self {
            latency: PeakEwma::default(),
            silence: Silence::default(),
            reported: Reported::default(),
            breaker: Breaker::default(),
            limit: Limit::default(),
            in_flight: AtomicUsize::new(0),
            since: now,
        }
    }
}

/// One endpoint of a group, with its record there.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) record: Arc<Record>,
    /// Which load of the model answers there; 0 where that is not told.
    pub(crate) load: u64,
    /// What it is in the index of prefixes.
    pub(crate) seat: Seat,
}

impl Member {
    /// Whether a call may go there, as far as is known.
    pub(crate) fn admits(&self, now: u64, settings: &RelaySettings) -> bool {
        !self.endpoint.is_paused() && self.record.breaker.admits(now) && self.has_room(settings)
    }

    /// Whether it has fewer calls than it may have.
    pub(crate) fn has_room(&self, settings: &RelaySettings) -> bool {
        self.most_calls(settings).is_none_or(|most| self.calls() < most)
    }

    /// The most calls that it may have at once; `None`: as many as come.
    pub(crate) fn most_calls(&self, settings: &RelaySettings) -> Option<usize> {
        settings.adaptive.map(|most| self.record.limit.calls(most))
    }

    /// Whether another call would wait less here than there, as far as is known: by the latency to expect, times the calls that are there already and itself.
    pub(crate) fn is_better(&self, other: &Self, now: u64, settings: &RelaySettings) -> bool {
        let (here, there) = (self.expected(now, settings), other.expected(now, settings));
        let (here, there) = if here <= there * ALIKE && there <= here * ALIKE { (1.0, 1.0) } else { (here, there) };
        here * self.occupied(now, settings) < there * other.occupied(now, settings)
    }

    /// The same by what both have said of their queues; by latency where one of them has not, or too long ago.
    pub(crate) fn reports_better(&self, other: &Self, now: u64, settings: &RelaySettings) -> bool {
        match (self.reported(now, settings), other.reported(now, settings)) {
            (Some(here), Some(there)) => here < there,
            _ => self.is_better(other, now, settings),
        }
    }

    /// What another call would take, in microseconds, by the share that the endpoint takes yet.
    fn reported(&self, now: u64, settings: &RelaySettings) -> Option<f64> {
        let expected = self.record.reported.expected(now, self.expected(now, settings), settings.balance.decay)?;
        Some(expected / self.share(now, settings))
    }

    /// In microseconds; 0 of one that is to be got to know.
    fn expected(&self, now: u64, settings: &RelaySettings) -> f64 {
        let silence = self.record.silence.expected(now, self.endpoint.answered_at()) as f64;
        match self.record.latency.expected(now, settings.balance.decay) {
            Some(latency) => latency.max(silence),
            None if self.endpoint.in_flight() > 0 => UNKNOWN,
            None => silence,
        }
    }

    /// The calls that are there and another one, by the share that the endpoint takes yet.
    fn occupied(&self, now: u64, settings: &RelaySettings) -> f64 {
        (self.endpoint.in_flight() as f64 + 1.0) / self.share(now, settings)
    }

    fn share(&self, now: u64, settings: &RelaySettings) -> f64 {
        settings.balance.share(Duration::from_micros(now.saturating_sub(self.record.since)))
    }

    pub(crate) fn calls(&self) -> usize {
        self.record.in_flight.load(Ordering::Relaxed)
    }
}
