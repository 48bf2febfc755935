//! `DetectVoiceLive`: sound comes while it is made, and an event goes out at each start and end of speech.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use futures_util::Stream;
use tokio::{sync::mpsc, time::timeout};
use tonic::{Response, Status, Streaming};
use torchmesh_api::{
    audio::v1::{
        AudioEncoding, DetectVoiceLiveRequest, DetectVoiceLiveResponse, LiveBegun, LiveFormat, VoiceEdge, detect_voice_live_response::Event,
    },
    error::{ApiError, ErrorKind},
    usage::Figures,
};

use super::{CallInfo, Front, Outcome, Routed, Spending, check_id, forward::Listener, invalid, options, unfit};
use crate::{
    audio::{Edge, Edges, Encoding, Pcm, Resampler, VoiceOptions, VoiceSettings, Windows},
    handlers::{answer::used, driven::driven, stream::until},
    manifest::Task,
    models::{Intake, Model},
};

/// How long a stream may take to say what it is about.
const FIRST_MESSAGE: Duration = Duration::from_secs(30);
/// The longest chunk, in bytes.
const MAX_CHUNK: usize = 1 << 20;
/// Events that wait for a caller who does not read; the stream is heard no further until they are read.
const EVENTS: usize = 16;

type Events = mpsc::Sender<DetectVoiceLiveResponse>;

/// Reads the first message, and gives the stream of events. What is wrong with the first message is the call's own error.
///
/// Everything that a stream holds (the model, the state, a place among the model's streams) lives in the stream of events, and goes with it when
/// the caller leaves.
pub(super) async fn begin(
    front: Arc<Front>,
    routed: Routed,
    info: CallInfo,
    mut messages: Streaming<DetectVoiceLiveRequest>,
) -> Result<Response<impl Stream<Item = Result<DetectVoiceLiveResponse, Status>> + Send + 'static>, Status> {
    let first = timeout(FIRST_MESSAGE, messages.message()).await.map_err(|_| Status::from(silent(FIRST_MESSAGE)))??;
    let first = first.ok_or_else(|| invalid("the stream is empty; send a first message with the model's name"))?;
    let model = front.find(&routed, &first.model, &first.model_version)?;
    let deadline = info.deadline;
    let plan = Plan::of(&model, &first)?;
    let (events, receiver) = mpsc::channel(EVENTS);
    let listened = Arc::clone(&model);
    // How much comes only the caller knows; what a second of it takes is known now.
    let heard = Figures { items: 1, audio_rate: u64::from(plan.rate) * plan.pcm.frame() as u64, ..Figures::default() };
    let work = async move {
        let outcome = Outcome::begin(&*model, info.deadline);
        let heard = hear(&front, &model, &info, plan, first, messages, events).await;
        outcome.end(heard).map_err(Status::from)
    };
    Ok(used(until(deadline, driven(work, receiver)), heard, &listened))
}

fn silent(patience: Duration) -> ApiError {
    let message = format!("the stream has sent nothing for {} s; send audio, or close your side when it has ended", patience.as_secs_f64());
    ApiError::new(ErrorKind::DeadlineExceeded, message)
}

/// What the first message says, checked.
struct Plan {
    settings: VoiceSettings,
    options: VoiceOptions,
    pcm: Pcm,
    rate: u32,
    resampler: Resampler,
    /// Its place among the model's streams, given back when the stream ends.
    _place: tokio::sync::OwnedSemaphorePermit,
}

impl Plan {
    fn of(model: &Model, first: &DetectVoiceLiveRequest) -> Result<Self, ApiError> {
        let serving = model.serving()?;
        let task = &serving.manifest.task;
        let (Task::DetectVoice(settings), Intake::Voice(places)) = (task, &serving.intake) else {
            return Err(unfit(model, task.word(), "detect voice"));
        };
        check_id(&first.id)?;
        let options = options::live(first.options.as_ref(), settings.options)?;
        let (pcm, rate) = format(&first.format.unwrap_or_default())?;
        let resampler = Resampler::new(rate, settings.sample_rate).map_err(|error| invalid(format!("format.sample_rate: {error}")))?;
        let place = Arc::clone(places).try_acquire_owned().map_err(|_| {
            let message = format!("{} streams are open already, as many as this model takes at once; try again", settings.max_streams);
            ApiError::new(ErrorKind::ResourceExhausted, message).retry_after(Duration::from_secs(1))
        })?;
        Ok(Self { settings: settings.clone(), options, pcm, rate, resampler, _place: place })
    }
}

fn format(format: &LiveFormat) -> Result<(Pcm, u32), ApiError> {
    let encoding = match AudioEncoding::try_from(format.encoding) {
        Ok(AudioEncoding::Unspecified | AudioEncoding::PcmS16le) => Encoding::S16,
        Ok(AudioEncoding::PcmF32le) => Encoding::F32,
        Err(_) => return Err(invalid(format!("format.encoding is {}; send 1 (16-bit) or 2 (32-bit floats)", format.encoding))),
    };
    let or = |value: u32, default: u32| if value == 0 { default } else { value };
    let (rate, channels) = (or(format.sample_rate, 16_000), or(format.channels, 1));
    if !(4_000..=384_000).contains(&rate) {
        return Err(invalid(format!("format.sample_rate is {rate}; send 4000 to 384000")));
    }
    if channels > 32 {
        return Err(invalid(format!("format.channels is {channels}; send 1 to 32")));
    }
    Ok((Pcm { encoding, channels: channels as usize }, rate))
}

