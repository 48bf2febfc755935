//! One call at one endpoint, from its beginning to its end, whatever the end is.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use http::{HeaderMap, HeaderValue};

use crate::{
    balance::reported::Load,
    breaker::{Blame, Outcome},
    clock,
    endpoint::Endpoint,
    group::Group,
    lane::OnConnection,
    record::Member,
};

/// Dropping it says that the call has ended.
#[derive(Debug)]
pub(crate) struct Ticket {
    group: Arc<Group>,
    at: usize,
    begun: Instant,
    /// It is the one call that tries whether the endpoint has recovered.
    trying: bool,
    /// The same of all the endpoints together.
    trying_all: bool,
    settled: bool,
    place: Option<OnConnection>,
}

impl Ticket {
    pub(crate) fn new(group: Arc<Group>, at: usize, begun: Instant) -> Self {
        let member = &group.members[at];
        member.endpoint.begin();
        member.record.in_flight.fetch_add(1, Ordering::Relaxed);
        group.shared.in_flight.fetch_add(1, Ordering::Relaxed);
        member.record.reported.sent();
        let now = clock::micros(begun);
        let (trying, trying_all) = (member.record.breaker.begin(now), group.shared.standing.begin(now));
        Self { group, at, begun, trying, trying_all, settled: false, place: None }
    }

    /// The endpoint's position in its group.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    pub(crate) fn endpoint(&self) -> &Arc<Endpoint> {
        &self.member().endpoint
    }

    /// Calls at once on one connection before there is another.
    pub(crate) fn calls_per_connection(&self) -> usize {
        self.group.settings.balance.calls_per_connection
    }

    /// It is on this connection until it ends.
    pub(crate) fn is_on(&mut self, place: OnConnection) {
        self.place = Some(place);
    }

    /// The head of the endpoint's answer has come.
    pub(crate) fn told(&self, head: &HeaderMap) {
        if let Some(load) = Load::read(head) {
            self.member().record.reported.told(clock::micros(Instant::now()), load);
        }
    }

    /// The endpoint answered with this status; none is that of a stream which has begun.
    pub(crate) fn answered(&mut self, status: Option<&HeaderValue>) {
        let blame = self.group.settings.breaker.blame;
        match status.map(HeaderValue::as_bytes) {
            // UNKNOWN, INTERNAL, UNAVAILABLE, DATA_LOSS: not the caller's doing.
            Some(b"2" | b"13" | b"14" | b"15") if blame == Blame::Statuses => self.failed(),
            // It lives; and that it refused quickly (RESOURCE_EXHAUSTED is 8) does not make it a fast one.
            Some(code @ (b"8" | b"14")) => {
                if code == b"8" {
                    self.refused();
                }
                self.settle(Outcome::Answered);
            }
            _ => {
                let took = self.begun.elapsed();
                let (now, decay) = (clock::micros(Instant::now()), self.group.settings.balance.decay);
                let record = &self.member().record;
                record.latency.observe(now, took, decay);
                if let Some(most) = self.group.settings.adaptive {
                    record.limit.observe(now, took, self.member().calls(), most);
                }
                self.group.shared.latencies.observe(took);
                self.settle(Outcome::Answered);
            }
        }
    }

    /// It has more calls than it takes, this router's and others'.
    fn refused(&self) {
        if let Some(most) = self.group.settings.adaptive {
            self.member().record.limit.refused(most);
        }
    }

    /// The endpoint failed the call.
    pub(crate) fn failed(&mut self) {
        self.settle(Outcome::Failed);
    }

    fn settle(&mut self, outcome: Outcome) {
        self.settled = true;
        let now = clock::micros(Instant::now());
        let settings = &self.group.settings.breaker;
        if self.member().record.breaker.count(now, outcome, settings) {
            self.group.open_breaker(self.at, now);
        }
        if self.group.shared.standing.count(now, outcome, settings) {
            self.group.metrics.group_fails();
        }
    }

    fn member(&self) -> &Member {
        &self.group.members[self.at]
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let member = self.member();
        member.endpoint.end();
        member.record.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.group.shared.in_flight.fetch_sub(1, Ordering::Relaxed);
        if self.settled {
            return;
        }
        let now = clock::micros(Instant::now());
        let expected = member.record.latency.expected(now, self.group.settings.balance.decay).unwrap_or_default();
        member.record.silence.observe(now, self.begun.elapsed(), expected);
        if self.trying {
            member.record.breaker.gave_up();
        }
        if self.trying_all {
            self.group.shared.standing.gave_up();
        }
    }
}
