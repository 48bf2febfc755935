//! Blocks of 256 elements in groups of 16 or 32 that have scales of their own, themselves of a few bits.

use super::half;

pub(super) const ELEMENTS: usize = 256;

/// Two bits an element; scales and offsets of four bits for each 16.
pub(super) fn q2(block: &[u8], out: &mut [f32]) {
    let (scales, quants) = (&block[..16], &block[16..80]);
    let (scale, offset) = (half(block, 80), half(block, 82));
    for (group, elements) in out.chunks_exact_mut(16).enumerate() {
        let (scale, offset) = (scale * f32::from(scales[group] & 15), offset * f32::from(scales[group] >> 4));
        let (bytes, shift) = two_bits(quants, group);
        for (element, byte) in elements.iter_mut().zip(bytes) {
            *element = scale * f32::from(byte >> shift & 3) - offset;
        }
    }
}

/// Three bits an element, of which the highest is in a mask of its own; scales of six bits for each 16.
pub(super) fn q3(block: &[u8], out: &mut [f32]) {
    let (mask, quants, packed) = (&block[..32], &block[32..96], &block[96..108]);
    let scale = half(block, 108);
    for (group, elements) in out.chunks_exact_mut(16).enumerate() {
        let low = if group < 8 { packed[group] & 15 } else { packed[group - 8] >> 4 };
        let high = packed[8 + group % 4] >> (2 * (group / 4)) & 3;
        let scale = scale * (f32::from(low | high << 4) - 32.0);
        let (bytes, shift) = two_bits(quants, group);
        let mask = &mask[16 * (group % 2)..];
        for (place, (element, byte)) in elements.iter_mut().zip(bytes).enumerate() {
            let third = mask[place] >> (group / 2) & 1;
            *element = scale * (f32::from(byte >> shift & 3 | third << 2) - 4.0);
        }
    }
}

/// Four bits an element; scales and offsets of six bits for each 32.
pub(super) fn q4(block: &[u8], out: &mut [f32]) {
    with_six_bit_scales(block, &block[16..], out, |_, _| 0);
}

/// Five bits an element, of which the highest is in bytes of its own; scales and offsets of six bits for each 32.
pub(super) fn q5(block: &[u8], out: &mut [f32]) {
    let fifth = &block[16..48];
    with_six_bit_scales(block, &block[48..], out, |group, place| (fifth[place] >> group & 1) << 4);
}

/// Six bits an element: four and two apart; scales of eight bits for each 16.
pub(super) fn q6(block: &[u8], out: &mut [f32]) {
    let (low, high, scales) = (&block[..128], &block[128..192], &block[192..208]);
    let scale = half(block, 208);
    for (group, elements) in out.chunks_exact_mut(32).enumerate() {
        let (part, quarter) = (group / 4, group % 4);
        let low = &low[64 * part + 32 * (quarter % 2)..];
        let high = &high[32 * part..];
        for (place, element) in elements.iter_mut().enumerate() {
            let four = low[place] >> (4 * (quarter / 2)) & 15;
            let two = high[place] >> (2 * quarter) & 3;
            let scale = scale * f32::from(scales[2 * group + place / 16].cast_signed());
            *element = scale * (f32::from(four | two << 4) - 32.0);
        }
    }
}

/// The bytes that hold a group of 16 elements, two bits in each, and how far up those bits are.
fn two_bits(quants: &[u8], group: usize) -> (&[u8], usize) {
    let (part, within) = (group / 8, group % 8);
    (&quants[32 * part + 16 * (within % 2)..], 2 * (within / 2))
}

/// Blocks whose elements have four bits, and perhaps `more` of them, given a group and a place in it.
fn with_six_bit_scales(block: &[u8], quants: &[u8], out: &mut [f32], more: impl Fn(usize, usize) -> u8) {
    let (scale, offset) = (half(block, 0), half(block, 2));
    for (group, elements) in out.chunks_exact_mut(32).enumerate() {
        let (scale_bits, offset_bits) = six_bit_scale(&block[4..16], group);
        let (scale, offset) = (scale * f32::from(scale_bits), offset * f32::from(offset_bits));
        let bytes = &quants[32 * (group / 2)..];
        for (place, element) in elements.iter_mut().enumerate() {
            let four = bytes[place] >> (4 * (group % 2)) & 15;
            *element = scale * f32::from(four | more(group, place)) - offset;
        }
    }
}

/// The scale and the offset of a group: eight of each in twelve bytes. The last four have their upper bits in what the first four leave free.
fn six_bit_scale(packed: &[u8], group: usize) -> (u8, u8) {
    if group < 4 {
        return (packed[group] & 63, packed[group + 4] & 63);
    }
    let both = packed[group + 4];
    (both & 15 | packed[group - 4] >> 6 << 4, both >> 4 | packed[group] >> 6 << 4)
}
