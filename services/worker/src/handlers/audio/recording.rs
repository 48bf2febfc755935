//! `DetectVoice`: a file in, segments of speech out.

use std::time::Instant;

use bytes::Bytes;
use torchmesh_api::{
    audio::v1::{DetectVoiceRequest, DetectVoiceResponse, VoiceSegment},
    error::ApiError,
    usage::Figures,
};

use super::{CallInfo, Front, Spending, check_id, forward::Listener, invalid, options::options, unfit};
use crate::{
    audio::{Segment, VoiceSettings, Windows, decode, memory, segments},
    manifest::Task,
    models::Model,
};

/// A recording at the model's rate.
struct Heard {
    windows: Windows,
    /// Samples at the model's rate.
    length: u64,
    /// Samples and rate of the file.
    frames: u64,
    rate: u32,
}

pub(super) async fn run(
    front: &Front,
    model: &Model,
    info: CallInfo,
    spending: &Spending,
    request: DetectVoiceRequest,
) -> Result<DetectVoiceResponse, ApiError> {
    let serving = model.serving()?;
    let task = &serving.manifest.task;
    let Task::DetectVoice(settings) = task else { return Err(unfit(model, task.word(), "detect voice")) };
    check_id(&request.id)?;
    let options = options(request.options.as_ref(), settings.options)?;
    let mut heard = heard(front, model, request.audio, settings).await?;
    let mut listener = Listener::new(serving, settings, &info, spending);
    let mut probabilities = Vec::with_capacity(heard.windows.ready());
    while heard.windows.ready() > 0 {
        probabilities.extend(listener.hear(&mut heard.windows).await?);
    }
    let audio_ms = heard.frames * 1000 / u64::from(heard.rate.max(1));
    spending.count(Figures { items: 1, audio_ms, ..Figures::default() });
    let found = segments(&probabilities, heard.length, settings.clock(), &options);
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

/// Decodes the file on the decoding threads.
async fn heard(front: &Front, model: &Model, file: Bytes, settings: &VoiceSettings) -> Result<Heard, ApiError> {
    let wrong = |error: &dyn std::fmt::Display| invalid(format!("audio {error}"));
    let needed = memory(&file, settings.limits, settings.sample_rate).map_err(|error| wrong(&error))?;
    let admission = front.decoders.admit(needed)?;
    let (limits, rate, seconds) = (settings.limits, settings.sample_rate, model.metrics.decode_seconds.clone());
    let mut windows = Windows::new(settings.window, settings.context);
    let decoded = front.decoders.run(&admission, move || {
        let began = Instant::now();
        let before = windows.input().len();
        let played = decode(&file, limits, rate, windows.input()).map_err(|error| wrong(&error))?;
        let length = (windows.input().len() - before) as u64;
        windows.finish();
        seconds.observe(began.elapsed().as_secs_f64());
        Ok(Heard { windows, length, frames: played.frames as u64, rate: played.rate })
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
