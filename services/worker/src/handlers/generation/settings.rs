//! What a caller asked for, held against what there is.

use std::sync::Arc;

use torchmesh_api::{
    error::ApiError,
    text::v1::{Format, GenerationSettings, format::Form as Asked},
};
use torchmesh_generation::{Refusal, answer::Counts, sample::Sampling, structure::Form, write::Stopping};

use super::refused;
use crate::language::LanguageModel;

/// How answers are written.
#[derive(Clone, Debug)]
pub(super) struct Wishes {
    pub(super) sampling: Sampling,
    pub(super) seed: u64,
    pub(super) stopping: Stopping,
    pub(super) counts: Counts,
    /// Tokens of each answer at most, if the caller says so.
    pub(super) max_tokens: Option<u32>,
    pub(super) form: Option<Form>,
    /// What was written of the answer before.
    pub(super) written: Arc<[u32]>,
}

/// Checks the settings, and fills up what the caller left out.
pub(super) fn wishes(language: &LanguageModel, asked: Option<GenerationSettings>) -> Result<Wishes, ApiError> {
    held(asked.unwrap_or_default(), &language.sampling, &language.end_tokens, language.facts().vocabulary)
}

/// The same, of a model that chooses in this way where nothing is said, whose answers end with these tokens, and that has so many.
pub(super) fn held(asked: GenerationSettings, plain: &Sampling, end_tokens: &Arc<[u32]>, vocabulary: usize) -> Result<Wishes, ApiError> {
    let sampling = Sampling {
        temperature: asked.temperature.unwrap_or(plain.temperature),
        top_k: asked.top_k.unwrap_or(plain.top_k),
        top_p: asked.top_p.unwrap_or(plain.top_p),
        min_p: asked.min_p.unwrap_or(plain.min_p),
        repetition_penalty: asked.repetition_penalty.unwrap_or(plain.repetition_penalty),
        frequency_penalty: asked.frequency_penalty.unwrap_or(plain.frequency_penalty),
        presence_penalty: asked.presence_penalty.unwrap_or(plain.presence_penalty),
        logit_bias: asked.logit_bias.into_iter().collect(),
        logprobs: asked.logprobs,
    };
    sampling.check(vocabulary).map_err(refused)?;
    let stopping = Stopping {
        stop: asked.stop.into(),
        stop_tokens: asked.stop_tokens,
        end_tokens: Arc::clone(end_tokens),
        ignore_end: asked.ignore_end,
    };
    stopping.check(vocabulary).map_err(refused)?;
    let counts = Counts::of(asked.n, asked.best_of).map_err(refused)?;
    check_written(&asked.written, counts, vocabulary).map_err(refused)?;
    Ok(Wishes {
        sampling,
        // A seed that nobody chose is a new one each time.
        seed: asked.seed.unwrap_or_else(random),
        stopping,
        counts,
        max_tokens: asked.max_tokens,
        form: asked.format.and_then(form),
        written: asked.written.into(),
    })
}

fn check_written(written: &[u32], counts: Counts, vocabulary: usize) -> Result<(), Refusal> {
    if !written.is_empty() && counts.best_of > 1 {
        return Err(Refusal::new("written", "is for one answer: leave n and best_of out"));
    }
    match written.iter().find(|&&token| token as usize >= vocabulary) {
        Some(token) => {
            Err(Refusal::new("written", format!("token {token} is not in the vocabulary, which ends at {}", vocabulary.saturating_sub(1))))
        }
        None => Ok(()),
    }
}

fn form(asked: Format) -> Option<Form> {
    match asked.form? {
        Asked::JsonObject(wanted) => wanted.then_some(Form::JsonObject),
        Asked::JsonSchema(schema) => Some(Form::JsonSchema(schema)),
        Asked::Regex(regex) => Some(Form::Regex(regex)),
        Asked::Grammar(grammar) => Some(Form::Lark(grammar)),
        Asked::Choices(choices) => Some(Form::Choices(choices.texts)),
    }
}

fn random() -> u64 {
    use std::hash::{BuildHasher as _, RandomState};
    RandomState::new().hash_one(0_u8)
}
