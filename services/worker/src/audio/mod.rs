//! Sound: what happens to it before the model (decoded, brought to its rate, cut into windows) and after (segments of speech).
//!
//! All of it is plain computation on what the caller sent. Files are decoded on [`crate::decoding`]'s threads.

mod blocks;
mod clip;
mod edges;
mod file;
mod pcm;
mod resample;
mod segments;
mod windows;

pub use clip::{sixteen_bits, wav};
pub use edges::{Edge, Edges};
pub use file::{AudioError, Limits, Played, decode, memory};
pub use pcm::{Encoding, Pcm};
pub use resample::{OddRate, Resampler};
pub use segments::{Clock, Segment, VoiceOptions, segments};
pub use windows::Windows;

/// `[voice]` of a manifest: what a model of voice activity hears, and how its probabilities are read.
#[derive(Clone, Debug, PartialEq)]
pub struct VoiceSettings {
    /// `sample_rate` of the model, in Hz.
    pub sample_rate: u32,
    /// `window`: new samples of each window.
    pub window: usize,
    /// `context`: samples before them, which the window before ended with.
    pub context: usize,
    /// `state`: the dimensions of a stream's state, behind the batch.
    pub state: Vec<i64>,
    /// `block`: windows of a recording that one forward hears, one after the other.
    pub block: usize,
    /// What a caller who says nothing gets.
    pub options: VoiceOptions,
    /// `max_bytes` and `max_seconds`.
    pub limits: Limits,
    /// `max_streams`: live streams at once.
    pub max_streams: usize,
    /// `idle_timeout`: how long a live stream may send nothing.
    pub idle_timeout: std::time::Duration,
}

impl VoiceSettings {
    /// The sizes that its probabilities are counted in.
    pub fn clock(&self) -> Clock {
        Clock { rate: u64::from(self.sample_rate), window: self.window as u64 }
    }

    /// Samples of a window with its context.
    pub fn width(&self) -> usize {
        self.context + self.window
    }
}
