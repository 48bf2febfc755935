//! What one call has used so far.

use std::sync::{
    Arc, OnceLock,
    atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue};
use parking_lot::Mutex;
use tonic::Code;
use torchmesh_api::{
    error::ErrorKind,
    headers::{X_CACHE, X_TORCHMESH_COMPUTE_US, X_TORCHMESH_USAGE},
    ids::ModelName,
    method,
    peek::{self, Peek},
    usage::{Figures, Usage},
};

use crate::redaction::kind::Counts;

/// The figures, at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Units {
    /// Tokens that were read.
    pub prompt_tokens: u64,
    /// Of those, how many were in the cache.
    pub cached_tokens: u64,
    /// Tokens that were written and passed on.
    pub completion_tokens: u64,
    /// Inputs: texts, images, rows of tensors.
    pub items: u64,
    /// Sound that was heard, in milliseconds.
    pub audio_ms: u64,
    /// Bytes of the request's body.
    pub bytes_in: u64,
    /// Bytes of the answer's body.
    pub bytes_out: u64,
    /// How long the batches took that the call's rows ran in, where the worker says it.
    pub compute_us: u64,
}

/// Which model answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// Its name.
    pub model: Arc<str>,
    /// Its version.
    pub version: Arc<str>,
}

/// One call's figures, as `Arc<Measured>` in the extensions of its request: they grow until the last byte of its answer.
#[derive(Debug, Default)]
pub struct Measured {
    prompt_tokens: AtomicU64,
    cached_tokens: AtomicU64,
    completion_tokens: AtomicU64,
    items: AtomicU64,
    audio_ms: AtomicU64,
    audio_rate: AtomicU64,
    bytes_in: AtomicU64,
    bytes_out: AtomicU64,
    compute_us: AtomicU64,
    asked: OnceLock<ModelName>,
    answered: OnceLock<Answered>,
    failed: OnceLock<ErrorKind>,
    /// What was said of the call's answers: [`HIT`], [`MISS`], [`UNKEPT`], or several.
    cache: AtomicU8,
    /// Values of personal data that were replaced in its questions, where there were any.
    redacted: OnceLock<Mutex<Counts>>,
}

/// One was kept from an earlier call.
const HIT: u8 = 1;
/// One was not, and may be from now on.
const MISS: u8 = 2;
/// One is not kept.
const UNKEPT: u8 = 4;

impl Measured {
    /// What has been used so far.
    pub fn units(&self) -> Units {
        let bytes_in = self.bytes_in.load(Relaxed);
        // A live stream of sound is heard as it comes.
        let live_ms = (bytes_in * 1000).checked_div(self.audio_rate.load(Relaxed)).unwrap_or(0);
        Units {
            prompt_tokens: self.prompt_tokens.load(Relaxed),
            cached_tokens: self.cached_tokens.load(Relaxed),
            completion_tokens: self.completion_tokens.load(Relaxed),
            items: self.items.load(Relaxed),
            audio_ms: self.audio_ms.load(Relaxed) + live_ms,
            bytes_in,
            bytes_out: self.bytes_out.load(Relaxed),
            compute_us: self.compute_us.load(Relaxed),
        }
    }

    /// Whether all of the answer was kept from earlier calls; `None` where nobody keeps answers.
    pub fn from_cache(&self) -> Option<bool> {
        match self.cache.load(Relaxed) {
            0 | UNKEPT => None,
            HIT => Some(true),
            _ => Some(false),
        }
    }

    /// How many values of personal data were replaced; `None` where there was none.
    pub fn redacted(&self) -> Option<Counts> {
        self.redacted.get().map(|counts| *counts.lock())
    }

    /// The model that was asked for, where the call names one; it need not exist.
    pub fn asked(&self) -> Option<&ModelName> {
        self.asked.get()
    }

    /// The model and version that answered; of several answers, the first one's.
    pub fn answered(&self) -> Option<&Answered> {
        self.answered.get()
    }

    /// How a stream failed that had begun, where its caller is told in another way than by a code.
    pub fn failed(&self) -> Option<Code> {
        self.failed.get().map(|kind| kind.code())
    }

    /// Notes that a stream failed.
    pub(crate) fn fails(&self, kind: ErrorKind) {
        // The first one stays.
        let _ = self.failed.set(kind);
    }

    /// Notes which model the call asks for.
    pub(crate) fn asks_for(&self, model: &ModelName) {
        // The first one stays.
        let _ = self.asked.set(model.clone());
    }

    /// Notes which model a call of ours asks for, by the beginning of its message.
    pub(crate) fn asks(&self, path: &str, framed: Option<&Bytes>) {
        let names_a_model = method::find(path).is_some_and(|method| method.names_a_model);
        if let (true, Some(Peek::Found(routing))) = (names_a_model, framed.map(|framed| peek::routing(framed, false)))
            && let Ok(model) = ModelName::parse(routing.name)
        {
            self.asks_for(&model);
        }
    }

