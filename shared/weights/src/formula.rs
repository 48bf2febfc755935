//! Weights by a formula, for tests: what a tensor holds follows from its name alone, so that a test and the reference implementation have the same
//! network and no file of weights is kept. `tests/golden/decoders.py` is the other side, and says the formula.

const BASIS: u64 = 0xcbf2_9ce4_8422_2325;
const PRIME: u64 = 0x0100_0000_01b3;
const STEP: u64 = 0x9e37_79b9_7f4a_7c15;

/// The first `count` elements, in row-major order, of the tensor of this name: around 1 (±0.2) for the weights of norms, around 0 for biases (±0.2) and
/// for everything else (±0.4).
pub fn elements(name: &str, count: usize) -> Vec<f32> {
    let (middle, reach) = range(name);
    let mut state = name.bytes().fold(BASIS, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(PRIME));
    let mut element = || {
        state = state.wrapping_add(STEP);
        (middle + reach * (2.0 * uniform(state) - 1.0)) as f32
    };
    (0..count).map(|_| element()).collect()
}

/// The middle of a tensor's elements, and how far they lie around it.
fn range(name: &str) -> (f64, f64) {
    let mut parts = name.rsplit('.');
    let (last, before) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    match last {
        "bias" => (0.0, 0.2),
        "weight" if before.contains("norm") || before.starts_with("ln_") => (1.0, 0.2),
        _ => (0.0, 0.4),
    }
}

/// The output of splitmix64 for this state, as a number of 53 bits from 0 up to 1.
fn uniform(state: u64) -> f64 {
    let mut z = state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^= z >> 31;
    (z >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_elements_are_those_of_the_reference_s_side() {
        let cases: [(&str, [f32; 3]); 3] = [
            ("model.layers.0.self_attn.q_proj.weight", [-0.064_558_92, -0.346_447_2, 0.285_27]),
            ("model.norm.weight", [0.819_475_1, 0.855_128_05, 0.960_822_76]),
            ("transformer.h.1.ln_2.bias", [-0.139_968_98, -0.186_383_58, 0.046_423_912]),
        ];
        for (name, expected) in cases {
            assert_eq!(elements(name, 3), expected, "{name}");
        }
    }
}
