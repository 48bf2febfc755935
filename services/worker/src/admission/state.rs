//! What the queue's lock protects.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering},
    time::Instant,
};

use torchmesh_api::error::ApiError;

use super::{Batch, Piece, Ticket};
use crate::{
    batching::{self, Candidate, Moment, Pick},
    manifest::Batching,
    tensor::Tensor,
};

#[derive(Debug, Default)]
pub(super) struct State {
    pieces: VecDeque<Piece>,
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
    /// Set once: nothing is admitted any more, and this is why.
    pub(super) closed: Option<ApiError>,
}

impl State {
    pub(super) fn push(&mut self, ticket: &Arc<Ticket>, parts: Vec<super::Part>) {
        self.requests += 1;
        self.next_deadline = earlier(self.next_deadline, ticket.deadline);
        for (part, content) in parts.into_iter().enumerate() {
            self.rows += content.rows;
            self.bytes += content.bytes();
            self.pieces.push_back(Piece { ticket: Arc::clone(ticket), part, first_row: 0, content });
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// The next batch, or how long to wait for it. Must not be empty.
    pub(super) fn next(&mut self, now: Instant, rules: &Batching) -> Result<Batch, Instant> {
        let oldest = self.pieces.front().map_or(now, |piece| piece.ticket.arrived);
        // An even share is for running at once; whether to wait is asked of the whole batch.
        if !rules.max_queue_delay.is_zero() {
            let full = self.rows >= rules.max_batch || self.fills(rules);
            if let Moment::Wait(until) = batching::moment(now, oldest, full, rules.max_queue_delay) {
                return Err(until);
            }
        }
        let rows = batching::share(self.rows, self.idle, rules.max_batch);
        let picks = batching::select(self.candidates(), rows, rules);
        Ok(Batch { pieces: self.take(&picks), taken: now })
    }

    /// Whether what waits reaches the token budget before it reaches the row limit.
    fn fills(&self, rules: &Batching) -> bool {
        let picks = batching::select(self.candidates(), rules.max_batch, rules);
        let rows: usize = picks.iter().map(|pick| pick.rows).sum();
        let longest = picks.iter().map(|pick| self.pieces[pick.index].content.length).max().unwrap_or(0);
        rows >= rules.max_batch || (rows + 1) * longest > rules.max_padded_tokens
    }

    fn candidates(&self) -> impl Iterator<Item = Candidate<'_>> {
        self.pieces.iter().map(|Piece { ticket, content, .. }| Candidate {
            owner: Arc::as_ptr(ticket).addr(),
            rows: content.rows,
            length: content.length,
            shape: &content.shape,
        })
    }

    fn take(&mut self, picks: &[Pick]) -> Vec<Piece> {
        let whole_front = picks.iter().enumerate().all(|(at, pick)| pick.index == at && pick.rows == self.pieces[at].content.rows);
        let taken: Vec<Piece> = if whole_front { self.pieces.drain(..picks.len()).collect() } else { self.take_scattered(picks) };
        for piece in &taken {
            self.rows -= piece.content.rows;
            self.bytes -= piece.content.bytes();
        }
        taken
    }

    fn take_scattered(&mut self, picks: &[Pick]) -> Vec<Piece> {
        let mut taken = Vec::with_capacity(picks.len());
        let last = picks.last().map_or(0, |pick| pick.index);
        let mut kept = VecDeque::with_capacity(self.pieces.len());
        let mut picks = picks.iter().peekable();
        for (index, mut piece) in self.pieces.drain(..=last).enumerate() {
            match picks.next_if(|pick| pick.index == index) {
                Some(pick) if pick.rows == piece.content.rows => taken.push(piece),
                Some(pick) => {
                    taken.push(split(&mut piece, pick.rows));
                    kept.push_back(piece);
                }
                None => kept.push_back(piece),
            }
        }
        while let Some(piece) = kept.pop_back() {
            self.pieces.push_front(piece);
        }
        taken
    }

    /// Counts pieces that left the queue for good; a request whose last piece left gives its slot back.
    pub(super) fn release<'a>(&mut self, left: impl Iterator<Item = &'a Arc<Ticket>>) {
        for ticket in left {
            if ticket.queued.fetch_sub(1, Ordering::Relaxed) == 1 {
                self.requests -= 1;
            }
        }
    }

    /// Takes out every piece for which `gone` holds, and counts it as left.
    pub(super) fn remove(&mut self, gone: impl Fn(&Ticket) -> bool) -> Vec<Piece> {
        let mut removed = Vec::new();
        let mut kept = VecDeque::with_capacity(self.pieces.len());
        for piece in self.pieces.drain(..) {
            if gone(&piece.ticket) { removed.push(piece) } else { kept.push_back(piece) }
        }
        self.pieces = kept;
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
        let removed = self.remove(|ticket| ticket.expired(now));
        self.next_deadline = self.pieces.iter().fold(None, |soonest, piece| earlier(soonest, piece.ticket.deadline));
        removed
    }
}

/// Cuts the first `rows` rows off a piece.
fn split(piece: &mut Piece, rows: usize) -> Piece {
    let rest = piece.content.rows - rows;
    let (front, back): (Vec<Tensor>, Vec<Tensor>) = piece.content.inputs.iter().map(|input| input.split_rows(rows)).unzip();
    let content = super::Part { rows, length: piece.content.length, shape: piece.content.shape.clone(), inputs: front, attribution: None };
    let cut = Piece { ticket: Arc::clone(&piece.ticket), part: piece.part, first_row: piece.first_row, content };
    // Two pieces where there was one.
    piece.ticket.queued.fetch_add(1, Ordering::Relaxed);
    piece.first_row += rows;
    piece.content.rows = rest;
    piece.content.inputs = back;
    cut
}

fn earlier(one: Option<Instant>, other: Option<Instant>) -> Option<Instant> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}
