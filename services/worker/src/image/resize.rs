//! Resampling as Pillow does it, to the bit: a model answers what it answered in Python.
//!
//! Pillow's resampling of 8-bit images is a convolution in whole numbers, first along the rows and then along the columns, with 22 bits behind the
//! point and a result of 8 bits in between. (Where the height shrinks by far more than the width, newer versions of Pillow begin with the columns,
//! and a value may differ by one from here; an image that keeps its shape is not concerned.) Where an image becomes smaller, the filter becomes wider by as much, so that nothing is skipped
//! ("antialias" in torchvision's words). Faster implementations round differently: one that uses the processor's vector instructions changed a
//! fifth of the values by one, which moves a model's scores by more than it is allowed to move them.

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

/// Resizes `rgb` of `width` × `height` pixels to `to_width` × `to_height`. All four are at least 1.
pub(super) fn resize(rgb: &[u8], (width, height): (u32, u32), (to_width, to_height): (u32, u32), filter: Filter) -> Vec<u8> {
    let [width, height, to_width, to_height] = [width, height, to_width, to_height].map(|side| side as usize);
    let across;
    let narrowed = if width == to_width {
        rgb
    } else {
        across = along_rows(rgb, width, &windows(width, to_width, filter));
        &across
    };
    if height == to_height { narrowed.to_vec() } else { along_columns(narrowed, to_width, &windows(height, to_height, filter)) }
}

fn windows(from: usize, to: usize, filter: Filter) -> Vec<Window> {
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
    (0..to).map(window).collect()
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

fn along_columns(rgb: &[u8], width: usize, windows: &[Window]) -> Vec<u8> {
    let row = width * 3;
    let mut out = Vec::with_capacity(row * windows.len());
    let mut sums = vec![0; row];
    for window in windows {
        sums.fill(1 << (PRECISION - 1));
        for (old, weight) in rgb[window.first * row..].chunks_exact(row).zip(&window.weights) {
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

    #[test]
    fn the_mean_of_four_pixels_is_their_mean() {
        let rgb = [[0, 10, 20], [2, 10, 20], [4, 10, 20], [6, 10, 21]].concat();
        assert_eq!(resize(&rgb, (4, 1), (1, 1), Filter::Box), [3, 10, 20]);
        assert_eq!(resize(&rgb, (1, 4), (1, 1), Filter::Box), [3, 10, 20]);
    }

    proptest! {
        #[test]
        fn an_even_image_stays_even_at_any_size_and_with_any_filter(
            value: u8, from in (1_u32..40, 1_u32..40), to in (1_u32..40, 1_u32..40),
            filter in prop::sample::select(vec![Filter::Box, Filter::Bilinear, Filter::Bicubic, Filter::Lanczos]),
        ) {
            let rgb = vec![value; (from.0 * from.1 * 3) as usize];
            let out = resize(&rgb, from, to, filter);
            prop_assert_eq!(out.len(), (to.0 * to.1 * 3) as usize);
            prop_assert!(out.iter().all(|&got| got == value), "{:?}", out);
        }
    }
}
