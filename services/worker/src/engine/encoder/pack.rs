//! Which tokens of a padded batch are real, and how they lie when the padding is left out.

use super::NetworkError;

/// The real tokens of a batch, row after row, rows of equal length side by side.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Packing {
    /// Where each packed token stands in the flattened batch [rows × sequence].
    pub(super) places: Vec<i64>,
    /// Each packed token's column in its row.
    pub(super) columns: Vec<i64>,
    /// Runs of rows of one length, in packed order.
    pub(super) groups: Vec<Group>,
    /// For each row of the batch, which packed token is its first; `None` for a row of padding alone.
    pub(super) firsts: Vec<Option<i64>>,
}

/// What packed tokens are, one value each.
#[derive(Debug)]
pub(super) struct Ids {
    pub(super) words: Vec<i64>,
    pub(super) positions: Vec<i64>,
    pub(super) types: Vec<i64>,
}

/// Rows of one length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Group {
    pub(super) rows: i64,
    pub(super) length: i64,
}

impl Packing {
    /// Reads an attention mask of `sequence` columns: a token is real where it is not 0.
    pub(super) fn of(mask: &[i64], sequence: usize) -> Self {
        let rows = if sequence == 0 { Vec::new() } else { mask.chunks_exact(sequence).map(real).collect::<Vec<_>>() };
        let mut order: Vec<usize> = (0..rows.len()).collect();
        // Stable: rows of one length keep their order.
        order.sort_by_key(|&row| rows[row].len());
        let mut packing = Self { firsts: vec![None; rows.len()], ..Self::default() };
        for row in order {
            packing.add(row, &rows[row], sequence);
        }
        packing
    }

    fn add(&mut self, row: usize, columns: &[usize], sequence: usize) {
        if columns.is_empty() {
            return;
        }
        self.firsts[row] = Some(signed(self.places.len()));
        self.places.extend(columns.iter().map(|&column| signed(row * sequence + column)));
        self.columns.extend(columns.iter().map(|&column| signed(column)));
        let length = signed(columns.len());
        match self.groups.last_mut() {
            Some(group) if group.length == length => group.rows += 1,
            _ => self.groups.push(Group { rows: 1, length }),
        }
    }

    /// Whether every token is real and lies where it lay.
    pub(super) fn is_whole(&self, tokens: usize) -> bool {
        self.places.len() == tokens && self.places.iter().zip(0..).all(|(&place, at)| place == at)
    }

    /// The tokens' values of a flattened batch, refused when one is not from 0 to below `limit`: an index out of its table would be read
    /// from somewhere else.
    pub(super) fn pick(&self, values: &[i64], name: &str, limit: i64) -> Result<Vec<i64>, NetworkError> {
        let picked = self.places.iter().map(|&place| values[usize::try_from(place).unwrap_or(0)]);
        picked
            .map(|value| match value {
                value if (0..limit).contains(&value) => Ok(value),
                value => Err(NetworkError::Input(format!("{name} holds {value}; this model knows 0 to {}", limit - 1))),
            })
            .collect()
    }
}

/// The columns of a row's real tokens.
fn real(row: &[i64]) -> Vec<usize> {
    row.iter().enumerate().filter(|(_, value)| **value != 0).map(|(column, _)| column).collect()
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn rows_of_equal_length_lie_side_by_side_and_padding_is_left_out() {
        let packing = Packing::of(&[1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 0], 3);
        assert_eq!(packing.places, [3, 12, 10, 11, 0, 1, 2]);
        assert_eq!(packing.columns, [0, 0, 1, 2, 0, 1, 2]);
        let group = |rows, length| Group { rows, length };
        assert_eq!(packing.groups, [group(2, 1), group(1, 2), group(1, 3)]);
        assert_eq!(packing.firsts, [Some(4), Some(0), None, Some(2), Some(1)]);
    }

    #[test]
    fn a_token_out_of_the_vocabulary_is_refused_by_name() {
        let packing = Packing::of(&[1, 0], 2);
        assert_eq!(packing.pick(&[4, 99], "input_ids", 5).unwrap(), [4], "padding may hold anything");
        for wrong in [-1, 5] {
            let error = packing.pick(&[wrong, 0], "input_ids", 5).unwrap_err().to_string();
            assert!(error.contains(&format!("input_ids holds {wrong}; this model knows 0 to 4")), "{error}");
        }
    }

    proptest! {
        #[test]
        fn every_real_token_is_packed_once_and_nothing_else(
            rows in 0_usize..8, sequence in 0_usize..6, seed in prop::collection::vec(0_i64..2, 48),
        ) {
            let mask = &seed[..rows * sequence];
            let packing = Packing::of(mask, sequence);
            let mut places = packing.places.clone();
            places.sort_unstable();
            let real: Vec<i64> = mask.iter().zip(0..).filter(|(value, _)| **value != 0).map(|(_, at)| at).collect();
            prop_assert_eq!(&places, &real);
            prop_assert_eq!(packing.groups.iter().map(|group| group.rows * group.length).sum::<i64>(), signed(real.len()));
            prop_assert!(packing.groups.is_sorted_by(|left, right| left.length < right.length));
            prop_assert_eq!(packing.is_whole(mask.len()), mask.iter().all(|&value| value != 0));
        }
    }
}
