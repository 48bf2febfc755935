//! What the fuzz targets hold these doors to (`fuzz/`); it is in no build but theirs and the tests'.
#![allow(clippy::missing_panics_doc, reason = "a panic is how a broken promise is told")]

use serde_json::value::RawValue;
use torchmesh_api::{
    error::ErrorKind,
    text::v1::{ChatRequest, GenerationSettings, tool_choice::Choice},
};

use super::{Refusal, chat, completions, embeddings, rerank, responses};
use crate::{
    fuzzing::same,
    generation::{
        Refused,
        settings::{MAX_BIASED, MAX_STOP, MAX_STOP_BYTES, MAX_STOP_TOKENS},
    },
};

/// The body of a question to a model that writes: what each door takes is within its limits, a message that a decoder reads as it was meant, and has these settings; a
/// refusal begins with the field that it names.
pub fn generation(body: &[u8]) -> Vec<GenerationSettings> {
    let mut settings = Vec::new();
    let responses = told(responses::asked(body)).map(|(asked, answer)| {
        assert!(answer["metadata"].is_object() || answer["metadata"].is_null(), "{answer}");
        asked
    });
    for asked in told(chat::asked(body)).into_iter().chain(responses) {
        conversation(&asked);
        settings.extend(asked.settings);
    }
    let prompts = told(completions::asked(body)).unwrap_or_default();
    assert!(prompts.len() <= completions::prompt::MAX_PROMPTS);
    for asked in prompts {
        assert!(asked.prompt.is_empty() != asked.tokens.is_empty(), "a prompt is a text or tokens: {asked:?}");
        same(&asked);
        settings.extend(asked.settings);
    }
    settings.iter().for_each(within);
    settings
}

fn told<T>(read: Result<T, Refused>) -> Option<T> {
    match read {
        Ok(read) => Some(read),
        Err(Refused { error, param }) => {
            assert_eq!(error.kind, ErrorKind::InvalidArgument, "{error}");
            let begins = param.map_or_else(|| "the body cannot be read".to_owned(), |param| param + ": ");
            assert!(error.message.starts_with(&begins), "{error} does not begin with {begins:?}");
            None
        }
    }
}

fn conversation(asked: &ChatRequest) {
    assert!(asked.messages.len() <= chat::question::MAX_MESSAGES + 1 && asked.tools.len() <= chat::question::MAX_TOOLS);
    for tool in &asked.tools {
        assert!((1..=chat::tools::MAX_NAME).contains(&tool.name.len()), "{tool:?}");
        assert!(tool.parameters.is_empty() || is_object(&tool.parameters), "{tool:?}");
    }
    assert!(asked.template_variables.is_empty() || is_object(&asked.template_variables), "{}", asked.template_variables);
    if let Some(Choice::Name(name)) = asked.tool_choice.as_ref().and_then(|choice| choice.choice.as_ref()) {
        assert!(asked.tools.iter().any(|tool| tool.name == *name), "{name:?} is no tool");
    }
    same(asked);
}

fn is_object(json: &str) -> bool {
    json.starts_with('{') && serde_json::from_str::<&RawValue>(json).is_ok()
}

fn within(settings: &GenerationSettings) {
    assert!(settings.stop.len() <= MAX_STOP && settings.stop.iter().all(|stop| (1..=MAX_STOP_BYTES).contains(&stop.len())));
    assert!(settings.stop_tokens.len() <= MAX_STOP_TOKENS && settings.logit_bias.len() <= MAX_BIASED);
    assert!(settings.max_tokens != Some(0) && settings.n != Some(0) && settings.best_of != Some(0), "{settings:?}");
}

/// The body of a question to a model that reads.
pub(crate) fn lists(body: &[u8]) {
    if let Some((asked, _)) = serde_json::from_slice(body).ok().and_then(|question| named(embeddings::check(question))) {
        assert!((1..=embeddings::MAX_INPUTS).contains(&(asked.texts.len() + asked.tokens.len())));
        assert!(asked.texts.iter().all(|text| !text.is_empty()) && (asked.texts.is_empty() || asked.tokens.is_empty()), "{asked:?}");
        same(&asked);
    }
    if let Some(asked) = serde_json::from_slice(body).ok().and_then(|question| named(rerank::check(question))) {
        assert!((1..=rerank::MAX_DOCUMENTS).contains(&asked.documents.len()) && !asked.query.is_empty(), "{asked:?}");
        same(&asked);
    }
}

fn named<T>(read: Result<T, Refusal>) -> Option<T> {
    let refused = |(error, param): &Refusal| {
        let param = param.expect("a field is named");
        assert!(error.kind == ErrorKind::InvalidArgument && error.message.starts_with(param), "{error} is of {param:?}");
    };
    read.inspect_err(refused).ok()
}
