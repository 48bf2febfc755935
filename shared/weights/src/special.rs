//! What a model's files say beside the network: which tokens mean something, the templates that make a prompt of a conversation, how tokens are to be chosen.

use std::collections::BTreeMap;

/// What a model was published with. Empty where its files say nothing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Special {
    /// The chat template (Jinja).
    pub chat_template: Option<String>,
    /// Another one for conversations with tools, where the model has two.
    pub tool_template: Option<String>,
    /// What a chat template may call by name: `bos_token`, `eos_token`, `unk_token`, `pad_token` and others, with the text of each.
    pub texts: BTreeMap<String, String>,
    /// The tokens that end an answer.
    pub end: Vec<u32>,
    /// The token that every prompt begins with, where the tokenizer's own post-processor does not add one.
    pub begin: Option<u32>,
    /// How tokens are to be chosen.
    pub sampling: PublishedSampling,
}

/// What `generation_config.json` says of the choice of tokens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct PublishedSampling {
    /// `temperature`.
    pub temperature: Option<f64>,
    /// `top_k`.
    pub top_k: Option<u64>,
    /// `top_p`.
    pub top_p: Option<f64>,
    /// `min_p`.
    pub min_p: Option<f64>,
    /// `repetition_penalty`.
    pub repetition_penalty: Option<f64>,
}

impl Special {
    /// Adds a token that ends an answer, once.
    pub(crate) fn ends_with(&mut self, token: u32) {
        if !self.end.contains(&token) {
            self.end.push(token);
        }
    }
}
