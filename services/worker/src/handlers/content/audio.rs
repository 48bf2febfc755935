//! A recording in; its segments of speech out, each with a sound file of its own.

use std::collections::HashMap;

use torchmesh_api::{
    audio::v1::VoiceOptions as Wire,
    error::ApiError,
    inference::{InferParameter, infer_parameter::ParameterChoice},
};

use super::{Content, bytes, dimension, invalid, spec};
use crate::{
    audio::{Segment, wav},
    handlers::{
        audio::recording::{self, Judged},
        parameters::{number, whole},
    },
    manifest::TensorSpec,
    tensor::{Datatype, Tensor},
};

/// Where the clips are among the outputs.
const CLIP: usize = 2;

/// What is given of a recording.
pub(super) fn outputs() -> Vec<TensorSpec> {
    vec![
        spec("start_s", Datatype::Fp64, &[-1]),
        spec("end_s", Datatype::Fp64, &[-1]),
        spec("clip", Datatype::Bytes, &[-1]),
        spec("duration_s", Datatype::Fp64, &[1]),
        spec("mean_probability", Datatype::Fp32, &[1]),
    ]
}

/// Whether the sound has to be kept for them.
pub(super) fn clips_are_wanted(wanted: &[usize]) -> bool {
    wanted.is_empty() || wanted.contains(&CLIP)
}

/// What a request's parameters say of what counts as speech.
pub(super) fn options(parameters: &HashMap<String, InferParameter>) -> Result<Wire, ApiError> {
    let given = |name: &str| parameters.get(name).and_then(|given| given.parameter_choice.as_ref());
    let real = |name: &str| read(name, given(name), number, "a number");
    let millis = |name: &str| read(name, given(name), whole, "a whole number");
    Ok(Wire {
        threshold: real("threshold")?,
        neg_threshold: real("neg_threshold")?,
        min_speech_ms: millis("min_speech_ms")?,
        min_silence_ms: millis("min_silence_ms")?,
        speech_pad_ms: millis("speech_pad_ms")?,
        max_speech_s: real("max_speech_s")?,
    })
}

fn read<T>(
    name: &str,
    given: Option<&ParameterChoice>,
    read: fn(&ParameterChoice) -> Option<T>,
    what: &str,
) -> Result<Option<T>, ApiError> {
    given.map(|choice| read(choice).ok_or_else(|| invalid(format!("parameters[{name}]: send {what}")))).transpose()
}

/// What the model hears in it.
pub(super) async fn detect(content: Content<'_>, options: &Wire, clips: bool) -> Result<Vec<Tensor>, ApiError> {
    let Content { front, model, info, spending, mut elements } = content;
    // It was checked to be one.
    let file = elements.pop().unwrap_or_default();
    let Judged { found, probabilities, heard, settings } =
        recording::judge(front, model, &info, spending, file, Some(options), clips).await?;
    let rate = settings.sample_rate;
    let seconds = |at: fn(&Segment) -> u64| found.iter().map(|found| at(found) as f64 / f64::from(rate)).collect::<Vec<_>>();
    let mean = probabilities.iter().map(|one| f64::from(*one)).sum::<f64>() / probabilities.len().max(1) as f64;
    let clip = |found: &Segment| {
        let [from, to] = [found.start, found.end].map(|sample| usize::try_from(sample).unwrap_or(usize::MAX).min(heard.sound.len()));
        wav(&heard.sound[from..to], rate)
    };
    let clips: Vec<Vec<u8>> = if clips { found.iter().map(clip).collect() } else { Vec::new() };
    Ok(vec![
        reals(&seconds(|found| found.start)),
        reals(&seconds(|found| found.end)),
        bytes([dimension(clips.len())], clips.iter().map(Vec::as_slice)),
        reals(&[heard.frames as f64 / f64::from(heard.rate)]),
        Tensor::from_f32s([1], &[mean as f32]),
    ])
}

/// A row of FP64.
fn reals(values: &[f64]) -> Tensor {
    let data = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    Tensor { datatype: Datatype::Fp64, shape: vec![dimension(values.len())], data }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_counts_as_speech_is_read_from_the_parameters_and_a_wrong_one_is_named() {
        let with = |name: &str, choice| [(name.to_owned(), InferParameter { parameter_choice: Some(choice) })].into();
        let asked = options(&with("threshold", ParameterChoice::DoubleParam(0.7))).unwrap();
        assert_eq!(asked, Wire { threshold: Some(0.7), ..Default::default() });
        let asked = options(&with("min_silence_ms", ParameterChoice::Int64Param(20))).unwrap();
        assert_eq!(asked, Wire { min_silence_ms: Some(20), ..Default::default() });
        let refused = options(&with("min_silence_ms", ParameterChoice::BoolParam(true))).unwrap_err().message;
        assert_eq!(refused, "parameters[min_silence_ms]: send a whole number");
    }

    #[test]
    fn sound_is_kept_only_for_those_who_want_clips() {
        assert!(clips_are_wanted(&[]) && clips_are_wanted(&[0, CLIP]) && !clips_are_wanted(&[0, 1]));
        assert_eq!(outputs()[CLIP].name, "clip");
    }
}
