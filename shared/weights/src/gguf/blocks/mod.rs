//! The forms in which GGUF files keep elements, and what they mean: blocks of a few elements share scales.

mod k;
mod plain;

use half::f16;

use crate::Element;

/// Turns one block into its elements; the slices have the block's sizes.
type Expand = fn(&[u8], &mut [f32]);

/// How the elements of a tensor are kept.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Format {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q2K,
    Q3K,
    Q4K,
    Q5K,
    Q6K,
}

/// What [`Format::of`] knows, for messages.
const KNOWN: &str = "F32, F16, BF16, Q4_0, Q4_1, Q5_0, Q5_1, Q8_0, Q2_K, Q3_K, Q4_K, Q5_K and Q6_K";

impl Format {
    /// The form that the file's number means; the error lists what is known.
    pub(super) fn of(kind: u32) -> Result<Self, &'static str> {
        Ok(match kind {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            10 => Self::Q2K,
            11 => Self::Q3K,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            _ => return Err(KNOWN),
        })
    }

    /// How many elements a block has.
    pub(super) fn elements(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 1,
            Self::Q4_0 | Self::Q4_1 | Self::Q5_0 | Self::Q5_1 | Self::Q8_0 => plain::ELEMENTS,
            Self::Q2K | Self::Q3K | Self::Q4K | Self::Q5K | Self::Q6K => k::ELEMENTS,
        }
    }

    /// How many bytes a block has.
    pub(super) fn bytes(self) -> usize {
        match self {
            Self::F32 => 4,
            Self::F16 | Self::Bf16 => 2,
            Self::Q4_0 => 18,
            Self::Q4_1 => 20,
            Self::Q5_0 => 22,
            Self::Q5_1 => 24,
            Self::Q8_0 => 34,
            Self::Q2K => 84,
            Self::Q3K => 110,
            Self::Q4K => 144,
            Self::Q5K => 176,
            Self::Q6K => 210,
        }
    }

    /// What comes out of [`Format::expand`].
    pub(super) fn element(self) -> Element {
        match self {
            Self::F16 => Element::F16,
            Self::Bf16 => Element::Bf16,
            _ => Element::F32,
        }
    }

    /// The elements of whole blocks: floats as they are, everything else as 32-bit floats.
    pub(super) fn expand(self, blocks: Vec<u8>) -> Vec<u8> {
        let expand: Expand = match self {
            Self::F32 | Self::F16 | Self::Bf16 => return blocks,
            Self::Q4_0 => plain::q4_0,
            Self::Q4_1 => plain::q4_1,
            Self::Q5_0 => plain::q5_0,
            Self::Q5_1 => plain::q5_1,
            Self::Q8_0 => plain::q8_0,
            Self::Q2K => k::q2,
            Self::Q3K => k::q3,
            Self::Q4K => k::q4,
            Self::Q5K => k::q5,
            Self::Q6K => k::q6,
        };
        let mut elements = vec![0.0; self.elements()];
        let mut bytes = Vec::with_capacity(blocks.len() / self.bytes() * self.elements() * 4);
        for block in blocks.chunks_exact(self.bytes()) {
            expand(block, &mut elements);
            bytes.extend(elements.iter().flat_map(|element| element.to_le_bytes()));
        }
        bytes
    }
}

/// The half-precision number that begins at `at`.
fn half(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    #[test]
    fn every_form_means_what_the_reference_says() {
        let golden: Value = serde_json::from_str(include_str!("../../../../../tests/golden/gguf_blocks.json")).unwrap();
        let cases = golden["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 10);
        for case in cases {
            let format = Format::of(case["kind"].as_u64().unwrap() as u32).unwrap();
            let blocks = bytes(case["blocks"].as_str().unwrap());
            assert_eq!(blocks.len() % format.bytes(), 0, "{format:?}");
            let found = format.expand(blocks);
            let found: Vec<f32> = found.chunks_exact(4).map(|four| f32::from_le_bytes(four.try_into().unwrap())).collect();
            let expected: Vec<f32> = case["elements"].as_array().unwrap().iter().map(|element| element.as_f64().unwrap() as f32).collect();
            assert_eq!(found.len(), expected.len(), "{format:?}");
            for (place, (found, expected)) in found.iter().zip(&expected).enumerate() {
                assert!((found - expected).abs() <= 2e-6 * expected.abs().max(1.0), "{format:?}, element {place}: {found}, not {expected}");
            }
        }
    }

    fn bytes(hex: &str) -> Vec<u8> {
        (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
    }
}
