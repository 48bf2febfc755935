//! How the spans of a step lie in one matrix, and which of them attend together. Numbers only: nothing here touches a device.

use std::{cmp::Reverse, ops::Range};

use torchmesh_generation::{Span, Wants};

use super::int;
use crate::engine::kernels::TOKENS_OF_BLOCK;

/// Up to so many blocks, sequences of whatever lengths attend together: reading a few blocks in vain costs less than another launch.
const FEW_BLOCKS: usize = 8;

/// What bounds the memory that attention takes beside the cache.
#[derive(Clone, Copy, Debug)]
pub(in crate::engine::language) struct Limits {
    /// Blocks that are gathered at once; a sequence that has more is alone.
    pub(in crate::engine::language) gathered: usize,
    /// Rows × tokens of a mask; a row that sees more is alone.
    pub(in crate::engine::language) masked: usize,
    /// Whether rows that see each other and nothing else need a mask too.
    pub(in crate::engine::language) always_masked: bool,
}

/// A step. Its rows are not in the spans' order: those of one token come first, the longest sequence in front, so that those of similar lengths are
/// neighbours; spans of more tokens follow.
#[derive(Debug)]
pub(super) struct Packing {
    /// All that the device has to know, so that it goes there at once. What follows are parts of it.
    pub(super) numbers: Vec<i64>,
    /// Of each row, as the next two.
    pub(super) tokens: Range<usize>,
    pub(super) positions: Range<usize>,
    /// Where its key and value go: block × tokens of a block + place in it.
    pub(super) slots: Range<usize>,
    /// The rows whose logits are wanted, in the spans' order.
    pub(super) wanted: Range<usize>,
    /// The rows of one token a sequence, where they are not in the pieces.
    pub(super) paged: Option<PagedRows>,
    /// For each window, what attends together. The rows of the pieces follow each other, the first behind those that are paged.
    pub(super) pieces: Vec<Vec<Piece>>,
}

/// The first rows, of which each is the last of its sequence; parts of the packing's numbers.
#[derive(Debug)]
pub(super) struct PagedRows {
    pub(super) rows: usize,
    /// The sequences' blocks, one sequence's behind the other's.
    pub(super) table: Range<usize>,
    /// Where each row's begin in it.
    pub(super) begins: Range<usize>,
}

/// Rows that attend together: one of each of some sequences, or some of one sequence.
#[derive(Debug)]
pub(super) struct Piece {
    pub(super) rows: Range<usize>,
    pub(super) sequences: usize,
    /// Blocks of each sequence, the longest one's.
    pub(super) blocks: usize,
    /// The blocks, sequence after sequence, in the packing's numbers.
    pub(super) table: Range<usize>,
    /// For each row, the first token that it sees and the one behind the last, counted from the first in the sequence's first block here; in the
    /// packing's numbers. `None`: a row sees the piece's rows up to itself, and there is nothing else to see.
    pub(super) seen: Option<(Range<usize>, Range<usize>)>,
}

/// Positions of one sequence that are in a step.
#[derive(Clone, Debug)]
struct Member<'a> {
    blocks: &'a [u32],
    positions: Range<usize>,
}

/// Blocks of a sequence.
#[derive(Clone, Copy, Debug)]
struct Reach {
    first: usize,
    count: usize,
}

