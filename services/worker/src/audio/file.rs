//! From a WAV or FLAC file to samples of one channel, with every bound checked before the samples are made.

use std::io::{Cursor, Read};

use super::{blocks::Blocks, resample::OddRate};

/// The slowest and fastest sample rates, in Hz.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;
/// The most channels.
const MAX_CHANNELS: u32 = 32;

/// How large a recording may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Limits {
    /// `max_bytes`: of the file.
    pub max_bytes: usize,
    /// `max_seconds`: how long it plays.
    pub max_seconds: u32,
}

/// How long a recording was, before it came to another rate.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Played {
    /// Samples of each channel; at least one.
    pub frames: usize,
    /// Samples a second.
    pub rate: u32,
}

/// Why a file cannot be answered for. The messages go on after the field's name ("audio …").
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AudioError {
    /// No bytes at all.
    #[error("is empty; send a WAV or FLAC file")]
    Empty,
    /// The file is over [`Limits::max_bytes`].
    #[error("has {have} bytes, and this model takes {limit}; send a smaller file")]
    TooManyBytes {
        /// Bytes that came.
        have: usize,
        /// Bytes that may.
        limit: usize,
    },
    /// The first bytes are those of no format that is read.
    #[error("is not a WAV or FLAC file")]
    UnknownFormat,
    /// The format is read, and this kind of it is not.
    #[error("is a WAV file of {what}; send whole numbers of 8 to 32 bits or 32-bit floats")]
    UnsupportedKind {
        /// What it holds, in a few words.
        what: String,
    },
    /// The rate is out of range.
    #[error("has {rate} samples a second; send 4000 to 384000")]
    Rate {
        /// In Hz.
        rate: u32,
    },
    /// The rate cannot be brought to the model's.
    #[error(transparent)]
    OddRate(#[from] OddRate),
    /// The channels are out of range.
    #[error("has {channels} channels; send 1 to 32")]
    Channels {
        /// How many.
        channels: u32,
    },
    /// The recording plays longer than [`Limits::max_seconds`].
    #[error("plays for more than the {limit} s that this model takes; send it in parts")]
    TooLong {
        /// Seconds that a recording may play.
        limit: u32,
    },
    /// A float is not a number, or infinite.
    #[error("has something that is not a number at sample {frame} of channel {channel}")]
    NotANumber {
        /// Counted from 0.
        frame: usize,
        /// Counted from 0.
        channel: usize,
    },
    /// There is no sample in it.
    #[error("holds no samples; send a recording")]
    Silent,
    /// The end is missing, or what is there makes no sense.
    #[error("is a {format} file that is damaged or ends too soon: {reason}")]
    Damaged {
        /// The format's name.
        format: &'static str,
        /// What the decoder said, in one line.
        reason: String,
    },
}

/// Decodes a WAV or FLAC file, and adds its sound to `out`: the mean of its channels, from -1 to 1, `rate` samples a second. Behind an error there may
/// be a part of it.
pub fn decode(file: &[u8], limits: Limits, rate: u32, out: &mut Vec<f32>) -> Result<Played, AudioError> {
    let played = match kind(file, limits)? {
        Kind::Wav => wav(file, limits, rate, out)?,
        Kind::Flac => flac(file, limits, rate, out)?,
    };
    if played.frames == 0 { Err(AudioError::Silent) } else { Ok(played) }
}

/// The memory that a file and its samples at `rate` will take while they are made; in bytes. It is read off the file's head.
pub fn memory(file: &[u8], limits: Limits, rate: u32) -> Result<usize, AudioError> {
    let (own, frames) = match kind(file, limits)? {
        Kind::Wav => {
            let reader = hound::WavReader::new(Cursor::new(file)).map_err(wav_error)?;
            (reader.spec().sample_rate, Some(u64::from(reader.duration()).min(file.len() as u64)))
        }
        Kind::Flac => {
            let options = claxon::FlacReaderOptions { metadata_only: true, read_vorbis_comment: false };
            let info = claxon::FlacReader::new_ext(without_tags(file)?, options).map_err(|error| damaged("FLAC", &error))?.streaminfo();
            (info.sample_rate, info.samples)
        }
    };
    let most = bounds(own, 1, frames, limits)? as u64;
    let frames = frames.unwrap_or(most);
    let resampled = frames * u64::from(rate) / u64::from(own);
    Ok(file.len() + usize::try_from(2 * resampled * 4).unwrap_or(usize::MAX / 2))
}

/// What a file is, as its first bytes say.
enum Kind {
    Wav,
    Flac,
}

fn kind(file: &[u8], limits: Limits) -> Result<Kind, AudioError> {
    if file.is_empty() {
        Err(AudioError::Empty)
    } else if file.len() > limits.max_bytes {
        Err(AudioError::TooManyBytes { have: file.len(), limit: limits.max_bytes })
    } else if file.starts_with(b"RIFF") && file.get(8..12) == Some(b"WAVE") {
        Ok(Kind::Wav)
    } else if file.starts_with(b"fLaC") {
        Ok(Kind::Flac)
    } else {
        Err(AudioError::UnknownFormat)
    }
}

fn wav_error(error: hound::Error) -> AudioError {
    match error {
        hound::Error::Unsupported => AudioError::UnsupportedKind { what: "another kind of samples".to_owned() },
        other => damaged("WAV", &other),
    }
}

/// The file with its stream info alone in front of the sound. The decoder would read tags and pictures too, and takes memory for as many as they say they are
/// (a file of 80 bytes: 59 MB) before it looks whether they are there. Blocks as in RFC 9639, section 8.1.
fn without_tags(file: &[u8]) -> Result<impl Read + '_, AudioError> {
    const INFO: usize = 34;
    let short = || damaged("FLAC", &"it ends before its sound begins");
    let head = file.first_chunk::<{ 8 + INFO }>().ok_or_else(short)?;
    // The first block is the stream's info.
    if head[4] & 0x7f != 0 || head[5..8] != [0, 0, INFO as u8] {
        return Err(damaged("FLAC", &"it does not begin with its stream's info"));
    }
    let mut at = 4;
    loop {
        let &[kind, a, b, c] = file.get(at..).and_then(<[u8]>::first_chunk).ok_or_else(short)?;
        at += 4 + u32::from_be_bytes([0, a, b, c]) as usize;
        if kind & 0x80 != 0 {
            break;
        }
    }
    let mut head = *head;
    // Now it is the last one.
    head[4] |= 0x80;
    Ok(Cursor::new(head).chain(file.get(at..).ok_or_else(short)?))
}

