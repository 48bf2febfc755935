//! One model version and what has become of it.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Semaphore;
use torchmesh_api::{
    error::{ApiError, ErrorKind},
    ids::{ModelName, ModelVersion},
};

use super::plan::Key;
use crate::{
    admission::{Load, Queue},
    language::LanguageModel,
    manifest::{Manifest, TensorSpec, TextSettings},
    metrics::ModelMetrics,
    stats::Stats,
    text::Tokeniser,
};

/// A model version of the repository.
#[derive(Debug)]
pub struct Model {
    /// The model's name.
    pub name: ModelName,
    /// The version's number.
    pub version: ModelVersion,
    /// The version as text.
    pub version_text: String,
    /// Another number each time that the version is loaded, anywhere: answers of two loads need not be the same, though the version is. Never 0.
    pub load: u64,
    /// Its series.
    pub metrics: ModelMetrics,
    serving: OnceLock<Serving>,
    failure: OnceLock<String>,
    note: Mutex<Option<String>>,
    placed: AtomicBool,
    left: OnceLock<Instant>,
}

/// What has become of a model version.
#[derive(Clone, Copy, Debug)]
pub enum State<'a> {
    /// It is being loaded and warmed up.
    Loading,
    /// It answers.
    Ready(&'a Serving),
    /// It does not, for this reason.
    Unavailable(&'a str),
}

/// The file that a version runs.
#[derive(Clone, Debug, Default)]
pub struct Artefact {
    /// Its name in the version's folder.
    pub file: String,
    /// Why this one.
    pub why: String,
}

/// A model version that answers.
#[derive(Debug)]
pub struct Serving {
    /// What the model takes; its outputs carry the dimensions that the warm-up showed.
    pub manifest: Arc<Manifest>,
    /// The outputs, with the dimensions that the warm-up showed.
    pub outputs: Vec<TensorSpec>,
    /// Which runtime answers.
    pub platform: &'static str,
    /// Whether its engine can explain by gradients.
    pub differentiates: bool,
    /// Which of the version's files it runs.
    pub artefact: Artefact,
    /// Where requests go.
    pub queue: Arc<Queue>,
    /// The counters behind `ModelStatistics`.
    pub stats: Arc<Stats>,
    /// What its task needs to turn a caller's words into tensors.
    pub intake: Intake,
}

/// What turns what callers send into a model's input tensors. `ModelInfer` needs none of it.
#[derive(Debug)]
pub enum Intake {
    /// Tensors are sent.
    Tensors,
    /// Text is sent.
    Text(TextModel),
    /// Sound is sent; a live stream takes one of these for as long as it lasts.
    Voice(Arc<Semaphore>),
    /// A language model: text is sent, and text is written.
    Language(Arc<LanguageModel>),
}

/// What turns text into a model's input.
#[derive(Debug)]
pub struct TextModel {
    /// The manifest's settings.
    pub settings: TextSettings,
    /// The tokeniser.
    pub tokeniser: Arc<Tokeniser>,
    /// `max_tokens` ones: the attention mask of any text is a slice of it.
    pub ones: Bytes,
    /// As many zeros.
    pub zeros: Bytes,
}

impl Serving {
    /// How the model reads text; `None` for one that does not.
    pub fn text(&self) -> Option<&TextModel> {
        match &self.intake {
            Intake::Text(text) => Some(text),
            Intake::Tensors | Intake::Voice(_) | Intake::Language(_) => None,
        }
    }

    /// How busy it is: a language model has a queue of its own.
    pub fn load(&self) -> Load {
        self.language().map_or_else(|| self.queue.load(), |language| language.load())
    }

    /// The language model; `None` for another.
    pub fn language(&self) -> Option<&Arc<LanguageModel>> {
        match &self.intake {
            Intake::Language(language) => Some(language),
            Intake::Tensors | Intake::Text(_) | Intake::Voice(_) => None,
        }
    }
}

impl Drop for Serving {
    /// The last call has ended and no new one can come: the executors go home, and take the engines with them.
    fn drop(&mut self) {
        self.queue.close(&ApiError::new(ErrorKind::Unavailable, "the model is not served any more; try again"));
    }
}

impl TextModel {
    /// Joins the settings with the tokeniser.
    pub fn new(settings: TextSettings, tokeniser: Tokeniser) -> Self {
        let repeat = |value: i64| Bytes::from(value.to_le_bytes().repeat(settings.max_tokens));
        let (ones, zeros) = (repeat(1), repeat(0));
        Self { settings, tokeniser: Arc::new(tokeniser), ones, zeros }
    }
}

impl Model {
    /// A version that is about to be loaded.
    pub fn new(name: ModelName, version: ModelVersion, metrics: ModelMetrics) -> Self {
        Self {
            name,
            version,
            version_text: version.to_string(),
            load: fastrand::u64(1..),
            metrics,
            serving: OnceLock::new(),
            failure: OnceLock::new(),
            note: Mutex::default(),
            placed: AtomicBool::new(false),
            left: OnceLock::new(),
        }
    }

    /// What takes the place of a version that a call unloaded.
    pub(super) fn unloaded(of: &Self) -> Self {
        let model = Self::new(of.name.clone(), of.version, of.metrics.clone());
        let _ = model.failure.set("unloaded by a call; RepositoryModelLoad loads it again".to_owned());
        model
    }

    /// What has become of it shows in the table.
    pub(super) fn set_placed(&self) {
        self.placed.store(true, Ordering::Release);
    }

    /// Whether what has become of it shows in the table, so that whoever waited for it finds it there.
    pub(super) fn is_placed(&self) -> bool {
        self.placed.load(Ordering::Acquire)
    }

    pub(super) fn key(&self) -> Key {
        (self.name.clone(), self.version)
    }

    /// Gone from the repository: not listed any more, and let go when whoever still calls it has had time to learn of it.
    pub(super) fn leave(&self) {
        self.left.get_or_init(Instant::now);
    }

    /// When it left the repository.
    pub(super) fn left(&self) -> Option<Instant> {
        self.left.get().copied()
    }

    /// Whether it answers, and is to be found by those who do not name it.
    pub(super) fn is_offered(&self) -> bool {
        self.left.get().is_none() && matches!(self.state(), State::Ready(_))
    }

    /// What is to be said of a version that answers all the same.
    pub(super) fn note(&self) -> Option<String> {
        self.note.lock().clone()
    }

    /// Something that whoever looks at the repository index ought to know, though the version answers.
    pub(super) fn remark(&self, note: String) {
        *self.note.lock() = Some(note);
    }

    pub(super) fn set_note(&self, note: String) {
        tracing::error!(model = %self.name, version = %self.version, note, "a model version goes on as it was");
        *self.note.lock() = Some(note);
    }

    /// What has become of it. A failure after it was ready wins.
    pub fn state(&self) -> State<'_> {
        match (self.failure.get(), self.serving.get()) {
            (Some(reason), _) => State::Unavailable(reason),
            (None, Some(serving)) => State::Ready(serving),
            (None, None) => State::Loading,
        }
    }

    /// What answers, or `Unavailable` with the reason why nothing does.
    pub fn serving(&self) -> Result<&Serving, ApiError> {
        let (name, version) = (&self.name, self.version);
        match self.state() {
            State::Ready(serving) => Ok(serving),
            State::Loading => {
                Err(ApiError::new(ErrorKind::Unavailable, format!("model \"{name}\" version {version} is being loaded; try again")))
            }
            // The reason may name files; whoever runs the worker finds it in the repository index and the log.
            State::Unavailable(_) => {
                let message = format!("model \"{name}\" version {version} could not be loaded; the repository index says why");
                Err(ApiError::new(ErrorKind::Unavailable, message))
            }
        }
    }

    pub(super) fn set_ready(&self, serving: Serving) {
        // A second call would be a second load, which does not happen.
        let _ = self.serving.set(serving);
    }

    pub(super) fn set_failed(&self, reason: String) {
        tracing::error!(model = %self.name, version = %self.version, reason, "a model is unavailable");
        // The first reason stays.
        let _ = self.failure.set(reason);
    }
}
