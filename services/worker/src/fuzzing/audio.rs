use crate::audio::{Encoding, Limits, Pcm, Played, Resampler, Windows, decode, memory};

const LIMITS: Limits = Limits { max_bytes: 1 << 20, max_seconds: 2 };
/// The model's rate, in Hz.
const RATE: u32 = 16_000;

/// A file: what is taken plays no longer than may be, takes no more memory than was announced, and becomes windows of the model's rate.
pub fn audio(file: &[u8]) {
    live(file);
    let announced = memory(file, LIMITS, RATE);
    let mut windows = Windows::new(512, 64);
    let before = windows.input().len();
    let Ok(Played { frames, rate }) = decode(file, LIMITS, RATE, windows.input()) else { return };
    let heard = windows.input()[before..].to_vec();
    assert!((1..=rate as usize * LIMITS.max_seconds as usize).contains(&frames), "{frames} at {rate}");
    assert_eq!(heard.len() as u64, (frames as u64 * u64::from(RATE)).div_ceil(u64::from(rate)));
    let announced = announced.expect("what can be decoded can be announced");
    assert!(heard.len() * 4 <= announced + 4, "{} samples, {announced} bytes announced", heard.len());
    if file.starts_with(b"RIFF") {
        assert!(announced <= 64 * file.len(), "{announced} bytes announced for a file of {}", file.len());
    }
    as_one_block(file, rate, &heard);
    windows.finish();
    let whole = heard.len().div_ceil(512);
    assert_eq!((windows.ready(), windows.take(usize::MAX).len()), (whole, whole * (512 + 64) * 4));
}

/// A file's blocks are no more to be heard than its end.
fn as_one_block(file: &[u8], rate: u32, heard: &[f32]) {
    let (mut own, mut resampled) = (Vec::new(), Vec::new());
    decode(file, LIMITS, rate, &mut own).expect("its own rate suits as well");
    assert!(own.iter().all(|sample| sample.is_finite()));
    let mut resampler = Resampler::new(rate, RATE).expect("it was taken");
    resampler.push(&own, &mut resampled);
    resampler.finish(&mut resampled);
    assert!(heard.iter().zip(&resampled).all(|(one, other)| one.to_bits() == other.to_bits()), "blocks are heard");
}

/// Bytes as a live stream brings them.
fn live(bytes: &[u8]) {
    for (encoding, channels) in [(Encoding::S16, 1), (Encoding::F32, 2)] {
        let form = Pcm { encoding, channels };
        let Ok(samples) = form.read(bytes) else { continue };
        assert_eq!(samples.len(), bytes.len() / form.frame());
        assert!(samples.iter().all(|sample| sample.is_finite()));
    }
}
