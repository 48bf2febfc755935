//! From a request to answers that are being written: the prompt is tokenised, the form compiled, and the jobs are given to the model.

use std::{sync::Arc, time::Duration};

use torchmesh_api::error::{ApiError, ErrorKind};
use torchmesh_generation::{
    Author as _, End, Job, Priority, Refusal, SubmitError,
    answer::{Plan, answer, max_new},
    sample::seed_of,
    structure::{Form, Grammar},
};

use super::{CallInfo, answers::Answers, invalid, refused, settings::Wishes};
use crate::{
    admission,
    language::LanguageModel,
    models::{Model, Serving},
};

/// When a full model may be asked again.
const RETRY_AFTER: Duration = Duration::from_millis(500);

/// A prompt, tokenised.
#[derive(Debug)]
pub(super) struct Prompt {
    pub(super) tokens: Vec<u32>,
    /// The field of the request that it comes from.
    pub(super) field: &'static str,
    /// Its text, where it is told in front of the answer.
    pub(super) echo: Option<String>,
}

impl Prompt {
    /// A text as a prompt; `whole`: the tokenizer's own special tokens are put around it.
    pub(super) fn of_text(language: &LanguageModel, text: &str, whole: bool, field: &'static str) -> Result<Self, ApiError> {
        let tokens = language.encode(text, whole).map_err(|error| invalid(format!("{field}: cannot be tokenised: {error}")))?;
        Ok(Self { tokens, field, echo: None })
    }
}

/// Compiles a form; up to some tenths of a second, so not on the async runtime.
pub(super) fn compile(language: &LanguageModel, form: Option<&Form>) -> Result<Option<Grammar>, ApiError> {
    let Some(form) = form else { return Ok(None) };
    let grammars = language.grammars().map_err(|error| ApiError::new(ErrorKind::Unimplemented, format!("format: {error}")))?;
    grammars.compile(form).map(Some).map_err(refused)
}

/// Gives the model as many jobs as answers are wanted. All or none: a caller who is refused one is refused all.
pub(super) fn submit(
    model: &Model,
    language: &LanguageModel,
    info: &CallInfo,
    prompt: Prompt,
    wishes: &Wishes,
    grammar: Option<&Grammar>,
) -> Result<Answers, ApiError> {
    let preset = language.settings.max_new_tokens;
    let field = prompt.field;
    let named = |refusal: Refusal| if refusal.field == "prompt" { Refusal::new(field, refusal.why) } else { refusal };
    let max_new = max_new(wishes.max_tokens, preset, prompt.tokens.len(), language.context()).map_err(|refusal| refused(named(refusal)))?;
    let left = max_new
        .checked_sub(wishes.written.len())
        .ok_or_else(|| invalid(format!("written: has {} tokens, and the answer may have {max_new}", wishes.written.len())))?;
    let shared: Arc<[u32]> = prompt.tokens.into();
    let tenant: Arc<str> = info.caller.tenant.key().into();
    let scope = if language.settings.share_prefixes { Arc::from("") } else { Arc::clone(&tenant) };
    let priority = priority(info, model.serving()?);
    let mut receivers = Vec::with_capacity(wishes.counts.best_of);
    for index in 0..wishes.counts.best_of {
        let plan = Plan {
            words: Arc::clone(&language.words),
            prompt: Arc::clone(&shared),
            written: Arc::clone(&wishes.written),
            sampling: wishes.sampling.clone(),
            seed: seed_of(wishes.seed, u32::try_from(index).unwrap_or(u32::MAX)),
            stopping: wishes.stopping.clone(),
            grammar: grammar.cloned(),
            echo: prompt.echo.clone(),
            ranked: wishes.counts.ranked(),
            max_new: left,
        };
        let (mut author, receiver) = answer(plan);
        receivers.push(receiver);
        if left == 0 {
            // Whoever wrote it has not come to tell that this was all.
            author.end(End::Length);
        }
        if !author.wanted() {
            continue;
        }
        let job = Job {
            prompt: [&shared[..], &wishes.written].concat(),
            max_new: left,
            author: Box::new(author),
            priority,
            deadline: info.deadline,
            scope: Arc::clone(&scope),
            tenant: Arc::clone(&tenant),
        };
        // The receivers of those before go with the error, and end their sequences.
        language.submit(job).map_err(|error| unsubmitted(model, field, &error))?;
    }
    Ok(Answers::new(receivers, shared.len(), wishes.counts))
}

fn priority(info: &CallInfo, serving: &Serving) -> Priority {
    match info.caller.priority.unwrap_or(serving.manifest.queue.priority) {
        admission::Priority::High => Priority::High,
        admission::Priority::Normal => Priority::Normal,
        admission::Priority::Low => Priority::Low,
    }
}

fn unsubmitted(model: &Model, field: &str, error: &SubmitError) -> ApiError {
    match error {
        SubmitError::EmptyPrompt | SubmitError::TooLong { .. } | SubmitError::UnknownToken { .. } => invalid(format!("{field}: {error}")),
        SubmitError::Full { .. } => ApiError::new(ErrorKind::ResourceExhausted, error.to_string()).retry_after(RETRY_AFTER),
        SubmitError::Closed | SubmitError::Failed(_) => {
            ApiError::new(ErrorKind::Unavailable, format!("model \"{}\" version {} is not available any more", model.name, model.version))
        }
    }
}