impl Packing {
    /// `spans` fit the model and its cache. Where rows of one token are `paged`, the pieces are those of the others.
    pub(super) fn new(spans: &[Span<'_>], windows: &[Option<usize>], limits: Limits, paged: bool) -> Self {
        let mut order: Vec<usize> = (0..spans.len()).collect();
        order.sort_by_key(|&number| (spans[number].tokens.len() > 1, Reverse(spans[number].cached)));
        let placed = || order.iter().map(|&number| &spans[number]);
        let positions = |span: &Span<'_>| span.cached..span.cached + span.tokens.len();
        let slot =
            |blocks: &[u32], position: usize| blocks[position / TOKENS_OF_BLOCK] as usize * TOKENS_OF_BLOCK + position % TOKENS_OF_BLOCK;
        let mut numbers = Vec::new();
        let tokens = put(&mut numbers, placed().flat_map(|span| span.tokens).map(|&token| token as usize));
        let places = put(&mut numbers, placed().flat_map(positions));
        let slots = put(&mut numbers, placed().flat_map(|span| positions(span).map(|position| slot(span.blocks, position))));
        let wanted = put(&mut numbers, wanted(spans, &order).into_iter());
        let members: Vec<Member<'_>> = placed().map(|span| Member { blocks: span.blocks, positions: positions(span) }).collect();
        let ones = members.partition_point(|member| member.positions.len() == 1);
        let paged = (paged && ones > 0).then(|| PagedRows::new(&mut numbers, &members[..ones]));
        let in_pieces = if paged.is_some() { &members[ones..] } else { &members };
        let pieces = windows.iter().map(|window| pieces(&mut numbers, in_pieces, *window, limits)).collect();
        Self { numbers, tokens, positions: places, slots, wanted, paged, pieces }
    }
}

impl PagedRows {
    fn new(numbers: &mut Vec<i64>, members: &[Member<'_>]) -> Self {
        let seen = |member: &Member<'_>| member.positions.end.div_ceil(TOKENS_OF_BLOCK);
        let blocks = members.iter().flat_map(|member| &member.blocks[..seen(member)]);
        let table = put(numbers, blocks.map(|&block| block as usize));
        let lengths = members.iter().scan(0, |begin, member| Some(std::mem::replace(begin, *begin + seen(member))));
        Self { rows: members.len(), table, begins: put(numbers, lengths) }
    }
}

impl Member<'_> {
    /// The blocks that any of the positions sees.
    fn reach(&self, window: Option<usize>) -> Reach {
        let first = first_seen(self.positions.start, window) / TOKENS_OF_BLOCK;
        Reach { first, count: self.positions.end.div_ceil(TOKENS_OF_BLOCK) - first }
    }
}

/// The first position that a position sees.
fn first_seen(position: usize, window: Option<usize>) -> usize {
    window.map_or(0, |window| (position + 1).saturating_sub(window))
}

/// Appends, and says where.
pub(super) fn put(numbers: &mut Vec<i64>, more: impl Iterator<Item = usize>) -> Range<usize> {
    let begin = numbers.len();
    numbers.extend(more.map(int));
    begin..numbers.len()
}

fn wanted(spans: &[Span<'_>], order: &[usize]) -> Vec<usize> {
    let mut first_rows = vec![0; spans.len()];
    let mut row = 0;
    for &number in order {
        first_rows[number] = row;
        row += spans[number].tokens.len();
    }
    let rows = |(span, first): (&Span<'_>, usize)| match span.wants {
        Wants::Nothing => 0..0,
        Wants::Last | Wants::Likeliest(_) => first + span.tokens.len() - 1..first + span.tokens.len(),
        Wants::Every => first..first + span.tokens.len(),
    };
    spans.iter().zip(first_rows).flat_map(rows).collect()
}

/// Their rows count from the first of the members.
fn pieces(numbers: &mut Vec<i64>, members: &[Member<'_>], window: Option<usize>, limits: Limits) -> Vec<Piece> {
    let (ones, others) = members.split_at(members.partition_point(|member| member.positions.len() == 1));
    let mut pieces = Vec::new();
    let mut row = 0;
    for run in runs(ones, window, limits.gathered) {
        pieces.push(piece(numbers, row, run, window));
        row += run.len();
    }
    for Member { blocks, positions } in others {
        let alone = positions.start == 0 && window.is_none_or(|window| window >= positions.end);
        let at_once = if alone && !limits.always_masked { positions.len() } else { (limits.masked / positions.end).max(1) };
        for start in positions.clone().step_by(at_once) {
            let positions = start..(start + at_once).min(positions.end);
            let rows = positions.len();
            let whole = piece(numbers, row, &[Member { blocks, positions }], window);
            pieces.push(if alone && !limits.always_masked { Piece { seen: None, ..whole } } else { whole });
            row += rows;
        }
    }
    pieces
}

/// Neighbours that attend together: the longest has at most twice the blocks of the shortest, or few, and together they have at most `most`.
fn runs<'a, 'b>(members: &'a [Member<'b>], window: Option<usize>, most: usize) -> Vec<&'a [Member<'b>]> {
    let mut runs = Vec::new();
    let (mut begin, mut least, mut longest) = (0, usize::MAX, 0);
    for (number, member) in members.iter().enumerate() {
        let count = member.reach(window).count;
        let (lower, upper) = (count.min(least), count.max(longest));
        let fits = upper <= (2 * lower).max(FEW_BLOCKS) && upper * (number + 1 - begin) <= most;
        if number > begin && !fits {
            runs.push(&members[begin..number]);
            (begin, least, longest) = (number, count, count);
        } else {
            (least, longest) = (lower, upper);
        }
    }
    if begin < members.len() {
        runs.push(&members[begin..]);
    }
    runs
}

fn piece(numbers: &mut Vec<i64>, row: usize, members: &[Member<'_>], window: Option<usize>) -> Piece {
    let reaches: Vec<Reach> = members.iter().map(|member| member.reach(window)).collect();
    let blocks = reaches.iter().map(|reach| reach.count).max().unwrap_or(0);
    let pairs = || members.iter().zip(&reaches);
    // A shorter sequence is filled up with its own last block: nobody reads what is another's.
    let of_sequence = |(member, reach): (&Member<'_>, &Reach)| {
        (0..blocks).map(|block| member.blocks[reach.first + block.min(reach.count - 1)] as usize).collect()
    };
    let table = put(numbers, pairs().flat_map(|pair| -> Vec<usize> { of_sequence(pair) }));
    let rows = || pairs().flat_map(|(member, reach)| member.positions.clone().map(|position| (position, reach.first * TOKENS_OF_BLOCK)));
    let from = put(numbers, rows().map(|(position, begin)| first_seen(position, window) - begin));
    let to = put(numbers, rows().map(|(position, begin)| position + 1 - begin));
    Piece { rows: row..row + from.len(), sequences: members.len(), blocks, table, seen: Some((from, to)) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { gathered: 100, masked: 10_000, always_masked: false };

    /// For each row of the step, in its order: its slot, and the slots that it sees, read as the device reads them.
    fn seen(packing: &Packing, pieces: &[Piece]) -> Vec<Vec<i64>> {
        let mut rows = Vec::new();
        for piece in pieces {
            assert_eq!(piece.rows.start, rows.len(), "the rows of the pieces follow each other");
            let of_sequence = piece.rows.len() / piece.sequences;
            for row in 0..piece.rows.len() {
                let table = &packing.numbers[piece.table.clone()][row / of_sequence * piece.blocks..][..piece.blocks];
                let slots: Vec<i64> = table.iter().flat_map(|block| (0..int(TOKENS_OF_BLOCK)).map(move |slot| block * 32 + slot)).collect();
                let range = match &piece.seen {
                    Some((from, to)) => packing.numbers[from.start + row] as usize..packing.numbers[to.start + row] as usize,
                    None => 0..row + 1,
                };
                rows.push(slots[range].to_vec());
            }
        }
        rows
    }

    proptest! {
        #[test]
        fn every_row_sees_its_own_window_and_nothing_else(
            spans in prop::collection::vec((0_usize..700, 1_usize..40), 1..12),
            window in prop::option::of(1_usize..200),
            gathered in 1_usize..60,
            masked in 1_usize..2000,
            always_masked: bool,
        ) {
            let blocks: Vec<Vec<u32>> = (0..spans.len() as u32).map(|number| (0..24).map(|block| (block * 7 + 3) % 24 + number * 24).collect()).collect();
            let tokens = [0; 40];
            let spans: Vec<Span<'_>> = spans.iter().zip(&blocks)
                .map(|(&(cached, length), blocks)| Span {
                    tokens: &tokens[..if length > 30 { 1 } else { length }],
                    cached: if length % 3 == 0 { 0 } else { cached },
                    blocks,
                    wants: Wants::Every,
                })
                .collect();
            let packing = Packing::new(&spans, &[None, window], Limits { gathered, masked, always_masked }, false);
            let slot = |span: &Span<'_>, position: usize| i64::from(span.blocks[position / 32]) * 32 + int(position) % 32;
            let slots = &packing.numbers[packing.slots.clone()];
            for (pieces, window) in packing.pieces.iter().zip([None, window]) {
                let seen = seen(&packing, pieces);
                let mut wanted = packing.numbers[packing.wanted.clone()].iter();
                for span in &spans {
                    for position in span.cached..span.cached + span.tokens.len() {
                        let row = *wanted.next().unwrap() as usize;
                        prop_assert_eq!(slots[row], slot(span, position));
                        prop_assert_eq!(packing.numbers[packing.positions.start + row], int(position));
                        let expected: Vec<i64> = (first_seen(position, window)..=position).map(|position| slot(span, position)).collect();
                        prop_assert_eq!(&seen[row], &expected);
                    }
                }
            }
        }
    }

    #[test]
    fn rows_of_one_token_find_their_blocks_by_themselves_and_the_others_count_from_behind_them() {
        let (blocks, tokens): (Vec<u32>, Vec<u32>) = ((0..64).map(|block| 63 - block).collect(), vec![0; 40]);
        let span = |cached, length| Span { tokens: &tokens[..length], cached, blocks: &blocks, wants: Wants::Last };
        let packing = Packing::new(&[span(70, 40), span(31, 1), span(64, 1)], &[None, Some(16)], LIMITS, true);
        let part = |range: &Range<usize>| packing.numbers[range.clone()].to_vec();
        let paged = packing.paged.as_ref().unwrap();
        // The longest first, each with all blocks up to its own.
        assert_eq!((paged.rows, part(&paged.begins), part(&paged.table)), (2, vec![0, 3], vec![63, 62, 61, 63]));
        assert_eq!(part(&packing.positions)[..3], [64, 31, 70]);
        assert_eq!(part(&packing.wanted), [41, 1, 0], "in the spans' order");
        for pieces in &packing.pieces {
            assert_eq!(pieces.iter().map(|piece| piece.rows.len()).sum::<usize>(), 40);
            assert_eq!(pieces[0].rows.start, 0);
        }
        assert!(Packing::new(&[span(0, 40)], &[None], LIMITS, true).paged.is_none());
    }

    #[test]
    fn sequences_of_very_different_lengths_do_not_wait_for_each_other() {
        let blocks: Vec<u32> = (0..64).collect();
        let span = |cached| Span { tokens: &[1], cached, blocks: &blocks, wants: Wants::Last };
        let spans = [span(40), span(2000), span(10), span(1900), span(700), span(90)];
        let packing = Packing::new(&spans, &[None, Some(64)], Limits { gathered: 1000, ..LIMITS }, false);
        let groups: Vec<(usize, usize)> = packing.pieces[0].iter().map(|piece| (piece.sequences, piece.blocks)).collect();
        assert_eq!(groups, [(2, 63), (1, 22), (3, 3)]);
        assert_eq!(packing.pieces[1].len(), 1, "within the window they are alike");
        assert!(packing.pieces[1][0].blocks <= 3);
        let bounded = Packing::new(&spans, &[None], LIMITS, false);
        assert_eq!(bounded.pieces[0].len(), 4, "and no more is gathered at once than there is room for");
    }

    #[test]
    fn a_prompt_that_is_read_from_its_beginning_needs_no_mask() {
        let (blocks, tokens): (Vec<u32>, Vec<u32>) = ((0..64).collect(), vec![0; 300]);
        let span = |cached| Span { tokens: &tokens, cached, blocks: &blocks, wants: Wants::Nothing };
        let packing = Packing::new(&[span(0), span(300)], &[None, Some(64)], LIMITS, false);
        let masked = |pieces: &[Piece]| pieces.iter().map(|piece| (piece.rows.len(), piece.seen.is_some())).collect::<Vec<_>>();
        assert_eq!(masked(&packing.pieces[0])[17..], [(16, true), (12, true), (300, false)], "the longer sequence comes first");
        assert!(masked(&packing.pieces[1]).iter().all(|(rows, masked)| *rows <= 33 && *masked));
        assert!(packing.wanted.is_empty());
    }
}
