//! How a network's rotation is stretched for long texts, in the words of a `config.json`.

use std::f64::consts::TAU;

use serde_json::{Value, json};

use super::config::Keys;

/// The one form that files give as a table of divisors: published networks differ in the factor alone.
const LOW: f64 = 1.0;
const HIGH: f64 = 4.0;
const ORIGINAL: f64 = 8192.0;
/// How far a divisor of the table may lie from the formula's, relative to it.
const TOLERANCE: f64 = 1e-3;

/// `rope_scaling`, or null where nothing is stretched.
pub(super) fn scaling(keys: &Keys<'_>, head: usize, divisors: Option<&[f32]>) -> Result<Value, String> {
    if let Some(divisors) = divisors {
        return table(keys.fraction("rope.freq_base").unwrap_or(10000.0), head, divisors);
    }
    let factor = keys.fraction("rope.scaling.factor").or_else(|| keys.fraction("rope.scale_linear"));
    let factor = factor.filter(|factor| *factor != 0.0 && (*factor - 1.0).abs() > f64::EPSILON);
    let Some(factor) = factor else { return Ok(Value::Null) };
    match keys.text("rope.scaling.type") {
        Some("none") => Ok(Value::Null),
        None | Some("linear") => Ok(json!({"rope_type": "linear", "factor": factor})),
        Some("yarn") => {
            let original = keys.count("rope.scaling.original_context_length")?;
            Ok(json!({"rope_type": "yarn", "factor": factor, "original_max_position_embeddings": original}))
        }
        Some(other) => Err(format!("rope.scaling.type is {other}; linear and yarn are read")),
    }
}

/// The parameters from which a table of divisors was made. The error says that it is not of that form.
fn table(theta: f64, head: usize, divisors: &[f32]) -> Result<Value, String> {
    let factor = divisors.iter().copied().fold(1.0, f32::max);
    let factor = f64::from(factor);
    let expected = (0..head / 2).map(|place| divisor(TAU * theta.powf(2.0 * place as f64 / head as f64), factor));
    let close = |(expected, found): (f64, &f32)| (f64::from(*found) - expected).abs() <= TOLERANCE * expected;
    if divisors.len() != head / 2 || !expected.zip(divisors).all(close) {
        return Err("rope_freqs.weight: this table of divisors is not of the form llama3, the only one that is read".to_owned());
    }
    let original = ORIGINAL as u64;
    Ok(json!({
        "rope_type": "llama3", "factor": factor, "low_freq_factor": LOW, "high_freq_factor": HIGH, "original_max_position_embeddings": original
    }))
}

/// By what the frequency of a wave of this length is divided: short waves by 1, long ones by the factor, those between by something between.
fn divisor(length: f64, factor: f64) -> f64 {
    if length < ORIGINAL / HIGH {
        1.0
    } else if length > ORIGINAL / LOW {
        factor
    } else {
        let share = (ORIGINAL / length - LOW) / (HIGH - LOW);
        1.0 / ((1.0 - share) / factor + share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_llama_3_is_known_by_its_factor() {
        for factor in [8.0, 32.0] {
            let divisors: Vec<f32> =
                (0..64).map(|place| divisor(TAU * 500_000_f64.powf(2.0 * f64::from(place) / 128.0), factor) as f32).collect();
            assert_eq!(table(500_000.0, 128, &divisors).unwrap()["factor"], json!(factor));
        }
    }

    #[test]
    fn another_table_is_refused_and_not_taken_for_it() {
        for divisors in [vec![], vec![1.0; 63], vec![2.0; 64], vec![f32::NAN; 64]] {
            table(500_000.0, 128, &divisors).unwrap_err();
        }
    }
}
