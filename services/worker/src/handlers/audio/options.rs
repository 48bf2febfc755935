//! What a caller wants otherwise than the model's manifest has it.

use torchmesh_api::{audio::v1::VoiceOptions as Wire, error::ApiError};

use super::invalid;
use crate::audio::VoiceOptions;

/// The longest of the times that are given in milliseconds.
const MAX_MS: u32 = 600_000;

/// The model's own options, with what the caller wants otherwise.
pub(super) fn options(asked: Option<&Wire>, own: VoiceOptions) -> Result<VoiceOptions, ApiError> {
    let Some(asked) = asked else { return Ok(own) };
    let threshold = asked.threshold.unwrap_or(own.threshold);
    if !(threshold > 0.0 && threshold < 1.0) {
        return Err(invalid(format!("options.threshold is {threshold}; send a number above 0 and below 1")));
    }
    // The model's own lower threshold belongs to its own upper one.
    let neg_threshold = asked.neg_threshold.or(own.neg_threshold.filter(|_| asked.threshold.is_none()));
    if let Some(value) = neg_threshold.filter(|value| !(*value > 0.0 && *value <= threshold)) {
        return Err(invalid(format!("options.neg_threshold is {value}; send a number above 0 and at most the threshold, {threshold}")));
    }
    let max_speech_s = asked.max_speech_s.unwrap_or(own.max_speech_s);
    if max_speech_s.is_nan() || max_speech_s <= 0.0 {
        return Err(invalid(format!("options.max_speech_s is {max_speech_s}; send a number above 0")));
    }
    Ok(VoiceOptions {
        threshold,
        neg_threshold,
        min_speech_ms: milliseconds("min_speech_ms", asked.min_speech_ms, own.min_speech_ms)?,
        min_silence_ms: milliseconds("min_silence_ms", asked.min_silence_ms, own.min_silence_ms)?,
        speech_pad_ms: milliseconds("speech_pad_ms", asked.speech_pad_ms, own.speech_pad_ms)?,
        max_speech_s,
    })
}

/// As [`options`], for live audio.
pub(super) fn live(asked: Option<&Wire>, own: VoiceOptions) -> Result<VoiceOptions, ApiError> {
    let judged_at_the_end = [
        ("min_speech_ms", asked.is_some_and(|asked| asked.min_speech_ms.is_some())),
        ("max_speech_s", asked.is_some_and(|asked| asked.max_speech_s.is_some())),
    ];
    match judged_at_the_end.iter().find(|(_, given)| *given) {
        Some((field, _)) => Err(invalid(format!("options.{field} is for recordings; leave it out for live audio"))),
        None => options(asked, own),
    }
}

fn milliseconds(field: &str, asked: Option<u32>, own: u64) -> Result<u64, ApiError> {
    match asked {
        Some(asked) if asked > MAX_MS => Err(invalid(format!("options.{field} is {asked}; send at most {MAX_MS}"))),
        asked => Ok(asked.map_or(own, u64::from)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWN: VoiceOptions = VoiceOptions {
        threshold: 0.5,
        neg_threshold: Some(0.4),
        min_speech_ms: 250,
        min_silence_ms: 100,
        speech_pad_ms: 30,
        max_speech_s: f64::INFINITY,
    };

    #[test]
    fn what_is_not_asked_for_is_the_models_own() {
        assert_eq!(options(None, OWN).unwrap(), OWN);
        let asked = options(Some(&Wire { threshold: Some(0.3), min_silence_ms: Some(0), ..Wire::default() }), OWN).unwrap();
        assert_eq!(asked, VoiceOptions { threshold: 0.3, neg_threshold: None, min_silence_ms: 0, ..OWN });
    }

    #[test]
    fn every_wrong_option_is_named() {
        for (asked, part) in [
            (Wire { threshold: Some(f64::NAN), ..Wire::default() }, "options.threshold is NaN"),
            (Wire { neg_threshold: Some(0.6), ..Wire::default() }, "options.neg_threshold is 0.6"),
            (Wire { speech_pad_ms: Some(700_000), ..Wire::default() }, "options.speech_pad_ms is 700000"),
            (Wire { max_speech_s: Some(0.0), ..Wire::default() }, "options.max_speech_s is 0"),
        ] {
            let refused = options(Some(&asked), OWN).unwrap_err().message;
            assert!(refused.contains(part), "{part:?} is missing in {refused:?}");
        }
        let refused = live(Some(&Wire { min_speech_ms: Some(1), ..Wire::default() }), OWN).unwrap_err().message;
        assert!(refused.contains("options.min_speech_ms is for recordings"), "{refused}");
    }
}
