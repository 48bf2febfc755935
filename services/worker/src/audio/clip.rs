//! Sound as a file again.

/// A WAV file of one channel and 16 bits.
pub fn wav(samples: &[i16], rate: u32) -> Vec<u8> {
    let length = u32::try_from(samples.len() * 2).unwrap_or(u32::MAX - 36);
    let mut file = Vec::with_capacity(44 + samples.len() * 2);
    let mut put = |bytes: &[u8]| file.extend_from_slice(bytes);
    put(b"RIFF");
    put(&(36 + length).to_le_bytes());
    put(b"WAVEfmt ");
    put(&16_u32.to_le_bytes());
    // Whole numbers, one channel.
    put(&[1, 0, 1, 0]);
    put(&rate.to_le_bytes());
    put(&(rate * 2).to_le_bytes());
    // Bytes of a frame, bits of a sample.
    put(&[2, 0, 16, 0]);
    put(b"data");
    put(&length.to_le_bytes());
    for sample in samples {
        put(&sample.to_le_bytes());
    }
    file
}

/// A sample from -1 to 1 as 16 bits; what is louder is cut off.
pub fn sixteen_bits(sample: f32) -> i16 {
    (sample * 32_768.0).round() as i16
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audio::{Limits, Played, decode};

    #[test]
    fn a_clip_is_read_as_it_was_written() {
        let sound: Vec<f32> = (-4_i16..5).map(|step| f32::from(step) / 5.0).chain([-1.0, 1.5]).collect();
        let samples: Vec<i16> = sound.iter().map(|sample| sixteen_bits(*sample)).collect();
        assert_eq!(&samples[9..], [i16::MIN, i16::MAX]);
        let mut read = Vec::new();
        let played = decode(&wav(&samples, 16_000), Limits { max_bytes: 1000, max_seconds: 1 }, 16_000, &mut read);
        assert_eq!(played, Ok(Played { frames: 11, rate: 16_000 }));
        assert_eq!(read, samples.iter().map(|sample| f32::from(*sample) / 32_768.0).collect::<Vec<_>>());
    }
}
