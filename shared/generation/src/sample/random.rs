//! Randomness that depends on a seed and a place, and on nothing else.
//!
//! One number is drawn for each token. It is a function of the sequence's seed and of the token's place (SplitMix64: Steele, Lea and Flood 2014), so
//! there is no state to keep, share or lose; and it is written here rather than taken from a crate, since a new release of one may draw other
//! numbers, and the same seed is to write the same tokens next year.

const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// A number from 0 to below 1 for the token at `place` of the answer, with 53 random bits.
pub(super) fn draw(seed: u64, place: u64) -> f64 {
    (mix(seed.wrapping_add(place.wrapping_add(1).wrapping_mul(STEP))) >> 11) as f64 / (1_u64 << 53) as f64
}

/// The seed of the `index`th of several answers to one prompt; that of the first is `seed` itself.
pub fn seed_of(seed: u64, index: u32) -> u64 {
    if index == 0 { seed } else { mix(seed ^ mix(u64::from(index).wrapping_mul(STEP))) }
}

fn mix(mut value: u64) -> u64 {
    value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}
