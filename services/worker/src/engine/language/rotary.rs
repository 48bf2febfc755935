//! Rotary positions (Su et al. 2021, "RoFormer"), and the ways in which a model's context is stretched.

use std::f64::consts::TAU;

use serde_json::Value;

use super::{LanguageError, config::Config};

/// How the values of a head turn with the position.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rotary {
    /// For each pair of values, the angle between two neighbouring positions. A head's first `2 × frequencies` values turn: value i with value
    /// i + `frequencies`.
    pub(super) frequencies: Vec<f32>,
    /// What cosine and sine are multiplied by.
    pub(super) factor: f32,
}

/// What a `config.json` says of it, in one of its two forms: `rope_parameters`, or `rope_theta` beside `rope_scaling`.
#[derive(Debug)]
struct Parameters<'a> {
    theta: f64,
    fields: Option<&'a Value>,
    config: &'a Config,
}

impl Rotary {
    /// That of a model whose layers all turn alike.
    pub(super) fn read(config: &Config, theta: f64) -> Result<Self, LanguageError> {
        let fields = config.rope_parameters.as_ref().or(config.rope_scaling.as_ref());
        Parameters { theta: config.rope_theta.unwrap_or(theta), fields, config }.rotary()
    }

    /// That of the layers of one kind, for a model whose `rope_parameters` has an entry for each.
    pub(super) fn of_kind(config: &Config, kind: &str, theta: f64) -> Result<Self, LanguageError> {
        let fields = config.rope_parameters.as_ref().and_then(|all| all.get(kind));
        Parameters { theta, fields, config }.rotary()
    }

    /// Without any stretching.
    pub(super) fn plain(config: &Config, theta: f64) -> Result<Self, LanguageError> {
        Parameters { theta, fields: None, config }.rotary()
    }

    /// Cosines and sines for a position, each as long as `frequencies`.
    pub(super) fn at(&self, position: usize, cosines: &mut [f32], sines: &mut [f32]) {
        for ((frequency, cosine), sine) in self.frequencies.iter().zip(cosines).zip(sines) {
            // The angle is rounded as the models were trained with it.
            let angle = f64::from(position as f32 * frequency);
            (*cosine, *sine) = ((angle.cos() as f32) * self.factor, (angle.sin() as f32) * self.factor);
        }
    }
}