    /// Notes which model answers.
    pub(crate) fn is_answered_by(&self, model: &str, version: &str) {
        self.answered.get_or_init(|| Answered { model: model.into(), version: version.into() });
    }

    /// Adds what an answer's headers say, and gives the figures.
    pub(crate) fn head(&self, headers: &HeaderMap) -> Figures {
        let text = |name: HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
        if let Some(micros) = text(X_TORCHMESH_COMPUTE_US).and_then(|text| text.parse().ok()) {
            self.compute_us.fetch_add(micros, Relaxed);
        }
        let Some(usage) = text(X_TORCHMESH_USAGE).and_then(Usage::parse) else { return Figures::default() };
        self.is_answered_by(usage.model, usage.version);
        self.change(Figures::default(), usage.figures);
        let cache = match headers.get(X_CACHE).map(HeaderValue::as_bytes) {
            Some(b"hit") => HIT,
            Some(_) => MISS,
            None => UNKEPT,
        };
        self.cache.fetch_or(cache, Relaxed);
        self.audio_rate.fetch_max(usage.figures.audio_rate, Relaxed);
        usage.figures
    }

    /// Takes out the figures of `before` and adds those of `now`.
    pub(crate) fn change(&self, before: Figures, now: Figures) {
        let change = |figure: &AtomicU64, before: u64, now: u64| {
            if now != before {
                figure.fetch_add(now.wrapping_sub(before), Relaxed);
            }
        };
        change(&self.prompt_tokens, before.prompt_tokens, now.prompt_tokens);
        change(&self.cached_tokens, before.cached_tokens, now.cached_tokens);
        change(&self.completion_tokens, before.completion_tokens, now.completion_tokens);
        change(&self.items, before.items, now.items);
        change(&self.audio_ms, before.audio_ms, now.audio_ms);
    }

    /// Adds values that were replaced.
    pub(crate) fn redacts(&self, counts: &Counts) {
        if counts.iter().next().is_some() {
            self.redacted.get_or_init(Mutex::default).lock().merge(counts);
        }
    }

    pub(crate) fn came(&self, bytes: usize) {
        self.bytes_in.fetch_add(bytes as u64, Relaxed);
    }

    pub(crate) fn went(&self, bytes: usize) {
        self.bytes_out.fetch_add(bytes as u64, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(usage: &'static str, compute: &'static str) -> HeaderMap {
        let usage = (X_TORCHMESH_USAGE, HeaderValue::from_static(usage));
        HeaderMap::from_iter([usage, (X_TORCHMESH_COMPUTE_US, HeaderValue::from_static(compute))])
    }

    #[test]
    fn the_answers_of_a_call_add_up_and_the_first_ones_model_stays() {
        let measured = Measured::default();
        measured.head(&headers("minilm/3 prompt=7 items=2", "250"));
        measured.head(&headers("spam/1 prompt=5 items=1", "50"));
        let units = measured.units();
        assert_eq!((units.prompt_tokens, units.items, units.compute_us), (12, 3, 300));
        assert_eq!(measured.answered().unwrap(), &Answered { model: "minilm".into(), version: "3".into() });
    }

    #[test]
    fn sound_that_comes_live_is_measured_by_its_bytes() {
        let measured = Measured::default();
        measured.head(&headers("vad/1 audio-rate=32000", "0"));
        measured.came(16_000);
        assert_eq!(measured.units().audio_ms, 500);
    }

    #[test]
    fn the_model_that_an_http_door_asks_for_is_known_before_any_answer() {
        use torchmesh_api::{frame, text::v1::EmbedRequest};
        let measured = Measured::default();
        let framed = frame::encode(&EmbedRequest { model: "minilm".into(), texts: vec!["a".repeat(9000)], ..Default::default() });
        measured.asks("/torchmesh.text.v1.TextService/Embed", Some(&framed));
        assert_eq!(measured.asked().unwrap().as_str(), "minilm");
    }

    #[test]
    fn an_answer_is_from_the_cache_when_all_of_it_is() {
        let told = |cache: Option<&'static str>| {
            let mut headers = headers("minilm/3 prompt=7", "0");
            headers.extend(cache.map(|said| (X_CACHE, HeaderValue::from_static(said))));
            headers
        };
        for (said, from_cache) in [
            (&[None][..], None),
            (&[Some("hit"), Some("hit")], Some(true)),
            (&[Some("hit"), Some("miss")], Some(false)),
            (&[Some("miss"), Some("hit")], Some(false)),
            (&[Some("hit"), None], Some(false)),
            (&[None, Some("hit")], Some(false)),
        ] {
            let measured = Measured::default();
            for said in said {
                measured.head(&told(*said));
            }
            assert_eq!(measured.from_cache(), from_cache, "{said:?}");
        }
    }

    #[test]
    fn an_answer_that_says_nothing_leaves_the_figures_as_they_are() {
        let measured = Measured::default();
        measured.head(&headers("nonsense", "x"));
        assert_eq!((measured.units(), measured.answered()), (Units::default(), None));
    }
}
