//! Changing the sample rate as torchaudio's `resample` does it: what a model hears is what it heard in Python.
//!
//! Each output sample is a weighted sum of the input around it; the weights are a sinc under a Hann window, six zero crossings to each side. The
//! ratio of two rates is a fraction, so only as many sets of weights are needed as its numerator says, and an output sample falls exactly where it
//! belongs however the input is cut into chunks.

use std::{f64::consts::PI, sync::Arc};

/// Zero crossings of the sinc to each side.
const CROSSINGS: f64 = 6.0;
/// The filter's edge, as a share of the lower rate's half.
const ROLLOFF: f64 = 0.99;
/// The most sets of weights: rates whose ratio needs more are not in use.
const MAX_PHASES: u64 = 4000;

/// The weights for a pair of rates.
#[derive(Debug)]
struct Kernel {
    /// Input samples of a period.
    from: u64,
    /// For each output sample of a period: where its first input sample lies, counted from the period's first, and its weights.
    phases: Vec<(i64, Vec<f32>)>,
}

/// Why a rate cannot be changed.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{from} samples a second cannot be brought to {to}; send a rate that is a multiple of 4 or 5")]
pub struct OddRate {
    /// The rate that came.
    pub from: u32,
    /// The model's.
    pub to: u32,
}

/// A stream of sound on its way to another rate.
#[derive(Debug)]
pub struct Resampler {
    /// None where both rates are the same.
    kernel: Option<Arc<Kernel>>,
    /// Input that is still needed.
    input: Vec<f32>,
    /// The position of its first sample in the stream.
    at: u64,
    /// Output samples made so far.
    made: u64,
}

impl Resampler {
    /// A stream of which nothing has come yet.
    pub fn new(from: u32, to: u32) -> Result<Self, OddRate> {
        let kernel = if from == to { None } else { Some(Arc::new(Kernel::new(from, to)?)) };
        Ok(Self { kernel, input: Vec::new(), at: 0, made: 0 })
    }

    /// Takes samples, and adds to `out` what can be made of them.
    pub fn push(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        let Some(kernel) = self.kernel.clone() else { return out.extend_from_slice(samples) };
        self.input.extend_from_slice(samples);
        let end = self.at + self.input.len() as u64;
        while let Some(value) = self.next(&kernel, end) {
            out.push(value);
        }
        self.forget(&kernel);
    }

    /// The stream has ended: adds the rest, as if silence followed.
    pub fn finish(&mut self, out: &mut Vec<f32>) {
        let Some(kernel) = self.kernel.clone() else { return };
        let end = self.at + self.input.len() as u64;
        let total = (end * kernel.phases.len() as u64).div_ceil(kernel.from);
        while self.made < total {
            out.extend(self.next(&kernel, u64::MAX));
        }
    }

    /// The next output sample; `None` while its input has not all come.
    fn next(&mut self, kernel: &Kernel, end: u64) -> Option<f32> {
        let phases = kernel.phases.len() as u64;
        let (period, phase) = (self.made / phases, (self.made % phases) as usize);
        let (offset, weights) = &kernel.phases[phase];
        let first = (period * kernel.from).cast_signed() + offset;
        if first + i64::try_from(weights.len()).unwrap_or(i64::MAX) > i64::try_from(end).unwrap_or(i64::MAX) {
            return None;
        }
        self.made += 1;
        // Before the stream's beginning and behind its end there is silence.
        let skip = (self.at.cast_signed() - first).max(0);
        let input = self.input.get(usize::try_from(first + skip - self.at.cast_signed()).unwrap_or(usize::MAX)..).unwrap_or_default();
        let weights = weights.get(usize::try_from(skip).unwrap_or(usize::MAX)..).unwrap_or_default();
        Some(input.iter().zip(weights).map(|(sample, weight)| sample * weight).sum())
    }

    /// Drops input that no later output needs.
    fn forget(&mut self, kernel: &Kernel) {
        let phases = kernel.phases.len() as u64;
        let period = self.made / phases;
        let needed = (period * kernel.from).cast_signed() + kernel.phases.first().map_or(0, |(offset, _)| *offset);
        let drop = usize::try_from(needed - self.at.cast_signed()).unwrap_or(0).min(self.input.len());
        // Moved now and then rather than at each call.
        if drop > 4096 {
            self.input.drain(..drop);
            self.at += drop as u64;
        }
    }
}

