//! From a WAV or FLAC file to samples of one channel, with every bound checked before the samples are made.

use std::io::Cursor;

use super::pcm::Mixer;

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

/// Sound.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// From -1 to 1; the mean of all channels.
    pub samples: Vec<f32>,
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

/// Decodes a WAV or FLAC file.
pub fn decode(file: &[u8], limits: Limits) -> Result<Recording, AudioError> {
    let recording = match kind(file, limits)? {
        Kind::Wav => wav(file, limits)?,
        Kind::Flac => flac(file, limits)?,
    };
    if recording.samples.is_empty() { Err(AudioError::Silent) } else { Ok(recording) }
}

/// The memory that a file's samples will take, at its own rate and at `rate`; in bytes. It is read off the file's head.
pub fn memory(file: &[u8], limits: Limits, rate: u32) -> Result<usize, AudioError> {
    let (own, frames) = match kind(file, limits)? {
        Kind::Wav => {
            let reader = hound::WavReader::new(Cursor::new(file)).map_err(wav_error)?;
            (reader.spec().sample_rate, Some(u64::from(reader.duration())))
        }
        Kind::Flac => {
            let options = claxon::FlacReaderOptions { metadata_only: true, read_vorbis_comment: false };
            let info = claxon::FlacReader::new_ext(Cursor::new(file), options).map_err(|error| damaged("FLAC", &error))?.streaminfo();
            (info.sample_rate, info.samples)
        }
    };
    let most = bounds(own, 1, frames, limits)? as u64;
    let frames = frames.unwrap_or(most);
    let resampled = frames * u64::from(rate) / u64::from(own);
    Ok(file.len() + usize::try_from((frames + 2 * resampled) * 4).unwrap_or(usize::MAX / 2))
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

fn wav(file: &[u8], limits: Limits) -> Result<Recording, AudioError> {
    let reader = hound::WavReader::new(Cursor::new(file)).map_err(wav_error)?;
    let spec = reader.spec();
    let most = bounds(spec.sample_rate, u32::from(spec.channels), Some(u64::from(reader.duration())), limits)?;
    let mut mixer = Mixer::new(usize::from(spec.channels), most.min(reader.duration() as usize));
    match (spec.sample_format, spec.bits_per_sample) {
        (hound::SampleFormat::Int, 8..=32) => {
            let full = full_scale(u32::from(spec.bits_per_sample));
            for sample in reader.into_samples::<i32>() {
                mixer.push(sample.map_err(wav_error)? as f32 / full);
            }
        }
        (hound::SampleFormat::Float, 32) => {
            for sample in reader.into_samples::<f32>() {
                mixer.push(sample.map_err(wav_error)?);
            }
        }
        (format, bits) => return Err(AudioError::UnsupportedKind { what: format!("{bits}-bit {format:?} samples").to_lowercase() }),
    }
    let samples = mixer.finish().map_err(|(frame, channel)| AudioError::NotANumber { frame, channel })?;
    Ok(Recording { samples, rate: spec.sample_rate })
}

fn flac(file: &[u8], limits: Limits) -> Result<Recording, AudioError> {
    let failed = |error: claxon::Error| damaged("FLAC", &error);
    let mut reader = claxon::FlacReader::new(Cursor::new(file)).map_err(failed)?;
    let info = reader.streaminfo();
    let most = bounds(info.sample_rate, info.channels, info.samples, limits)?;
    let full = full_scale(info.bits_per_sample);
    // A head that promises more than the file can hold gets no memory for it: a FLAC frame of one value is still some bytes long.
    let mut mixer = Mixer::new(info.channels as usize, most.min(file.len().saturating_mul(64)));
    let (mut blocks, mut buffer, mut frames) = (reader.blocks(), Vec::new(), 0);
    while let Some(block) = blocks.read_next_or_eof(buffer).map_err(failed)? {
        frames += block.duration() as usize;
        if frames > most {
            return Err(AudioError::TooLong { limit: limits.max_seconds });
        }
        for frame in 0..block.duration() {
            for channel in 0..block.channels() {
                mixer.push(block.sample(channel, frame) as f32 / full);
            }
        }
        buffer = block.into_buffer();
    }
    if info.samples.is_some_and(|promised| promised > frames as u64) {
        return Err(damaged("FLAC", &"it has fewer samples than its head says"));
    }
    let samples = mixer.finish().map_err(|(frame, channel)| AudioError::NotANumber { frame, channel })?;
    Ok(Recording { samples, rate: info.sample_rate })
}

/// What a sample of so many bits is divided by.
fn full_scale(bits: u32) -> f32 {
    (1_u64 << (bits.clamp(1, 32) - 1)) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_seconds: 2 };

    fn wav_of<S: hound::Sample + Copy>(channels: u16, bits: u16, format: hound::SampleFormat, samples: &[S]) -> Vec<u8> {
        let spec = hound::WavSpec { channels, sample_rate: 8000, bits_per_sample: bits, sample_format: format };
        let mut file = Cursor::new(Vec::new());
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        for &sample in samples {
            writer.write_sample(sample).unwrap();
        }
        writer.finalize().unwrap();
        file.into_inner()
    }

    fn ints(bits: u16, samples: &[i32]) -> Vec<u8> {
        wav_of(1, bits, hound::SampleFormat::Int, samples)
    }

    fn floats(samples: &[f32]) -> Vec<u8> {
        wav_of(1, 32, hound::SampleFormat::Float, samples)
    }

    #[test]
    fn samples_of_every_width_are_read_as_the_same_sound() {
        for (bits, half) in [(8, 64), (16, 1 << 14), (24, 1 << 22), (32, 1 << 30)] {
            let recording = decode(&ints(bits, &[0, half, -half]), LIMITS).unwrap();
            assert_eq!((recording.samples, recording.rate), (vec![0.0, 0.5, -0.5], 8000), "{bits} bits");
        }
        assert_eq!(decode(&floats(&[0.25]), LIMITS).unwrap().samples, [0.25]);
    }

    #[test]
    fn the_mean_of_the_channels_is_heard() {
        let stereo = wav_of(2, 16, hound::SampleFormat::Int, &[1 << 14, 0, -(1 << 14), -(1 << 14)]);
        assert_eq!(decode(&stereo, LIMITS).unwrap().samples, [0.25, -0.5]);
    }

    #[test]
    fn every_wrong_file_is_told_apart() {
        let long = vec![0_i32; 16_001];
        for (file, part) in [
            (Vec::new(), "is empty"),
            (b"ID3\x04mp3".to_vec(), "is not a WAV or FLAC file"),
            (vec![0; LIMITS.max_bytes + 1], "has 1048577 bytes, and this model takes 1048576"),
            (floats(&[0.0, f32::NAN]), "something that is not a number at sample 1 of channel 0"),
            (floats(&[f32::INFINITY]), "not a number at sample 0"),
            (ints(16, &[]), "holds no samples"),
            (ints(16, &long), "plays for more than the 2 s"),
            (ints(16, &[1; 100])[..200].to_vec(), "WAV file that is damaged or ends too soon"),
            (b"fLaC\0\0\0\x22".to_vec(), "FLAC file that is damaged or ends too soon"),
        ] {
            let refused = decode(&file, LIMITS).unwrap_err().to_string();
            assert!(refused.contains(part), "{part:?} is missing in {refused:?}");
        }
    }

    #[test]
    fn a_flac_file_is_the_recording_it_was_made_of() {
        let flac = include_bytes!("../../../../tests/golden/speech.flac");
        let whole = decode(flac, Limits { max_bytes: 1 << 20, max_seconds: 60 }).unwrap();
        assert_eq!(whole.rate, 16_000);
        assert!(whole.samples.iter().all(|sample| sample.abs() <= 1.0) && whole.samples.iter().any(|sample| sample.abs() > 0.1));
        for cut in [50, flac.len() / 2, flac.len() - 1] {
            assert!(decode(&flac[..cut], Limits { max_bytes: 1 << 20, max_seconds: 60 }).is_err(), "cut at {cut}");
        }
    }

    proptest! {
        #[test]
        fn damage_never_breaks_a_decoder(flac: bool, at: prop::sample::Index, value: u8) {
            let mut file = if flac { include_bytes!("../../../../tests/golden/speech.flac").to_vec() } else { ints(16, &[7; 300]) };
            let at = at.index(file.len().min(400));
            file[at] = value;
            let _ = decode(&file, LIMITS);
        }
    }
}
