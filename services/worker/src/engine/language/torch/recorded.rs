//! Steps in which every sequence has one token: recorded once for each number of rows, and done again in one launch.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use tch::{Kind, TchError, Tensor};
use torchmesh_generation::Span;

use super::{int, layer::Paged, packing::put, weights::Place};
use crate::engine::{
    cuda::{self, Graph, Pool, Stream},
    kernels::TOKENS_OF_BLOCK,
};

/// Rows that steps are recorded for; a step is filled up to the next.
const ROWS: [usize; 15] = [1, 2, 4, 8, 16, 24, 32, 48, 64, 96, 128, 160, 192, 224, 256];
const MOST_ROWS: usize = ROWS[ROWS.len() - 1];

/// Blocks that the sequences of a step have together at most; of more, the step is not done from a record.
const MOST_BLOCKS: usize = 1 << 18;

/// What a row is told of, each a part of the inputs.
const TOKENS: usize = 0;
const POSITIONS: usize = 1;
const SLOTS: usize = 2;
const BEGINS: usize = 3;
const PARTS: usize = 4;

/// A position or a slot that is none: the row fills the step up.
const NONE: i64 = -1;

/// Steps of one token a sequence.
#[derive(Debug)]
pub(super) struct Recorded {
    graphs: BTreeMap<usize, Graph>,
    /// Tokens, positions, slots and where its blocks begin, of each row; then the blocks. Records read them where they lie.
    inputs: Tensor,
    /// The same on this side, where the device reads it itself.
    outside: Tensor,
    blocks: usize,
    /// [rows, vocabulary], in single precision: where records write.
    pub(super) logits: Tensor,
}

/// How much is recorded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    /// The length of a row of logits.
    pub(super) vocabulary: usize,
    /// Of the cache.
    pub(super) blocks: usize,
    /// Ways to do a step of one row, of which what was measured to be the fastest stays.
    pub(super) ways: usize,
}

/// The rows of a step that is recorded, on the device.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) tokens: Tensor,
    pub(super) positions: Tensor,
    pub(super) slots: Tensor,
    pub(super) paged: Paged,
}

impl Recorded {
    /// `step` does what is recorded, for the rows and the place of their logits that it is given, on one of its ways.
    pub(super) fn new(
        place: Place,
        stream: &Stream,
        size: Size,
        step: impl Fn(&Rows, &Tensor, usize) -> Result<(), TchError>,
    ) -> Result<Self, TchError> {
        let Size { vocabulary, blocks, ways } = size;
        // Each sequence has a block at least.
        let most = ROWS.into_iter().find(|&rows| rows >= blocks).unwrap_or(MOST_ROWS);
        let blocks = blocks.min(MOST_BLOCKS);
        let mut nothing = vec![0; PARTS * MOST_ROWS + blocks];
        nothing[POSITIONS * MOST_ROWS..BEGINS * MOST_ROWS].fill(NONE);
        let inputs = Tensor::f_from_slice(&nothing)?.f_to(place.device)?;
        let mut recorded = Self {
            graphs: BTreeMap::new(),
            outside: cuda::outside(&inputs)?,
            inputs,
            blocks,
            logits: Tensor::f_zeros([int(most), int(vocabulary)], (Kind::Float, place.device))?,
        };
        let pool = Pool::new()?;
        for rows in ROWS.into_iter().filter(|&rows| rows <= most) {
            let (given, logits) = (recorded.rows(rows)?, recorded.logits.f_narrow(0, 0, int(rows))?);
            let record = |way| {
                // Once in earnest: what libraries set up on their first call may not be recorded.
                step(&given, &logits, way)?;
                Graph::record(pool, || step(&given, &logits, way))
            };
            let ways = (0..if rows == 1 { ways } else { 1 }).map(record).collect::<Result<Vec<_>, _>>()?;
            recorded.graphs.insert(rows, fastest(ways, stream)?);
        }
        Ok(recorded)
    }

    fn rows(&self, rows: usize) -> Result<Rows, TchError> {
        let part = |which: usize| self.inputs.f_narrow(0, int(which * MOST_ROWS), int(rows));
        let table = self.inputs.f_narrow(0, int(PARTS * MOST_ROWS), int(self.blocks))?;
        Ok(Rows {
            tokens: part(TOKENS)?,
            positions: part(POSITIONS)?,
            slots: part(SLOTS)?,
            paged: Paged { rows, table, begins: part(BEGINS)?, positions: part(POSITIONS)? },
        })
    }

