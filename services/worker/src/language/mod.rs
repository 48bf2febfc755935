//! Language models: from what a caller asks to a job for the model's own thread ([`Generator`]), and what the model needs beside its weights.

mod load;
mod metrics;
mod pace;
mod turnover;

use std::sync::{Arc, OnceLock};

use tokenizers::Tokenizer;
use torchmesh_generation::{
    DecoderFacts, Figures, Generator, Job, SubmitError,
    chat::{CallFormat, Template},
    sample::Sampling,
    structure::Grammars,
    write::Words,
};

pub(crate) use self::load::load;
pub use self::{
    metrics::{LanguageMetrics, LanguageSeries},
    pace::Pace,
    turnover::Turnover,
};
use crate::{admission::Load, manifest::GenerateSettings};

/// A language model that answers. When it is dropped, what runs is finished, and the model's thread ends.
pub struct LanguageModel {
    /// The manifest's settings.
    pub settings: GenerateSettings,
    /// How tokens are chosen where the caller does not say.
    pub sampling: Sampling,
    /// The tokenizer.
    pub tokenizer: Tokenizer,
    /// What each token stands for.
    pub words: Arc<Words>,
    /// What conversations are written with; `None` for a model that has none.
    pub template: Option<Template>,
    /// How it writes that it calls a tool; `None`: it does not.
    pub calls: Option<CallFormat>,
    /// The tokens that end an answer.
    pub end_tokens: Arc<[u32]>,
    /// What every prompt begins with, where the tokenizer does not see to it.
    begin_token: Option<u32>,
    grammars: OnceLock<Result<Grammars, String>>,
    /// How long answers hold their places.
    pub turnover: Arc<Turnover>,
    generator: Generator,
}

impl std::fmt::Debug for LanguageModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LanguageModel").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl LanguageModel {
    /// Gives the model's thread a job.
    pub fn submit(&self, job: Job) -> Result<(), SubmitError> {
        self.generator.submit(job)
    }

    /// How the model stood after its last step.
    pub fn figures(&self) -> Figures {
        self.generator.figures()
    }

    /// How busy it is.
    pub fn load(&self) -> Load {
        self.turnover.load(&self.figures(), self.settings.max_running)
    }

    /// What the model is.
    pub fn facts(&self) -> &DecoderFacts {
        self.generator.facts()
    }

    /// The longest sequence, prompt and answer together: no longer than the whole cache.
    pub fn context(&self) -> usize {
        let facts = self.facts();
        facts.max_tokens.min(facts.blocks * facts.block_tokens)
    }

    /// The tokens of a text; `whole`: the tokenizer's own special tokens are put around it. Milliseconds for a long text, so not on the async runtime.
    pub fn encode(&self, text: &str, whole: bool) -> Result<Vec<u32>, String> {
        let encoded = self.tokenizer.encode_fast(text, whole).map_err(|error| error.to_string())?;
        let mut tokens = encoded.get_ids().to_vec();
        if let Some(begin) = self.begin_token.filter(|begin| tokens.first() != Some(begin)) {
            tokens.insert(0, begin);
        }
        Ok(tokens)
    }

    /// What compiles forms for its vocabulary. Made when it is first asked for, which takes some tenths of a second.
    pub fn grammars(&self) -> Result<&Grammars, String> {
        let made = self.grammars.get_or_init(|| Grammars::new(&self.words, &self.end_tokens).map_err(|error| error.to_string()));
        made.as_ref().map_err(Clone::clone)
    }
}
