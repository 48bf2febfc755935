//! Resampling as Pillow does it, to the bit: a model answers what it answered in Python.
//!
//! Pillow's resampling of 8-bit images is a convolution in whole numbers, first along the rows and then along the columns, with 22 bits behind the
//! point and a result of 8 bits in between. (Where the height shrinks by far more than the width, newer versions of Pillow begin with the columns,
//! and a value may differ by one from here; an image that keeps its shape is not concerned.) Where an image becomes smaller, the filter becomes wider by as much, so that nothing is skipped
//! ("antialias" in torchvision's words). Faster implementations round differently: one that uses the processor's vector instructions changed a
//! fifth of the values by one, which moves a model's scores by more than it is allowed to move them.

use std::ops::Range;

/// Bits behind the point of a weight: 8 bits of the result and 2 to spare leave 22 of 32.
const PRECISION: u32 = 22;

/// How a new pixel is made of old ones; the names are Pillow's.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Filter {
    /// The mean of the pixels beneath.
    Box,
    /// A triangle.
    Bilinear,
    /// A cubic with a = -0.5.
    Bicubic,
    /// A sinc of three lobes.
    Lanczos,
}

impl Filter {
    /// How far from its centre the filter reaches.
    fn reach(self) -> f64 {
        match self {
            Self::Box => 0.5,
            Self::Bilinear => 1.0,
            Self::Bicubic => 2.0,
            Self::Lanczos => 3.0,
        }
    }

    fn weight(self, x: f64) -> f64 {
        let distance = x.abs();
        match self {
            Self::Box => f64::from(x > -0.5 && x <= 0.5),
            Self::Bilinear => (1.0 - distance).max(0.0),
            // In this order of operations, so that it rounds as Pillow's does.
            Self::Bicubic if distance < 1.0 => (1.5 * distance - 2.5) * distance * distance + 1.0,
            Self::Bicubic if distance < 2.0 => (((distance - 5.0) * distance + 8.0) * distance - 4.0) * -0.5,
            Self::Lanczos if (-3.0..3.0).contains(&x) => sinc(x) * sinc(x / 3.0),
            Self::Bicubic | Self::Lanczos => 0.0,
        }
    }
}

fn sinc(x: f64) -> f64 {
    if x == 0.0 {
        return 1.0;
    }
    let x = x * std::f64::consts::PI;
    x.sin() / x
}

/// The old pixels of one new one, along one side.
struct Window {
    first: usize,
    weights: Vec<i32>,
}

/// What of an image is wanted, in whole pixels.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Region {
    pub(super) columns: Range<usize>,
    pub(super) rows: Range<usize>,
}

/// Resizes `rgb` of `width` × `height` pixels to `to_width` × `to_height`, all at least 1, and answers the `region` of that.
///
/// Nothing else is computed: an image of one row whose shorter side grows is as a whole too large for any memory, and a model sees its middle.
pub(super) fn resize(
    rgb: &[u8],
    (width, height): (u32, u32),
    (to_width, to_height): (u32, u32),
    region: &Region,
    filter: Filter,
) -> Vec<u8> {
    let [width, height, to_width, to_height] = [width, height, to_width, to_height].map(|side| side as usize);
    let Region { columns, rows } = region;
    let down = (height != to_height).then(|| windows(height, to_height, rows, filter));
    let needed = down.as_deref().map_or_else(|| rows.clone(), span);
    let lines = &rgb[needed.start * width * 3..needed.end * width * 3];
    let across = if width == to_width {
        lines.chunks_exact(width * 3).flat_map(|line| &line[columns.start * 3..columns.end * 3]).copied().collect()
    } else {
        along_rows(lines, width, &windows(width, to_width, columns, filter))
    };
    match down {
        None => across,
        Some(windows) => along_columns(&across, columns.len(), needed.start, &windows),
    }
}

/// What the new pixels in `wanted` are made of, `from` becoming `to`.
fn windows(from: usize, to: usize, wanted: &Range<usize>, filter: Filter) -> Vec<Window> {
    let scale = from as f64 / to as f64;
    let wider = scale.max(1.0);
    let (reach, narrower) = (filter.reach() * wider, 1.0 / wider);
    let window = |at: usize| {
        let centre = (at as f64 + 0.5) * scale;
        let first = (centre - reach + 0.5).max(0.0) as usize;
        let end = ((centre + reach + 0.5) as usize).min(from);
        let weights = (first..end).map(|old| filter.weight((old as f64 - centre + 0.5) * narrower));
        let weights: Vec<f64> = weights.collect();
        let sum: f64 = weights.iter().sum();
        Window { first, weights: weights.iter().map(|weight| fixed(if sum == 0.0 { *weight } else { weight / sum })).collect() }
    };
    wanted.clone().map(window).collect()
}