/// Sound on its way into windows.
struct Ear {
    pcm: Pcm,
    resampler: Resampler,
    windows: Windows,
    /// Samples that came, at the stream's rate.
    frames: u64,
    /// Samples made of them, at the model's.
    length: u64,
}

impl Ear {
    fn take(&mut self, audio: &[u8]) -> Result<(), ApiError> {
        let samples = self.pcm.read(audio).map_err(|error| invalid(format!("audio {error} of the message")))?;
        self.frames += samples.len() as u64;
        let before = self.windows.input().len();
        self.resampler.push(&samples, self.windows.input());
        self.length += (self.windows.input().len() - before) as u64;
        Ok(())
    }

    fn finish(&mut self) {
        let before = self.windows.input().len();
        self.resampler.finish(self.windows.input());
        self.length += (self.windows.input().len() - before) as u64;
        self.windows.finish();
    }
}

async fn hear(
    front: &Front,
    model: &Model,
    info: &CallInfo,
    plan: Plan,
    first: DetectVoiceLiveRequest,
    mut messages: Streaming<DetectVoiceLiveRequest>,
    events: Events,
) -> Result<(), ApiError> {
    let Plan { settings, options, pcm, rate, resampler, _place } = plan;
    let (name, version) = (model.name.to_string(), model.version_text.clone());
    say(&events, Event::Begun(LiveBegun { model: name, model_version: version, id: first.id })).await;
    let windows = Windows::new(settings.window, settings.context);
    let mut ear = Ear { pcm, resampler, windows, frames: 0, length: 0 };
    let mut edges = Edges::new(settings.clock(), &options);
    // The headers of a stream have left long before its time is spent.
    let spending = Spending::default();
    let mut listener = Listener::new(model.serving()?, &settings, info, &spending);
    let mut next = Some(first.audio);
    while let Some(audio) = next {
        ear = decoded(front, model, ear, audio).await?;
        judge(&mut listener, &mut ear, &mut edges, rate, &settings, &events).await?;
        next = match timeout(settings.idle_timeout, messages.message()).await {
            Err(_) => return Err(silent(settings.idle_timeout)),
            Ok(message) => message.map_err(ApiError::from)?.map(|message| message.audio),
        };
    }
    ear.finish();
    judge(&mut listener, &mut ear, &mut edges, rate, &settings, &events).await?;
    if let Some(edge) = edges.finish(ear.length) {
        say(&events, event(edge, rate, &settings, ear.frames)).await;
    }
    Ok(())
}

/// Reads and resamples a chunk on the decoding threads.
async fn decoded(front: &Front, model: &Model, mut ear: Ear, audio: Bytes) -> Result<Ear, ApiError> {
    if audio.is_empty() {
        return Ok(ear);
    }
    if audio.len() > MAX_CHUNK {
        return Err(invalid(format!("audio has {} bytes; send at most {MAX_CHUNK} at once", audio.len())));
    }
    let frame = ear.pcm.frame();
    if !audio.len().is_multiple_of(frame) {
        return Err(invalid(format!("audio has {} bytes, and a frame of this stream has {frame}; send whole frames", audio.len())));
    }
    let admission = front.decoders.admit(audio.len() * 8)?;
    let seconds = model.metrics.decode_seconds.clone();
    let work = move || {
        let began = Instant::now();
        ear.take(&audio)?;
        seconds.observe(began.elapsed().as_secs_f64());
        Ok(ear)
    };
    front.decoders.run(&admission, work).await
}

/// Has the model hear every whole window, and says what begins and ends.
async fn judge(
    listener: &mut Listener<'_>,
    ear: &mut Ear,
    edges: &mut Edges,
    rate: u32,
    settings: &VoiceSettings,
    events: &Events,
) -> Result<(), ApiError> {
    while ear.windows.ready() > 0 {
        for probability in listener.hear(&mut ear.windows).await? {
            if let Some(edge) = edges.hear(probability) {
                say(events, event(edge, rate, settings, ear.frames)).await;
            }
        }
    }
    Ok(())
}

/// Waits until there is room. A caller who has gone takes this work along, so that nothing is to be done about it here.
async fn say(events: &Events, event: Event) {
    let _ = events.send(DetectVoiceLiveResponse { event: Some(event) }).await;
}

/// An edge in seconds, and in samples of the stream, of which `frames` have come.
fn event(edge: Edge, rate: u32, settings: &VoiceSettings, frames: u64) -> Event {
    let at = |sample: u64| VoiceEdge {
        at_s: sample as f64 / f64::from(settings.sample_rate),
        at_sample: (sample * u64::from(rate) / u64::from(settings.sample_rate)).min(frames),
    };
    match edge {
        Edge::Start(sample) => Event::Start(at(sample)),
        Edge::End(sample) => Event::End(at(sample)),
    }
}