    /// Does a step, if it is one of those that are recorded. The logits of its rows, in the spans' order, are then the first of [`Self::logits`].
    #[expect(unsafe_code, reason = "a record reads and writes where it was recorded")]
    pub(super) fn step(&self, spans: &[Span<'_>]) -> Result<bool, TchError> {
        let Some((_, graph)) = self.graphs.range(spans.len()..).next() else { return Ok(false) };
        let Some(numbers) = numbers(spans, self.blocks) else { return Ok(false) };
        let used = |whole: &Tensor| whole.f_narrow(0, 0, int(numbers.len()));
        used(&self.outside)?.f_copy_(&Tensor::f_from_slice(&numbers)?)?;
        // Nobody waits: what was sent in the step before is there, since its answer was.
        cuda::send(&used(&self.outside)?, &used(&self.inputs)?)?;
        // SAFETY: inputs and logits are this one's own and live as long as its records; the model's weights, its cache and its kernels do, since the decoder
        // that holds all of them drops its records first.
        unsafe { graph.replay() }?;
        Ok(true)
    }
}

/// The one that is done soonest: milliseconds where there are several, and nothing where there is one.
#[expect(unsafe_code, reason = "a record reads and writes where it was recorded")]
fn fastest(mut graphs: Vec<Graph>, stream: &Stream) -> Result<Graph, TchError> {
    const TIMES: u32 = 10;
    let mut best = (Duration::MAX, 0);
    for (way, graph) in graphs.iter().enumerate().filter(|_| graphs.len() > 1) {
        let mut began = Instant::now();
        for time in 0..=TIMES {
            // SAFETY: it was recorded just now, and all that it uses is still there.
            unsafe { graph.replay() }?;
            if time == 0 {
                stream.wait_for_the_present_one()?;
                began = Instant::now();
            }
        }
        stream.wait_for_the_present_one()?;
        let taken = began.elapsed() / TIMES;
        tracing::info!(way, step_us = taken.as_micros(), "measured a step of one row");
        best = best.min((taken, way));
    }
    Ok(graphs.swap_remove(best.1))
}

/// The inputs of a step; `None` where it is not one of one token a sequence, or has too many blocks.
fn numbers(spans: &[Span<'_>], most_blocks: usize) -> Option<Vec<i64>> {
    let mut numbers = vec![0; PARTS * MOST_ROWS];
    numbers[POSITIONS * MOST_ROWS..BEGINS * MOST_ROWS].fill(NONE);
    for (row, span) in spans.iter().enumerate() {
        let &[token] = span.tokens else { return None };
        let position = span.cached;
        let blocks = &span.blocks[..=position / TOKENS_OF_BLOCK];
        let begin = numbers.len() - PARTS * MOST_ROWS;
        if begin + blocks.len() > most_blocks {
            return None;
        }
        let slot = blocks[blocks.len() - 1] as usize * TOKENS_OF_BLOCK + position % TOKENS_OF_BLOCK;
        for (which, value) in [(TOKENS, token as usize), (POSITIONS, position), (SLOTS, slot), (BEGINS, begin)] {
            numbers[which * MOST_ROWS + row] = int(value);
        }
        put(&mut numbers, blocks.iter().map(|&block| block as usize));
    }
    Some(numbers)
}

#[cfg(test)]
mod tests {
    use torchmesh_generation::Wants;

    use super::*;

    #[test]
    fn a_step_of_one_token_a_sequence_is_told_by_where_each_is_and_the_rows_behind_are_none() {
        let (first, second) = ([9, 4, 7], [5]);
        let span = |tokens, cached, blocks| Span { tokens, cached, blocks, wants: Wants::Last };
        let spans = [span(&[11], 64, &first[..]), span(&[12], 0, &second[..])];
        let told = numbers(&spans, 4).unwrap();
        let of = |which: usize| told[which * MOST_ROWS..][..3].to_vec();
        assert_eq!((of(TOKENS), of(POSITIONS)), (vec![11, 12, 0], vec![64, 0, NONE]));
        assert_eq!((of(SLOTS), of(BEGINS)), (vec![7 * 32, 5 * 32, NONE], vec![0, 3, 0]));
        assert_eq!(told[PARTS * MOST_ROWS..], [9, 4, 7, 5]);
        assert!(numbers(&spans, 3).is_none(), "more blocks than there is room for");
        assert!(numbers(&[span(&[1, 2], 0, &second[..])], 4).is_none(), "a prompt");
    }
}
