//! Samples as they come over the wire, and the mean of their channels.

use super::file::AudioError;

/// How the bytes of live audio are to be read.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Encoding {
    /// Signed 16-bit whole numbers, little-endian.
    S16,
    /// 32-bit floats, little-endian.
    F32,
}

/// The form of live audio.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Pcm {
    /// Of each sample.
    pub encoding: Encoding,
    /// Interleaved; at least 1.
    pub channels: usize,
}

impl Pcm {
    /// The bytes of one sample of each channel.
    pub fn frame(self) -> usize {
        let sample = match self.encoding {
            Encoding::S16 => 2,
            Encoding::F32 => 4,
        };
        sample * self.channels
    }

    /// The samples of whole frames, one channel. Bytes behind the last whole frame are the caller's to refuse.
    pub fn read(self, bytes: &[u8]) -> Result<Vec<f32>, AudioError> {
        let mut mixer = Mixer::new(self.channels, bytes.len() / self.frame());
        match self.encoding {
            Encoding::S16 => bytes.as_chunks().0.iter().for_each(|sample| mixer.push(f32::from(i16::from_le_bytes(*sample)) / 32_768.0)),
            Encoding::F32 => bytes.as_chunks().0.iter().for_each(|sample| mixer.push(f32::from_le_bytes(*sample))),
        }
        mixer.take().map_err(|(frame, channel)| AudioError::NotANumber { frame, channel })
    }
}

/// Makes one channel of several.
pub(super) struct Mixer {
    channels: usize,
    mixed: Vec<f32>,
    // Wide enough for the loudest floats of every channel.
    sum: f64,
    channel: usize,
    wrong: Option<(usize, usize)>,
}

impl Mixer {
    /// For interleaved samples of `channels` channels; `frames` are expected.
    pub(super) fn new(channels: usize, frames: usize) -> Self {
        Self { channels, mixed: Vec::with_capacity(frames), sum: 0.0, channel: 0, wrong: None }
    }

    pub(super) fn push(&mut self, sample: f32) {
        if !sample.is_finite() && self.wrong.is_none() {
            self.wrong = Some((self.mixed.len(), self.channel));
        }
        self.sum += f64::from(sample);
        self.channel += 1;
        if self.channel == self.channels {
            self.mixed.push((self.sum / self.channels as f64) as f32);
            (self.sum, self.channel) = (0.0, 0);
        }
    }

    /// Whole frames that have come and were not taken.
    pub(super) fn frames(&self) -> usize {
        self.mixed.len()
    }

    /// Takes the one channel; or the frame and channel of the first sample that is not a number.
    pub(super) fn take(&mut self) -> Result<Vec<f32>, (usize, usize)> {
        let room = self.mixed.capacity();
        self.wrong.map_or_else(|| Ok(std::mem::replace(&mut self.mixed, Vec::with_capacity(room))), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_encodings_say_the_same() {
        let ints: Vec<u8> = [16_384_i16, 0, -32_768, -32_768].iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let floats: Vec<u8> = [0.5_f32, 0.0, -1.0, -1.0].iter().flat_map(|sample| sample.to_le_bytes()).collect();
        for (encoding, bytes) in [(Encoding::S16, ints), (Encoding::F32, floats)] {
            assert_eq!(Pcm { encoding, channels: 2 }.read(&bytes).unwrap(), [0.25, -1.0]);
        }
    }

    #[test]
    fn what_is_not_a_number_is_told_with_its_place() {
        let bytes: Vec<u8> = [0.0_f32, 0.0, 0.0, f32::NAN].iter().flat_map(|sample| sample.to_le_bytes()).collect();
        let refused = Pcm { encoding: Encoding::F32, channels: 2 }.read(&bytes).unwrap_err();
        assert_eq!(refused, AudioError::NotANumber { frame: 1, channel: 1 });
    }
}
