//! `[voice]`: how a model of voice activity hears.

use std::time::Duration;

use torchmesh_runtime::config::{ByteSize, Section};

use super::{TensorSpec, read::within};
use crate::{
    audio::{Limits, VoiceOptions, VoiceSettings},
    tensor::Datatype,
};

/// The defaults are those of silero-vad at 16 kHz.
pub(super) fn voice(s: &mut Section) -> VoiceSettings {
    s.section("voice", |s| {
        let sample_rate = s.or("sample_rate", 16_000);
        s.check(
            (8_000..=48_000).contains(&sample_rate) && sample_rate % 1000 == 0,
            "sample_rate",
            "must be from 8000 to 48000, in thousands",
        );
        let window = within(s, "window", 512, 32..=16_384);
        let settings = VoiceSettings {
            sample_rate,
            window,
            context: within(s, "context", 64, 0..=window),
            state: s.or("state", vec![2_usize, 128]).into_iter().map(|dim| i64::try_from(dim).unwrap_or(0)).collect(),
            block: within(s, "block", 32, 1..=1024),
            options: options(s),
            limits: limits(s),
            max_streams: within(s, "max_streams", 256, 1..=100_000),
            idle_timeout: s.or("idle_timeout", Duration::from_secs(30)),
        };
        let elements = settings.state.iter().try_fold(1_i64, |product, dim| product.checked_mul(*dim));
        s.check(
            elements.is_some_and(|count| (1..=1 << 20).contains(&count)),
            "state",
            "must be the dimensions of one stream's state, without the batch",
        );
        let patience = Duration::from_millis(100)..=Duration::from_secs(3600);
        s.check(patience.contains(&settings.idle_timeout), "idle_timeout", "must be from 100ms to 1h");
        settings
    })
}

fn options(s: &mut Section) -> VoiceOptions {
    let threshold = s.or("threshold", 0.5);
    s.check(threshold > 0.0 && threshold < 1.0, "threshold", "must be above 0 and below 1");
    let neg_threshold = s.optional::<f64>("neg_threshold");
    s.check(neg_threshold.is_none_or(|value| value > 0.0 && value <= threshold), "neg_threshold", "must be above 0 and at most threshold");
    let mut milliseconds = |key: &str, default: usize| within(s, key, default, 0..=600_000) as u64;
    VoiceOptions {
        threshold,
        neg_threshold,
        min_speech_ms: milliseconds("min_speech_ms", 250),
        min_silence_ms: milliseconds("min_silence_ms", 100),
        speech_pad_ms: milliseconds("speech_pad_ms", 30),
        max_speech_s: f64::INFINITY,
    }
}

fn limits(s: &mut Section) -> Limits {
    let ByteSize(max_bytes) = s.or("max_bytes", ByteSize::mib(64));
    s.check(max_bytes >= 1024, "max_bytes", "must be at least 1KiB");
    let max_seconds = within(s, "max_seconds", 3600, 1..=86_400);
    Limits { max_bytes, max_seconds: u32::try_from(max_seconds).unwrap_or(3600) }
}

/// The windows of a stream, one after the other, and its state before them.
pub(super) fn inputs(voice: &VoiceSettings) -> Vec<TensorSpec> {
    let width = i64::try_from(voice.width()).unwrap_or(i64::MAX);
    vec![tensor("audio", vec![-1, -1, width]), state(voice)]
}

/// A probability for each window, and the state behind them.
pub(super) fn outputs(voice: &VoiceSettings) -> Vec<TensorSpec> {
    vec![tensor("probability", vec![-1, -1]), state(voice)]
}

fn state(voice: &VoiceSettings) -> TensorSpec {
    tensor("state", [-1].into_iter().chain(voice.state.iter().copied()).collect())
}

fn tensor(name: &str, shape: Vec<i64>) -> TensorSpec {
    TensorSpec { name: name.to_owned(), datatype: Datatype::Fp32, shape, pad: None }
}

#[cfg(test)]
mod tests {
    use super::super::{Manifest, Published, Task};

    fn parse(text: &str) -> Result<Manifest, String> {
        Manifest::parse(text, &Published::default()).map_err(|problems| problems.to_string())
    }

    #[test]
    fn one_line_is_enough_for_silero_vad() {
        let manifest = parse("task = 'detect-voice'").unwrap();
        let Task::DetectVoice(voice) = &manifest.task else { panic!("{:?}", manifest.task) };
        assert_eq!((voice.sample_rate, voice.window, voice.context, voice.options.min_speech_ms), (16_000, 512, 64, 250));
        assert_eq!(manifest.inputs[0].shape, [-1, -1, 576]);
        assert_eq!(
            (manifest.inputs[1].shape.as_slice(), manifest.outputs[0].shape.as_slice()),
            ([-1, 2, 128].as_slice(), [-1, -1].as_slice())
        );
        assert!(!manifest.pads(), "a padded window would change the state");
        assert_eq!(manifest.warmup.lengths, [1, 32]);
    }

    #[test]
    fn every_mistake_is_in_one_report() {
        let report = parse(
            "task = 'detect-voice'\n[voice]\nsample_rate = 44100\nthreshold = 1.0\nneg_threshold = 2.0\nidle_timeout = '1ms'\nstate = []",
        )
        .unwrap_err();
        for part in [
            "voice.sample_rate: must be from",
            "voice.threshold: must be above 0",
            "voice.neg_threshold: must be",
            "voice.idle_timeout: must be",
        ] {
            assert!(report.contains(part), "{part:?} is missing in:\n{report}");
        }
    }

    #[test]
    fn a_state_is_too_large_even_where_the_count_of_its_numbers_begins_again_at_one() {
        for state in ["[274177, 67280421310721]", "[1024, 1025]"] {
            let report = parse(&format!("task = 'detect-voice'\n[voice]\nstate = {state}")).unwrap_err();
            assert!(report.contains("voice.state: must be"), "{report}");
        }
    }
}
