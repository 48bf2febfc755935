//! Blocks of 32 elements with one scale, and in the forms `_1` one offset. The first half of the elements is in the low four bits of each byte, the second
//! half in the high ones.

use super::half;

pub(super) const ELEMENTS: usize = 32;
const HALF: usize = ELEMENTS / 2;

pub(super) fn q4_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    nibbles(&block[2..], out, |_, low| (f32::from(low) - 8.0) * scale);
}

pub(super) fn q4_1(block: &[u8], out: &mut [f32]) {
    let (scale, offset) = (half(block, 0), half(block, 2));
    nibbles(&block[4..], out, |_, low| f32::from(low) * scale + offset);
}

pub(super) fn q5_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    let high = fifth_bits(&block[2..6]);
    nibbles(&block[6..], out, |place, low| (f32::from(low | high(place)) - 16.0) * scale);
}

pub(super) fn q5_1(block: &[u8], out: &mut [f32]) {
    let (scale, offset) = (half(block, 0), half(block, 2));
    let high = fifth_bits(&block[4..8]);
    nibbles(&block[8..], out, |place, low| f32::from(low | high(place)) * scale + offset);
}

pub(super) fn q8_0(block: &[u8], out: &mut [f32]) {
    let scale = half(block, 0);
    for (element, byte) in out.iter_mut().zip(&block[2..]) {
        *element = f32::from(byte.cast_signed()) * scale;
    }
}

/// Calls `value` with each element's place and its four bits.
fn nibbles(bytes: &[u8], out: &mut [f32], value: impl Fn(usize, u8) -> f32) {
    for (place, byte) in bytes[..HALF].iter().enumerate() {
        out[place] = value(place, byte & 15);
        out[place + HALF] = value(place + HALF, byte >> 4);
    }
}

/// The fifth bit of each element, at its place among five.
fn fifth_bits(bytes: &[u8]) -> impl Fn(usize) -> u8 {
    let bits = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    move |place| ((bits >> place & 1) << 4) as u8
}
