use proptest::prelude::*;

use super::*;

const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_seconds: 2 };

/// The samples of a file at the rate that most of them here have.
fn decoded(file: &[u8], limits: Limits) -> Result<Vec<f32>, AudioError> {
    let mut samples = Vec::new();
    decode(file, limits, 8000, &mut samples).map(|_| samples)
}

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
        assert_eq!(decoded(&ints(bits, &[0, half, -half]), LIMITS).unwrap(), [0.0, 0.5, -0.5], "{bits} bits");
    }
    assert_eq!(decoded(&floats(&[0.25]), LIMITS).unwrap(), [0.25]);
}

#[test]
fn the_mean_of_the_channels_is_heard() {
    let stereo = wav_of(2, 16, hound::SampleFormat::Int, &[1 << 14, 0, -(1 << 14), -(1 << 14)]);
    assert_eq!(decoded(&stereo, LIMITS).unwrap(), [0.25, -0.5]);
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
        let refused = decoded(&file, LIMITS).unwrap_err().to_string();
        assert!(refused.contains(part), "{part:?} is missing in {refused:?}");
    }
}

#[test]
fn a_head_that_promises_an_hour_gets_no_memory_for_it() {
    let limits = Limits { max_bytes: 1 << 20, max_seconds: 3600 };
    let mut file = ints(8, &[1; 100]);
    // Where the canonical head has the length of the samples.
    file[40..44].copy_from_slice(&20_000_000_u32.to_le_bytes());
    assert!(memory(&file, limits, 16_000).unwrap() < 10_000);
    assert!(decoded(&file, limits).unwrap_err().to_string().contains("ends too soon"));
}

#[test]
fn the_mean_of_the_loudest_numbers_is_a_number() {
    let loud = wav_of(2, 32, hound::SampleFormat::Float, &[f32::MAX, f32::MAX]);
    assert_eq!(decoded(&loud, LIMITS).unwrap(), [f32::MAX]);
}

#[test]
fn a_flac_file_is_the_recording_it_was_made_of() {
    let flac = include_bytes!("../../../../../tests/golden/speech.flac");
    let limits = Limits { max_bytes: 1 << 20, max_seconds: 60 };
    let mut samples = Vec::new();
    let played = decode(flac, limits, 16_000, &mut samples).unwrap();
    assert_eq!((played.rate, played.frames), (16_000, samples.len()));
    assert!(samples.iter().all(|sample| sample.abs() <= 1.0) && samples.iter().any(|sample| sample.abs() > 0.1));
    for cut in [50, flac.len() / 2, flac.len() - 1] {
        assert!(decoded(&flac[..cut], limits).is_err(), "cut at {cut}");
    }
}

#[test]
fn a_file_takes_the_memory_that_the_model_hears_whatever_its_own_rate() {
    let flac = include_bytes!("../../../../../tests/golden/speech.flac");
    let limits = Limits { max_bytes: 1 << 20, max_seconds: 3600 };
    let mut fast = flac.to_vec();
    // The head's 20 bits of rate say 384000, and its 36 bits of length that the encoder did not know it: an hour is 5.5 GB at that rate.
    let place = u64::from_be_bytes(fast[18..26].try_into().unwrap()) & !(0xf_ffff << 44) & !0xf_ffff_ffff;
    fast[18..26].copy_from_slice(&(place | 384_000 << 44).to_be_bytes());
    assert!(memory(&fast, limits, 16_000).unwrap() < 500 << 20);
    let mut few = flac.to_vec();
    few[22..26].copy_from_slice(&100_u32.to_be_bytes());
    assert!(decoded(&few, limits).unwrap_err().to_string().contains("more samples than its head says"));
    let frames = decode(flac, limits, 16_000, &mut Vec::new()).unwrap().frames;
    let mut samples = Vec::new();
    assert_eq!(decode(&fast, limits, 16_000, &mut samples).unwrap().frames, frames);
    assert_eq!(samples.len(), frames.div_ceil(24));
}

proptest! {
    #[test]
    fn damage_never_breaks_a_decoder(flac: bool, at: prop::sample::Index, value: u8) {
        let mut file = if flac { include_bytes!("../../../../../tests/golden/speech.flac").to_vec() } else { ints(16, &[7; 300]) };
        let at = at.index(file.len().min(400));
        file[at] = value;
        let _ = decoded(&file, LIMITS);
    }
}

#[test]
fn a_flac_files_tags_are_not_looked_at_and_cost_no_memory() {
    let flac = include_bytes!("../../../../../tests/golden/speech.flac");
    let limits = Limits { max_bytes: 1 << 20, max_seconds: 30 };
    let whole = decoded(flac, limits).unwrap();
    // Of ten million bytes, as it says, with millions of comments; and one that is all there.
    let promised = [&flac[..4], &[0], &flac[5..42], &[0x84, 0x80, 0x53, 0], &[0, 0, 0, 0, 0, 0, 0x1c, 0]].concat();
    assert!(matches!(decoded(&promised, limits), Err(AudioError::Damaged { format: "FLAC", .. })));
    let tags_first = [&flac[..4], &[4], &flac[5..]].concat();
    assert!(matches!(decoded(&tags_first, limits), Err(AudioError::Damaged { format: "FLAC", .. })));
    let mut sound = 4;
    while flac[sound] & 0x80 == 0 {
        sound += 4 + u32::from_be_bytes([0, flac[sound + 1], flac[sound + 2], flac[sound + 3]]) as usize;
    }
    sound += 4 + u32::from_be_bytes([0, flac[sound + 1], flac[sound + 2], flac[sound + 3]]) as usize;
    let tagged = [&flac[..4], &[flac[4] & 0x7f], &flac[5..42], &[0x84, 0, 0, 3], b"odd", &flac[sound..]].concat();
    assert_eq!(decoded(&tagged, limits).unwrap(), whole);
}
