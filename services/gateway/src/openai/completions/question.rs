//! The request, as OpenAI's reference describes it, with vLLM's additions; what is not named here is passed over.

use serde::de::MapAccess;
use torchmesh_api::text::v1::GenerateRequest;

use super::{Manner, prompt::Prompt};
use crate::{
    generation::{
        Fields, Refused, Settings,
        fields::take,
        settings::{MAX_LIKELIEST, count},
    },
    openai::usage::StreamOptions,
};

/// The most answers of which the best are chosen.
pub(crate) const MAX_BEST_OF: u32 = 16;

/// The fields as they are sent.
#[derive(Debug, Default)]
pub(crate) struct Question {
    model: Option<String>,
    prompt: Option<Prompt>,
    suffix: Option<String>,
    echo: Option<bool>,
    best_of: Option<u32>,
    logprobs: Option<u32>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    settings: Settings,
}

impl Fields for Question {
    fn take<'de, A: MapAccess<'de>>(&mut self, name: &str, map: &mut A) -> Result<bool, A::Error> {
        if self.settings.take(name, map)? {
            return Ok(true);
        }
        take!(self, name, map, model, prompt, suffix, echo, best_of, logprobs, stream, stream_options)
    }
}

impl Question {
    /// As the mesh has it, one request for each prompt, and how the answers are to be written.
    ///
    /// Error: the field that is wrong.
    pub(super) fn check(self) -> Result<(Vec<GenerateRequest>, Manner), Refused> {
        let missing = |param| move || Refused::field(param, "is missing");
        let model = self.model.ok_or_else(missing("model"))?;
        let prompt = self.prompt.ok_or_else(missing("prompt"))?;
        if self.suffix.is_some_and(|suffix| !suffix.is_empty()) {
            return Err(Refused::field("suffix", "is not supported: text is written at the end of a prompt only; leave it out"));
        }
        let answers = self.settings.answers();
        let mut settings = self.settings.check()?;
        settings.best_of = count("best_of", self.best_of, answers..=MAX_BEST_OF)?;
        settings.logprobs = count("logprobs", self.logprobs, 0..=MAX_LIKELIEST)?;
        let stream = self.stream.unwrap_or_default();
        let usage = stream && StreamOptions::usage(self.stream_options.as_ref());
        let manner = Manner { stream, usage, logprobs: settings.logprobs.is_some(), answers };
        let echo = self.echo.unwrap_or_default();
        let request = |(prompt, tokens)| GenerateRequest {
            model: model.clone(),
            prompt,
            tokens,
            settings: Some(settings.clone()),
            echo,
            ..Default::default()
        };
        Ok((each(prompt)?.into_iter().map(request).collect(), manner))
    }
}

/// Text and tokens of each prompt, of which one is empty.
fn each(prompt: Prompt) -> Result<Vec<(String, Vec<u32>)>, Refused> {
    let prompts: Vec<_> = match prompt {
        Prompt::Texts(texts) => texts.into_iter().map(|text| (text, Vec::new())).collect(),
        Prompt::Tokens(lists) => lists.into_iter().map(|tokens| (String::new(), tokens)).collect(),
    };
    let empty = prompts.iter().position(|(text, tokens)| text.is_empty() && tokens.is_empty());
    match empty {
        None if prompts.is_empty() => Err(Refused::field("prompt", "is empty; send a text or tokens")),
        None => Ok(prompts),
        Some(_) if prompts.len() == 1 => Err(Refused::field("prompt", "is empty; send a text or tokens")),
        Some(at) => Err(Refused::field(format!("prompt[{at}]"), "is empty; send a text or tokens")),
    }
}
