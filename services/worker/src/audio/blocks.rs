//! The samples of a file on their way to another rate, a block at a time: what a file takes in memory is what the model hears, however fast its own
//! rate is.

use super::{file::AudioError, pcm::Mixer, resample::Resampler};

/// Frames that are held at the file's own rate.
const BLOCK: usize = 1 << 14;

pub(super) struct Blocks<'a> {
    mixer: Mixer,
    resampler: Resampler,
    out: &'a mut Vec<f32>,
    frames: usize,
}

impl<'a> Blocks<'a> {
    /// For interleaved samples of `channels` channels, `from` frames a second; one channel at the rate `to` is added to `out`.
    pub(super) fn new(channels: usize, from: u32, to: u32, out: &'a mut Vec<f32>) -> Result<Self, AudioError> {
        Ok(Self { mixer: Mixer::new(channels, BLOCK), resampler: Resampler::new(from, to)?, out, frames: 0 })
    }

    pub(super) fn push(&mut self, sample: f32) -> Result<(), AudioError> {
        self.mixer.push(sample);
        if self.mixer.frames() < BLOCK { Ok(()) } else { self.pass_on() }
    }

    /// The end of the file; how many frames it had.
    pub(super) fn finish(mut self) -> Result<usize, AudioError> {
        self.pass_on()?;
        self.resampler.finish(self.out);
        Ok(self.frames)
    }

    fn pass_on(&mut self) -> Result<(), AudioError> {
        let before = self.frames;
        let block = self.mixer.take().map_err(|(frame, channel)| AudioError::NotANumber { frame: before + frame, channel })?;
        self.frames += block.len();
        self.resampler.push(&block, self.out);
        Ok(())
    }
}