impl Parameters<'_> {
    fn number(&self, name: &str) -> Option<f64> {
        self.fields?.get(name)?.as_f64()
    }

    fn needed(&self, name: &str) -> Result<f64, LanguageError> {
        let number = self.number(name).filter(|number| number.is_finite() && *number > 0.0);
        number.ok_or_else(|| LanguageError::Config(format!("rope_parameters.{name} must be a number over 0")))
    }

    fn rotary(&self) -> Result<Rotary, LanguageError> {
        let theta = self.number("rope_theta").unwrap_or(self.theta);
        let part = self.number("partial_rotary_factor").or(self.config.partial_rotary_factor).unwrap_or(1.0);
        let turning = (self.config.head() as f64 * part) as usize;
        if turning == 0 || turning > self.config.head() || !turning.is_multiple_of(2) || theta <= 0.0 || !theta.is_finite() {
            return Err(LanguageError::Config(format!(
                "rope_theta {theta} cannot turn {turning} values of a head of {}",
                self.config.head()
            )));
        }
        let kind = ["rope_type", "type"].iter().find_map(|name| self.fields?.get(name)?.as_str()).unwrap_or("default");
        let plain: Vec<f64> = (0..turning / 2).map(|pair| theta.powf(-(2.0 * pair as f64) / turning as f64)).collect();
        let (frequencies, factor) = match kind {
            // The dynamic form changes nothing within the length that the model was trained for, which is what is served.
            "default" | "dynamic" | "mrope" => (plain, 1.0),
            "linear" => {
                let factor = self.needed("factor")?;
                (plain.iter().map(|frequency| frequency / factor).collect(), 1.0)
            }
            "llama3" => (self.llama3(&plain)?, 1.0),
            "yarn" => self.yarn(&plain, theta)?,
            other => {
                let known = "default, linear, dynamic, llama3 and yarn are known";
                return Err(LanguageError::Config(format!("rope_parameters.rope_type \"{other}\" is not built here; {known}")));
            }
        };
        Ok(Rotary { frequencies: frequencies.iter().map(|&frequency| frequency as f32).collect(), factor: factor as f32 })
    }

    fn trained_length(&self) -> Result<f64, LanguageError> {
        let other = || self.config.original_max_position_embeddings;
        self.number("original_max_position_embeddings").or_else(other).map_or_else(|| self.needed("original_max_position_embeddings"), Ok)
    }

    /// Of Llama 3.1: slow turns are stretched, fast ones are kept, and between them it goes over.
    fn llama3(&self, plain: &[f64]) -> Result<Vec<f64>, LanguageError> {
        let (factor, length) = (self.needed("factor")?, self.trained_length()?);
        let (low, high) = (self.needed("low_freq_factor")?, self.needed("high_freq_factor")?);
        Ok(plain
            .iter()
            .map(|frequency| {
                let turns = length * frequency / TAU;
                let kept = if high > low { ((turns - low) / (high - low)).clamp(0.0, 1.0) } else { f64::from(u8::from(turns > low)) };
                frequency * (kept + (1.0 - kept) / factor)
            })
            .collect())
    }

    /// Peng et al. 2023, "YaRN", section 3.
    fn yarn(&self, plain: &[f64], theta: f64) -> Result<(Vec<f64>, f64), LanguageError> {
        let length = self.trained_length()?;
        let stretched = self.config.max_position_embeddings.map(|most| most as f64 / length);
        let factor = self.number("factor").or(stretched).map_or_else(|| self.needed("factor"), Ok)?;
        let turning = 2.0 * plain.len() as f64;
        // The pair that turns so many times within the length.
        let pair_of = |turns: f64| turning * (length / (turns * TAU)).ln() / (2.0 * theta.ln());
        let (mut low, mut high) = (pair_of(self.number("beta_fast").unwrap_or(32.0)), pair_of(self.number("beta_slow").unwrap_or(1.0)));
        if self.fields.and_then(|fields| fields.get("truncate")).and_then(Value::as_bool).unwrap_or(true) {
            (low, high) = (low.floor(), high.ceil());
        }
        let (low, high) = (low.max(0.0), high.min(turning - 1.0));
        let width = if (high - low).abs() < f64::EPSILON { 0.001 } else { high - low };
        let stretch = |(pair, frequency): (usize, &f64)| {
            let slow = ((pair as f64 - low) / width).clamp(0.0, 1.0);
            frequency * (slow / factor + (1.0 - slow))
        };
        let growth = |scale: f64| if factor <= 1.0 { 1.0 } else { 0.1 * scale * factor.ln() + 1.0 };
        let attention = self.number("attention_factor").unwrap_or_else(|| match (self.number("mscale"), self.number("mscale_all_dim")) {
            (Some(one), Some(all)) if one != 0.0 && all != 0.0 => growth(one) / growth(all),
            _ => growth(1.0),
        });
        Ok((plain.iter().enumerate().map(stretch).collect(), attention))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        Config::read(text).unwrap()
    }

    #[test]
    fn both_forms_of_the_settings_mean_the_same() {
        let old = config(r#"{"head_dim": 8, "rope_theta": 5e5, "rope_scaling": {"type": "linear", "factor": 4.0}}"#);
        let new = config(r#"{"head_dim": 8, "rope_parameters": {"rope_type": "linear", "factor": 4.0, "rope_theta": 5e5}}"#);
        let rotary = Rotary::read(&old, 1e4).unwrap();
        assert_eq!(rotary, Rotary::read(&new, 1e4).unwrap());
        assert!((rotary.frequencies[0] - 0.25).abs() < 1e-7);
    }

    #[test]
    fn what_is_not_built_is_refused_by_name() {
        let of = |text: &str| Rotary::read(&config(text), 1e4).unwrap_err().to_string();
        assert!(of(r#"{"head_dim": 8, "rope_scaling": {"rope_type": "longrope"}}"#).contains("\"longrope\" is not built"));
        assert!(of(r#"{"head_dim": 8, "rope_scaling": {"rope_type": "llama3"}}"#).contains("rope_parameters.factor"));
        assert!(of(r#"{"head_dim": 7}"#).contains("cannot turn 7 values"));
        assert!(of(r#"{"head_dim": 8, "rope_theta": -1}"#).contains("rope_theta -1"));
    }

    #[test]
    fn llama3_keeps_fast_turns_and_stretches_slow_ones() {
        let text = r#"{"head_dim": 64, "rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
            "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}}"#;
        let stretched = Rotary::read(&config(text), 1e4).unwrap();
        let plain = Rotary::plain(&config(text), 5e5).unwrap();
        let ratios: Vec<f32> = plain.frequencies.iter().zip(&stretched.frequencies).map(|(plain, now)| plain / now).collect();
        assert!((ratios[0] - 1.0).abs() < 1e-6 && (ratios[31] - 8.0).abs() < 1e-5, "{ratios:?}");
        assert!(ratios.windows(2).all(|pair| pair[0] <= pair[1] + 1e-5), "it goes over without a turn: {ratios:?}");
    }
}
