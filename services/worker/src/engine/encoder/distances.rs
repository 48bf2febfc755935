//! What tokens are to each other by their distance alone: MPNet adds a number to their attention's score, one for each head and kind of distance.

use tch::{TchError, Tensor};

use super::{NetworkError, config::EncoderConfig, names, pack::Group, weights::Weights};
use crate::engine::{kernels::Nearness, tensors};

/// Distances beyond this one are of one kind.
const FARTHEST: f32 = 128.0;

/// The numbers for every distance that two tokens of a text can have.
#[derive(Debug)]
pub(super) struct Distances {
    /// [heads, 2 × reach - 1]: from the key that is `reach - 1` tokens before the query to the one that is as many behind it.
    table: Tensor,
    reach: i64,
}

impl Distances {
    /// Reads what `config` calls for.
    pub(super) fn new(config: &EncoderConfig, weights: &Weights) -> Result<Self, NetworkError> {
        let (kinds, reach) = (config.relative_attention_num_buckets, config.longest());
        let of_kinds = weights.get(names::DISTANCES, &[kinds, config.num_attention_heads])?;
        let all: Vec<i64> = (1 - reach..reach).map(|distance| kind(distance, kinds)).collect();
        let all = Tensor::f_from_slice(&all)?.f_to(of_kinds.device())?;
        let table = of_kinds.f_index_select(0, &all)?.f_transpose(0, 1)?.f_contiguous()?;
        Ok(Self { table, reach })
    }

    /// The same for the worker's own kernels.
    pub(super) fn nearness(&self) -> Result<Nearness<'_>, TchError> {
        Ok(Nearness { values: tensors::values(&self.table)?, reach: usize::try_from(self.reach).unwrap_or(0) })
    }

    /// What is added to the scores of rows of a group's length: [1, heads, length, length].
    pub(super) fn of_group(&self, group: Group) -> Result<Tensor, TchError> {
        let length = group.length;
        let windows = self.table.f_narrow(1, self.reach - length, 2 * length - 1)?.f_unfold(1, length, 1)?;
        // The first window is the last query's.
        windows.f_flip([1])?.f_unsqueeze(0)
    }
}

/// Which of `kinds` a distance (key minus query) is of: near ones are each their own, far ones share one by their logarithm, and before and behind are told
/// apart.
fn kind(distance: i64, kinds: i64) -> i64 {
    let half = kinds / 2;
    let (side, distance) = (if distance > 0 { half } else { 0 }, distance.abs());
    let own = half / 2;
    if distance < own {
        return side + distance;
    }
    // In single precision, as the weights were trained.
    let share = (distance as f32 / own as f32).ln() / (FARTHEST / own as f32).ln();
    let far = own + (share * (half - own) as f32) as i64;
    side + far.min(half - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_distances_are_told_apart_and_far_ones_by_their_logarithm() {
        let kinds = |distances: &[i64]| distances.iter().map(|&distance| kind(distance, 32)).collect::<Vec<_>>();
        // What transformers says of the same distances.
        let behind = [0, 1, 7, 8, 8, 9, 9, 10, 10, 11, 11, 12, 12, 13, 13, 14, 14, 15, 15, 15, 15];
        assert_eq!(kinds(&[0, -1, -7, -8, -11, -12, -15, -16, -22, -23, -31, -32, -45, -46, -63, -64, -90, -91, -127, -128, -511]), behind);
        assert_eq!(kinds(&[1, 7, 8, 12, 16, 64, 511]), [17, 23, 24, 25, 26, 30, 31]);
    }
}
