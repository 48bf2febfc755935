//! Texts that are told when all of them is written: a `text_completion`.

use std::collections::BTreeMap;

use serde::{Serialize, Serializer};
use torchmesh_api::text::v1::{GenerateResponse, WrittenToken};

use super::{Manner, logprobs::Logprobs};
use crate::openai::{
    stamp::Stamp,
    usage::{Usage, finish_reason},
};

/// Gathers the pieces of one answer.
#[derive(Debug)]
pub(super) struct Whole {
    stamp: Stamp,
    manner: Manner,
    model: String,
    choices: BTreeMap<u32, Choice>,
    usage: Usage,
}

/// The answer.
#[derive(Debug, Serialize)]
pub(super) struct Answer {
    id: String,
    object: &'static str,
    created: u64,
    pub(super) model: String,
    choices: Vec<Choice>,
    usage: Usage,
}

#[derive(Debug, Default, Serialize)]
struct Choice {
    index: u32,
    text: String,
    #[serde(serialize_with = "with_logarithms")]
    logprobs: Option<Vec<WrittenToken>>,
    finish_reason: Option<&'static str>,
}

#[expect(clippy::ref_option, reason = "serde hands over the field as it is")]
fn with_logarithms<S: Serializer>(tokens: &Option<Vec<WrittenToken>>, serializer: S) -> Result<S::Ok, S::Error> {
    tokens.as_deref().map(|tokens| Logprobs::of(tokens, &mut 0)).serialize(serializer)
}

impl Whole {
    pub(super) fn new(stamp: Stamp, manner: Manner) -> Self {
        Self { stamp, manner, model: String::new(), choices: BTreeMap::new(), usage: Usage::default() }
    }

    pub(super) fn add(&mut self, piece: GenerateResponse) {
        let reason = finish_reason(piece.finish_reason());
        let GenerateResponse { model, index, text, tokens, usage, .. } = piece;
        if self.model.is_empty() {
            self.model = model;
        }
        if let Some(usage) = usage {
            self.usage.add(usage);
            if text.is_empty() && tokens.is_empty() && reason.is_none() {
                return;
            }
        }
        let choice = self.choices.entry(index).or_default();
        choice.index = index;
        choice.text.push_str(&text);
        if self.manner.logprobs {
            choice.logprobs.get_or_insert_default().extend(tokens);
        }
        choice.finish_reason = reason.or(choice.finish_reason);
    }

    pub(super) fn end(self) -> Answer {
        let Stamp { id, created } = self.stamp;
        let choices = self.choices.into_values().collect();
        Answer { id, object: "text_completion", created, model: self.model, choices, usage: self.usage }
    }
}
