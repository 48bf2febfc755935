//! What the queue's lock protects, and what is decided under it: plain functions of what waits, of what forwards cost, and of the time.

mod choice;
mod forecast;
mod short;

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use torchmesh_api::error::ApiError;

pub(super) use self::forecast::TooLate;
use self::{
    choice::{CAUTION, Choice},
    short::LastSeen,
};
use super::{
    Batch, Part, Piece, Priority, Ticket, Work,
    flows::{FlowKey, Flows, Urgency},
};
use crate::{
    batching::{self, Candidate, Moment, Rules, costs::Costs},
    manifest::Batching,
};

/// A smaller batch, in which everyone is in time, is run while its rows cost at most so many times what they cost in the preferred one.
const CHEAP: f64 = 1.25;
/// A batch in so many is run in a size that little is known about, while there is enough waiting for any size.
const TRY_EVERY: u64 = 8;

#[derive(Debug)]
pub(super) struct State {
    flows: Flows,
    rules: Rules,
    batching: Batching,
    instances: usize,
    /// What forwards cost.
    costs: Costs,
    /// When a forward was measured last.
    measured: Option<Instant>,
    /// When the batches that run are expected to be done.
    running: Vec<Instant>,
    full_batches: u64,
    /// Requests with at least one piece in the queue.
    pub(super) requests: usize,
    pub(super) rows: usize,
    pub(super) bytes: usize,
    /// Executors that wait for anything at all.
    pub(super) idle: usize,
    /// Executors that wait for a batch to fill.
    pub(super) lingering: usize,
    /// No queued request expires before this.
    next_deadline: Option<Instant>,
    last_seen: LastSeen,
    /// Set once: nothing is admitted any more, and this is why.
    pub(super) closed: Option<ApiError>,
}

/// What an executor is to do.
#[derive(Debug)]
pub(super) enum Next {
    /// Run these rows.
    Run(Batch),
    /// Look again when something arrives, at this instant at the latest.
    Wait(Instant),
    /// Answer these, whose deadline cannot be kept any more, and ask again.
    Late(Vec<Piece>),
}

impl State {
    pub(super) fn new(batching: Batching, instances: usize) -> Self {
        Self {
            flows: Flows::default(),
            rules: Rules::of(&batching, true),
            costs: Costs::new(batching.max_batch),
            batching,
            instances: instances.max(1),
            measured: None,
            running: Vec::new(),
            full_batches: 0,
            requests: 0,
            rows: 0,
            bytes: 0,
            idle: 0,
            lingering: 0,
            next_deadline: None,
            last_seen: LastSeen::default(),
            closed: None,
        }
    }

    /// The engine multiplies padding, or packs its rows.
    pub(super) fn set_padding_costs(&mut self, costs: bool) {
        self.rules = Rules::of(&self.batching, costs);
    }

    pub(super) fn learn(&mut self, work: Work, seconds: f64, now: Instant) {
        self.costs.learn(work.rows, self.length(work), seconds);
        self.measured = Some(now);
    }

    pub(super) fn push(&mut self, ticket: &Arc<Ticket>, parts: Vec<Part>) {
        self.requests += 1;
        self.last_seen.note(ticket.flow.0, ticket.arrived);
        self.next_deadline = earlier(self.next_deadline, ticket.deadline);
        let (rows, bytes) = parts.iter().fold((0, 0), |(rows, bytes), part| (rows + part.rows, bytes + part.bytes()));
        self.rows += rows;
        self.bytes += bytes;
        let costs = &self.costs;
        let pieces = parts.into_iter().enumerate().map(|(part, content)| {
            let cost = nanos(costs.row(content.length as f64));
            (Piece { ticket: Arc::clone(ticket), part, first_row: 0, content }, cost)
        });
        self.flows.push(ticket.flow, pieces);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.requests == 0
    }

    /// An executor has come for work: the batch that was to be done first is done.
    pub(super) fn executor_came(&mut self) {
        let others = self.instances.saturating_sub(1 + self.idle + self.lingering);
        while self.running.len() > others {
            let first = self.running.iter().enumerate().min_by_key(|(_, end)| **end).map_or(0, |(at, _)| at);
            self.running.swap_remove(first);
        }
    }

    /// Nothing waits and an executor is idle.
    pub(super) fn rest(&mut self) {
        self.flows.forgive();
    }

    /// What the executor that asks is to do. Something must wait.
    pub(super) fn next(&mut self, now: Instant) -> Next {
        let Some(first) = self.flows.order(None).next().map(|(_, piece)| piece.content.length as f64) else { return Next::Wait(now) };
        let best = self.most(now, first);
        if let Some(until) = self.linger(now, best, first) {
            return Next::Wait(until);
        }
        let share = batching::share(self.rows, self.idle, best);
        let saturated = self.rows >= 2 * best;
        if let Some(rows) = self.trial(first, saturated, best) {
            let tried = self.choose(now, rows, first);
            if tried.in_time(now) {
                return self.run(now, &tried);
            }
        }
        let mut choice = self.choose(now, share, first);
        if choice.in_time(now) || !self.believes(now) {
            return self.run(now, &choice);
        }
        // There may be time for a smaller batch: with little waiting nothing is lost by it, with much it must be nearly as good.
        let left = choice.tightest.map_or(0.0, |tightest| tightest.saturating_duration_since(now).as_secs_f64());
        let length = self.length(choice.work);
        let fits = self.costs.within(left / CAUTION, length).min(share);
        let each = |rows: usize| self.costs.forward(rows, length) / rows as f64;
        let mut hopeless = if saturated { choice.seconds } else { self.costs.forward(1, first) };
        if fits > 0 && (!saturated || each(fits) <= CHEAP * each(choice.work.rows)) {
            choice = self.choose(now, fits, first);
            hopeless = choice.seconds;
            if choice.in_time(now) {
                return self.run(now, &choice);
            }
        }
        let ends = now + seconds(CAUTION * hopeless);
        let late = self.remove(None, |ticket| ticket.expired(ends));
        if late.is_empty() { self.run(now, &choice) } else { Next::Late(late) }
    }