impl Kernel {
    fn new(from: u32, to: u32) -> Result<Self, OddRate> {
        let shared = u64::from(gcd(from, to));
        let (from_reduced, phases) = (u64::from(from) / shared, u64::from(to) / shared);
        if phases > MAX_PHASES {
            return Err(OddRate { from, to });
        }
        let base = from_reduced.min(phases) as f64 * ROLLOFF;
        let width = (CROSSINGS * from_reduced as f64 / base).ceil() as i64;
        let phase = |phase: u64| {
            let at = |index: i64| (index as f64 / from_reduced as f64 - phase as f64 / phases as f64) * base;
            let high = width + from_reduced.cast_signed();
            let inside = |&index: &i64| at(index).abs() < CROSSINGS;
            // Where it begins but for rounding: a file of a few bytes may name a rate with very many positions before that.
            let near = ((phase as f64 / phases as f64 - CROSSINGS / base) * from_reduced as f64).floor() as i64;
            let first = (near - 1..high).find(inside).unwrap_or(0);
            let weights = (first..high).take_while(inside).map(|index| weight(at(index)) * base / from_reduced as f64);
            (first, weights.map(|weight| weight as f32).collect())
        };
        Ok(Self { from: from_reduced, phases: (0..phases).map(phase).collect() })
    }
}

fn weight(at: f64) -> f64 {
    let window = (at * PI / CROSSINGS / 2.0).cos().powi(2);
    let angle = at * PI;
    if angle == 0.0 { window } else { angle.sin() / angle * window }
}

fn gcd(one: u32, other: u32) -> u32 {
    if other == 0 { one } else { gcd(other, one % other) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn whole(from: u32, samples: &[f32]) -> Vec<f32> {
        let (mut resampler, mut out) = (Resampler::new(from, 16_000).unwrap(), Vec::new());
        resampler.push(samples, &mut out);
        resampler.finish(&mut out);
        out
    }

    fn tone(rate: u32, seconds: f64) -> Vec<f32> {
        let samples = (f64::from(rate) * seconds) as u32;
        (0..samples).map(|at| (f64::from(at) / f64::from(rate) * 440.0 * 2.0 * PI).sin() as f32).collect()
    }

    #[test]
    fn a_tone_keeps_its_pitch_its_place_and_its_length() {
        let want = tone(16_000, 0.5);
        for rate in [8_000, 11_025, 22_050, 44_100, 48_000, 96_000] {
            let got = whole(rate, &tone(rate, 0.5));
            assert!(got.len().abs_diff(want.len()) <= 1, "{rate}: {}", got.len());
            // Apart from the ends, where silence is heard too.
            let worst = got[500..7000].iter().zip(&want[500..7000]).map(|(got, want)| (got - want).abs()).fold(0.0, f32::max);
            assert!(worst < 0.01, "{rate}: {worst}");
        }
    }

    #[test]
    fn a_rate_without_a_sensible_ratio_is_refused() {
        assert!(Resampler::new(44_101, 16_000).unwrap_err().to_string().contains("44101 samples a second"));
        assert!(Resampler::new(22_255, 16_000).is_ok());
    }

    #[test]
    fn the_weights_of_a_rate_that_nobody_uses_are_had_without_a_search() {
        let kernel = Kernel::new(316_516, 16_000).unwrap();
        let positions: usize = kernel.phases.iter().map(|(_, weights)| weights.len()).sum();
        assert!(kernel.phases.len() == 4000 && positions < 1_000_000, "{positions}");
    }

    proptest! {
        #[test]
        fn every_position_within_the_crossings_has_its_weight(from in 1_u32..3000, to in 1_u32..200) {
            let Ok(Kernel { from: period, phases }) = Kernel::new(from, to) else { return Ok(()) };
            let base = period.min(phases.len() as u64) as f64 * ROLLOFF;
            for (phase, (first, weights)) in phases.iter().enumerate() {
                let inside = |index: i64| ((index as f64 / period as f64 - phase as f64 / phases.len() as f64) * base).abs() < CROSSINGS;
                let count = i64::try_from(weights.len()).unwrap();
                prop_assert!((*first..first + count).all(inside));
                prop_assert!(!inside(first - 1) && !inside(first + count), "{from} to {to}, phase {phase}: {first}, {count}");
            }
        }

        #[test]
        fn chunks_make_no_difference(rate in prop::sample::select(vec![8_000_u32, 16_000, 44_100, 48_000]), cuts in prop::collection::vec(0_usize..900, 0..30)) {
            let samples = tone(rate, 0.2);
            let (mut resampler, mut out, mut rest) = (Resampler::new(rate, 16_000).unwrap(), Vec::new(), samples.as_slice());
            for cut in cuts {
                let (chunk, behind) = rest.split_at(cut.min(rest.len()));
                resampler.push(chunk, &mut out);
                rest = behind;
            }
            resampler.push(rest, &mut out);
            resampler.finish(&mut out);
            prop_assert_eq!(out, whole(rate, &samples));
        }
    }
}
