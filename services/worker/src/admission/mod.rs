//! Who gets in and who waits: a bounded queue from which executors take batches.

pub mod bell;
mod caller;
mod flows;
mod queue;
mod state;
mod ticket;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use crate::{engine::Attribution, stats::BatchTimes, tensor::Tensor};

pub use caller::{Caller, Tenant};
pub use queue::{Load, Queue, QueueSettings, deadline_exceeded};
pub use ticket::{Answers, Pending, Ticket};
pub use torchmesh_api::priority::Priority;

/// A request as it enters the queue.
#[derive(Debug)]
pub struct Submission {
    /// What it is made of: one part for a tensor request, one a text for texts of different length. Never empty.
    pub parts: Vec<Part>,
    /// When its answer is of no use any more.
    pub deadline: Option<Instant>,
    /// Who asks, and how urgently.
    pub caller: Caller,
    /// The request's span, the parent of what is done for it; none when the caller records no trace.
    pub span: tracing::Span,
}

/// Rows of one length that may run in any batch, together or apart.
#[derive(Debug)]
pub struct Part {
    /// How many rows; at least 1.
    pub rows: usize,
    /// The sequence length; 1 for models without sequences.
    pub length: usize,
    /// Dimensions that must be equal within a batch; empty when the manifest fixes them all.
    pub shape: Box<[i64]>,
    /// One tensor an input, in the order of the manifest, each with `rows` as its first dimension.
    pub inputs: Vec<Tensor>,
    /// Set when an explanation is asked for in the place of outputs. Then there is one row, and `shape` is [`Part::EXPLAINED`], which no tensor has.
    pub attribution: Option<Box<Attribution>>,
}

/// Rows of a request in the queue or in a batch.
#[derive(Debug)]
pub struct Piece {
    /// Whose.
    pub ticket: Arc<Ticket>,
    /// Which part of the request.
    pub part: usize,
    /// Which row of the part comes first.
    pub first_row: usize,
    /// The rows.
    pub content: Part,
}

/// The outputs of some rows of a request.
#[derive(Debug)]
pub struct Answered {
    /// Which part of the request.
    pub part: usize,
    /// Which row of the part comes first.
    pub first_row: usize,
    /// How many rows.
    pub rows: usize,
    /// One tensor an output, in the order of the manifest, each with `rows` as its first dimension.
    pub outputs: Vec<Tensor>,
}

/// A batch that an executor took.
#[derive(Debug)]
pub struct Batch {
    /// What is in it, at least one piece.
    pub pieces: Vec<Piece>,
    /// When it was taken.
    pub taken: Instant,
}

/// Where a request's time went.
#[derive(Clone, Copy, Debug, Default)]
pub struct Spent {
    /// From admission to the first batch with rows of it.
    pub queue: Duration,
    /// What the batches with rows of it took.
    pub times: BatchTimes,
    /// How many batches those were.
    pub batches: u32,
}

/// What a forward has to do.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Work {
    /// Rows.
    pub rows: usize,
    /// Sequence elements, padding left out.
    pub tokens: usize,
    /// The longest sequence.
    pub longest: usize,
}

impl Spent {
    fn add(&mut self, times: BatchTimes) {
        self.times += times;
        self.batches += 1;
    }
}

impl Work {
    /// `rows` rows of one length.
    pub fn of(rows: usize, length: usize) -> Self {
        Self { rows, tokens: rows * length, longest: length }
    }

    fn add(&mut self, rows: usize, length: usize) {
        *self = Self { rows: self.rows + rows, tokens: self.tokens + rows * length, longest: self.longest.max(length) };
    }
}

impl Part {
    /// The `shape` of parts of explanations: they run in batches of their own.
    pub const EXPLAINED: [i64; 1] = [-1];

    /// The bytes of its tensors.
    pub fn bytes(&self) -> usize {
        self.inputs.iter().map(|input| input.data.len()).sum()
    }
}

impl Piece {
    /// Cuts the first `rows` rows off; the rest stays.
    pub(crate) fn cut(&mut self, rows: usize) -> Self {
        let rest = self.content.rows - rows;
        let (front, back): (Vec<Tensor>, Vec<Tensor>) = self.content.inputs.iter().map(|input| input.split_rows(rows)).unzip();
        let content = Part { rows, length: self.content.length, shape: self.content.shape.clone(), inputs: front, attribution: None };
        let cut = Self { ticket: Arc::clone(&self.ticket), part: self.part, first_row: self.first_row, content };
        self.first_row += rows;
        self.content.rows = rest;
        self.content.inputs = back;
        cut
    }
}

impl Batch {
    /// Two batches of half the rows each; a single row stays whole, in the second.
    pub(crate) fn halves(self) -> (Self, Self) {
        let mut room = self.rows() / 2;
        let (mut front, mut back) = (Vec::new(), Vec::new());
        for mut piece in self.pieces {
            if room >= piece.content.rows {
                room -= piece.content.rows;
                front.push(piece);
                continue;
            }
            if room > 0 {
                front.push(piece.cut(room));
                room = 0;
            }
            back.push(piece);
        }
        (Self { pieces: front, taken: self.taken }, Self { pieces: back, taken: self.taken })
    }

    /// The rows of all pieces.
    pub fn rows(&self) -> usize {
        self.pieces.iter().map(|piece| piece.content.rows).sum()
    }

    /// The longest sequence.
    pub fn longest(&self) -> usize {
        self.pieces.iter().map(|piece| piece.content.length).max().unwrap_or(0)
    }

    /// What it asks of a forward.
    pub fn work(&self) -> Work {
        let mut work = Work::default();
        self.pieces.iter().for_each(|piece| work.add(piece.content.rows, piece.content.length));
        work
    }
}

#[cfg(test)]
mod simulation;
#[cfg(test)]
mod tests;
