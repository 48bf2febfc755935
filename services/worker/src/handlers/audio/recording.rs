//! `DetectVoice`: a file in, segments of speech out.

use std::time::Instant;

use bytes::Bytes;
use torchmesh_api::{
    audio::v1::{DetectVoiceRequest, DetectVoiceResponse, VoiceOptions as Wire, VoiceSegment},
    error::ApiError,
    usage::Figures,
};

use super::{CallInfo, Front, Spending, check_id, forward::Listener, invalid, options::options, unfit};
use crate::{
    audio::{Segment, VoiceSettings, Windows, decode, memory, segments, sixteen_bits},
    manifest::Task,
    models::Model,
};

/// A recording at the model's rate.
pub(in crate::handlers) struct Heard {
    windows: Windows,
    /// Samples at the model's rate.
    length: u64,
    /// Those samples, where they are to be kept.
    pub(in crate::handlers) sound: Vec<i16>,
    /// Samples of the file.
    pub(in crate::handlers) frames: u64,
    /// And its rate.
    pub(in crate::handlers) rate: u32,
}

/// What the model has heard in a recording.
pub(in crate::handlers) struct Judged<'a> {
    /// Speech.
    pub(in crate::handlers) found: Vec<Segment>,
    /// Of speech, one a window.
    pub(in crate::handlers) probabilities: Vec<f32>,
    pub(in crate::handlers) heard: Heard,
    pub(in crate::handlers) settings: &'a VoiceSettings,
}

pub(super) async fn run(
    front: &Front,
    model: &Model,
    info: CallInfo,
    spending: &Spending,
    request: DetectVoiceRequest,
) -> Result<DetectVoiceResponse, ApiError> {
    check_id(&request.id)?;
    let Judged { found, probabilities, heard, settings } =
        judge(front, model, &info, spending, request.audio, request.options.as_ref(), false).await?;
    Ok(DetectVoiceResponse {
        model: model.name.to_string(),
        model_version: model.version_text.clone(),
        id: request.id,
        segments: found.into_iter().map(|found| segment(found, settings, &heard)).collect(),
        duration_s: heard.frames as f64 / f64::from(heard.rate),
        sample_rate: heard.rate,
        window_s: settings.window as f64 / f64::from(settings.sample_rate),
        probabilities: if request.probabilities { probabilities } else { Vec::new() },
    })
}

/// Has the model hear a file; `keep` says whether its sound is wanted afterwards.
pub(in crate::handlers) async fn judge<'a>(
    front: &Front,
    model: &'a Model,
    info: &CallInfo,
    spending: &Spending,
    file: Bytes,
    asked: Option<&Wire>,
    keep: bool,
) -> Result<Judged<'a>, ApiError> {
    let serving = model.serving()?;
    let task = &serving.manifest.task;
    let Task::DetectVoice(settings) = task else { return Err(unfit(model, task.word(), "detect voice")) };
    let options = options(asked, settings.options)?;
    let mut heard = heard(front, model, file, settings, keep).await?;
    let mut listener = Listener::new(serving, settings, info, spending);
    let mut probabilities = Vec::with_capacity(heard.windows.ready());
    while heard.windows.ready() > 0 {
        probabilities.extend(listener.hear(&mut heard.windows).await?);
    }
    let audio_ms = heard.frames * 1000 / u64::from(heard.rate.max(1));
    spending.count(Figures { items: 1, audio_ms, ..Figures::default() });
    let found = segments(&probabilities, heard.length, settings.clock(), &options);
    Ok(Judged { found, probabilities, heard, settings })
}

/// Decodes the file on the decoding threads.
async fn heard(front: &Front, model: &Model, file: Bytes, settings: &VoiceSettings, keep: bool) -> Result<Heard, ApiError> {
    let wrong = |error: &dyn std::fmt::Display| invalid(format!("audio {error}"));
    let needed = memory(&file, settings.limits, settings.sample_rate).map_err(|error| wrong(&error))?;
    // Sixteen bits of what has two times 32.
    let admission = front.decoders.admit(if keep { needed + needed / 4 } else { needed })?;
    let (limits, rate, seconds) = (settings.limits, settings.sample_rate, model.metrics.decode_seconds.clone());
    let mut windows = Windows::new(settings.window, settings.context);
    let decoded = front.decoders.run(&admission, move || {
        let began = Instant::now();
        let before = windows.input().len();
        let played = decode(&file, limits, rate, windows.input()).map_err(|error| wrong(&error))?;
        let made = &windows.input()[before..];
        let length = made.len() as u64;
        let sound = if keep { made.iter().map(|sample| sixteen_bits(*sample)).collect() } else { Vec::new() };
        windows.finish();
        seconds.observe(began.elapsed().as_secs_f64());
        Ok(Heard { windows, length, sound, frames: played.frames as u64, rate: played.rate })
    });
    decoded.await
}

/// A segment in seconds, and in samples of the file.
fn segment(found: Segment, settings: &VoiceSettings, heard: &Heard) -> VoiceSegment {
    let own = |sample: u64| (sample * u64::from(heard.rate) / u64::from(settings.sample_rate)).min(heard.frames);
    let seconds = |sample: u64| sample as f64 / f64::from(settings.sample_rate);
    VoiceSegment {
        start_s: seconds(found.start),
        end_s: seconds(found.end),
        start_sample: own(found.start),
        end_sample: if found.end == heard.length { heard.frames } else { own(found.end) },
    }
}