fn damaged(format: &'static str, reason: &dyn std::fmt::Display) -> AudioError {
    AudioError::Damaged { format, reason: reason.to_string().lines().next().unwrap_or_default().chars().take(160).collect() }
}

/// What a file's head says, held against the limits: the most frames that may follow.
fn bounds(rate: u32, channels: u32, frames: Option<u64>, limits: Limits) -> Result<usize, AudioError> {
    if !RATES.contains(&rate) {
        return Err(AudioError::Rate { rate });
    }
    if channels == 0 || channels > MAX_CHANNELS {
        return Err(AudioError::Channels { channels });
    }
    let most = u64::from(rate) * u64::from(limits.max_seconds);
    if frames.is_some_and(|frames| frames > most) {
        return Err(AudioError::TooLong { limit: limits.max_seconds });
    }
    Ok(usize::try_from(most).unwrap_or(usize::MAX))
}

fn wav(file: &[u8], limits: Limits, rate: u32, out: &mut Vec<f32>) -> Result<Played, AudioError> {
    let reader = hound::WavReader::new(Cursor::new(file)).map_err(wav_error)?;
    let spec = reader.spec();
    bounds(spec.sample_rate, u32::from(spec.channels), Some(u64::from(reader.duration())), limits)?;
    let mut blocks = Blocks::new(usize::from(spec.channels), spec.sample_rate, rate, out)?;
    match (spec.sample_format, spec.bits_per_sample) {
        (hound::SampleFormat::Int, 8..=32) => {
            let full = full_scale(u32::from(spec.bits_per_sample));
            for sample in reader.into_samples::<i32>() {
                blocks.push(sample.map_err(wav_error)? as f32 / full)?;
            }
        }
        (hound::SampleFormat::Float, 32) => {
            for sample in reader.into_samples::<f32>() {
                blocks.push(sample.map_err(wav_error)?)?;
            }
        }
        (format, bits) => return Err(AudioError::UnsupportedKind { what: format!("{bits}-bit {format:?} samples").to_lowercase() }),
    }
    Ok(Played { frames: blocks.finish()?, rate: spec.sample_rate })
}

fn flac(file: &[u8], limits: Limits, rate: u32, out: &mut Vec<f32>) -> Result<Played, AudioError> {
    let failed = |error: claxon::Error| damaged("FLAC", &error);
    let mut reader = claxon::FlacReader::new(without_tags(file)?).map_err(failed)?;
    let info = reader.streaminfo();
    let most = bounds(info.sample_rate, info.channels, info.samples, limits)?;
    let full = full_scale(info.bits_per_sample);
    let mut blocks = Blocks::new(info.channels as usize, info.sample_rate, rate, out)?;
    let (mut read, mut buffer, mut frames) = (reader.blocks(), Vec::new(), 0);
    while let Some(block) = read.read_next_or_eof(buffer).map_err(failed)? {
        frames += block.duration() as usize;
        if frames > most {
            return Err(AudioError::TooLong { limit: limits.max_seconds });
        }
        // What the call was admitted with is what the head says.
        if info.samples.is_some_and(|promised| frames as u64 > promised) {
            return Err(damaged("FLAC", &"it has more samples than its head says"));
        }
        for frame in 0..block.duration() {
            for channel in 0..block.channels() {
                blocks.push(block.sample(channel, frame) as f32 / full)?;
            }
        }
        buffer = block.into_buffer();
    }
    if info.samples.is_some_and(|promised| promised > frames as u64) {
        return Err(damaged("FLAC", &"it has fewer samples than its head says"));
    }
    Ok(Played { frames: blocks.finish()?, rate: info.sample_rate })
}

/// What a sample of so many bits is divided by.
fn full_scale(bits: u32) -> f32 {
    (1_u64 << (bits.clamp(1, 32) - 1)) as f32
}

#[cfg(test)]
mod tests;