    /// Until when to wait for company.
    fn linger(&self, now: Instant, best: usize, length: f64) -> Option<Instant> {
        let delay = self.batching.max_queue_delay;
        if delay.is_zero() {
            return None;
        }
        let oldest = self.flows.pieces().map(|piece| piece.ticket.arrived).min().unwrap_or(now);
        // An even share is for running at once; whether to wait is asked of the whole batch.
        let whole = self.choose(now, best, length);
        let full = self.rows >= best || whole.is_full(self.rules);
        let latest = whole.tightest.map(|tightest| tightest.checked_sub(seconds(whole.seconds)).unwrap_or(now));
        match batching::moment(now, oldest, full, delay) {
            Moment::Run => None,
            Moment::Wait(until) => Some(latest.map_or(until, |latest| until.min(latest))).filter(|until| *until > now),
        }
    }

    /// A size of batch to learn something by.
    fn trial(&mut self, length: f64, saturated: bool, best: usize) -> Option<usize> {
        if !saturated {
            return None;
        }
        self.full_batches += 1;
        if !self.full_batches.is_multiple_of(TRY_EVERY) {
            return None;
        }
        let kept_short = best < self.costs.preferred(length);
        self.costs.untried(length, if kept_short { best } else { self.rows })
    }

    /// Chooses up to `rows` rows in the order of service; `length` is that of the rows whose turn it is.
    fn choose(&self, now: Instant, rows: usize, length: f64) -> Choice {
        let forward = seconds(self.costs.forward(rows, length));
        // Who would miss its deadline by waiting for this batch and its own.
        let urgency = Urgency { before: now + 2 * forward, credit: nanos(forward.as_secs_f64()) };
        let mut places = Vec::with_capacity(rows.min(self.rows));
        let order = self.flows.order(self.next_deadline.map(|_| urgency)).map(|(place, piece)| {
            places.push(place);
            let Piece { ticket, content, .. } = piece;
            Candidate { owner: Arc::as_ptr(ticket).addr(), rows: content.rows, length: content.length, shape: &content.shape }
        });
        let picks = batching::select(order, rows, &self.rules);
        let mut picks: Vec<_> = picks.into_iter().map(|pick| (places[pick.index], pick.rows)).collect();
        let (mut work, mut tightest) = (Work::default(), None);
        for (place, rows) in &picks {
            let piece = self.flows.piece(*place);
            work.add(*rows, piece.content.length);
            tightest = earlier(tightest, piece.ticket.deadline);
        }
        picks.sort_unstable();
        Choice { picks, work, seconds: self.costs.forward(work.rows, self.length(work)), tightest }
    }

    fn run(&mut self, now: Instant, choice: &Choice) -> Next {
        let pieces = self.flows.take(&choice.picks);
        for piece in &pieces {
            self.rows -= piece.content.rows;
            self.bytes -= piece.content.bytes();
        }
        self.release(pieces.iter().map(|piece| &piece.ticket));
        self.running.push(now + seconds(choice.seconds));
        Next::Run(Batch { pieces, taken: now })
    }

    /// The length that a batch's cost goes by.
    fn length(&self, work: Work) -> f64 {
        match self.rules.length_ratio {
            Some(_) => work.longest as f64,
            None => work.tokens as f64 / work.rows.max(1) as f64,
        }
    }

    /// Counts pieces that left the queue for good; a request whose last piece left gives its slot back.
    fn release<'a>(&mut self, left: impl Iterator<Item = &'a Arc<Ticket>>) {
        for ticket in left {
            if ticket.queued.fetch_sub(1, Ordering::Relaxed) == 1 {
                self.requests -= 1;
            }
        }
    }

    /// Takes out every piece for which `gone` holds, of one flow or of all, and counts it as left.
    pub(super) fn remove(&mut self, of: Option<FlowKey>, gone: impl Fn(&Ticket) -> bool) -> Vec<Piece> {
        let removed = self.flows.remove(of, gone);
        for piece in &removed {
            self.rows -= piece.content.rows;
            self.bytes -= piece.content.bytes();
        }
        self.release(removed.iter().map(|piece| &piece.ticket));
        removed
    }

    /// Takes out what has expired by `now`. Costs nothing while nothing can have.
    pub(super) fn remove_expired(&mut self, now: Instant) -> Vec<Piece> {
        if self.next_deadline.is_none_or(|deadline| deadline > now) {
            return Vec::new();
        }
        let removed = self.remove(None, |ticket| ticket.expired(now));
        self.next_deadline = self.flows.pieces().fold(None, |soonest, piece| earlier(soonest, piece.ticket.deadline));
        removed
    }

    /// How many rows fill a batch.
    pub(super) fn fills(&self) -> usize {
        self.flows.pieces().next().map_or(self.batching.max_batch, |piece| self.costs.preferred(piece.content.length as f64))
    }
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// At most a day, so that adding it to an instant cannot fail.
fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(if seconds.is_finite() { seconds.clamp(0.0, 86_400.0) } else { 86_400.0 })
}

fn nanos(seconds: f64) -> u64 {
    u64::try_from(self::seconds(seconds).as_nanos()).unwrap_or(u64::MAX)
}