/// The old pixels that windows reach.
fn span(windows: &[Window]) -> Range<usize> {
    let first = windows.iter().map(|window| window.first).min().unwrap_or(0);
    first..windows.iter().map(|window| window.first + window.weights.len()).max().unwrap_or(0)
}

/// The nearest whole number of units of the last bit; halves away from zero.
fn fixed(weight: f64) -> i32 {
    let scaled = weight * f64::from(1 << PRECISION);
    (if weight < 0.0 { scaled - 0.5 } else { scaled + 0.5 }) as i32
}

/// Back to 8 bits; the sum began with a half.
fn rounded(sum: i32) -> u8 {
    (sum >> PRECISION).clamp(0, 255) as u8
}

fn along_rows(rgb: &[u8], width: usize, windows: &[Window]) -> Vec<u8> {
    let mut out = Vec::with_capacity(rgb.len() / width * windows.len());
    for row in rgb.chunks_exact(width * 3) {
        for window in windows {
            let mut sums = [1 << (PRECISION - 1); 3];
            for (pixel, weight) in row[window.first * 3..].as_chunks::<3>().0.iter().zip(&window.weights) {
                for (sum, value) in sums.iter_mut().zip(pixel) {
                    *sum += i32::from(*value) * weight;
                }
            }
            out.extend(sums.map(rounded));
        }
    }
    out
}

/// `rgb` begins with the row `above`.
fn along_columns(rgb: &[u8], width: usize, above: usize, windows: &[Window]) -> Vec<u8> {
    let row = width * 3;
    let mut out = Vec::with_capacity(row * windows.len());
    let mut sums = vec![0; row];
    for window in windows {
        sums.fill(1 << (PRECISION - 1));
        for (old, weight) in rgb[(window.first - above) * row..].chunks_exact(row).zip(&window.weights) {
            for (sum, value) in sums.iter_mut().zip(old) {
                *sum += i32::from(*value) * weight;
            }
        }
        out.extend(sums.iter().copied().map(rounded));
    }
    out
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(rgb: &[u8], from: (u32, u32), to: (u32, u32), filter: Filter) -> Vec<u8> {
        resize(rgb, from, to, &Region { columns: 0..to.0 as usize, rows: 0..to.1 as usize }, filter)
    }

    const FILTERS: [Filter; 4] = [Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos];

    #[test]
    fn the_mean_of_four_pixels_is_their_mean() {
        let rgb = [[0, 10, 20], [2, 10, 20], [4, 10, 20], [6, 10, 21]].concat();
        assert_eq!(whole(&rgb, (4, 1), (1, 1), Filter::Box), [3, 10, 20]);
        assert_eq!(whole(&rgb, (1, 4), (1, 1), Filter::Box), [3, 10, 20]);
    }

    proptest! {
        #[test]
        fn an_even_image_stays_even_at_any_size_and_with_any_filter(
            value: u8, from in (1_u32..40, 1_u32..40), to in (1_u32..40, 1_u32..40),
            filter in prop::sample::select(FILTERS.to_vec()),
        ) {
            let rgb = vec![value; (from.0 * from.1 * 3) as usize];
            let out = whole(&rgb, from, to, filter);
            prop_assert_eq!(out.len(), (to.0 * to.1 * 3) as usize);
            prop_assert!(out.iter().all(|&got| got == value), "{:?}", out);
        }

        #[test]
        fn a_region_is_that_of_the_whole(
            seed: u8, from in (1_u32..20, 1_u32..20), to in (1_u32..20, 1_u32..20), cut in prop::array::uniform4(0_usize..20),
            filter in prop::sample::select(FILTERS.to_vec()),
        ) {
            let rgb: Vec<u8> = (0..from.0 * from.1 * 3).map(|at| (at as u8).wrapping_mul(91).wrapping_add(seed)).collect();
            let [columns, rows] = [(cut[0], cut[1], to.0 as usize), (cut[2], cut[3], to.1 as usize)].map(|(one, other, end)| {
                let one = one.min(end - 1);
                one..(one + 1 + other).min(end)
            });
            let all = whole(&rgb, from, to, filter);
            let width = to.0 as usize;
            let wanted: Vec<u8> = rows.clone().flat_map(|row| &all[(row * width + columns.start) * 3..(row * width + columns.end) * 3]).copied().collect();
            prop_assert_eq!(resize(&rgb, from, to, &Region { columns, rows }, filter), wanted);
        }
    }
}
