//! Which tokens mean something to whoever runs the model, and the template that makes a prompt of a conversation.

use std::collections::BTreeMap;

/// The special tokens and the chat template of a model.
#[derive(Debug, Default)]
pub(crate) struct Special {
    pub(crate) chat_template: Option<String>,
    pub(crate) texts: BTreeMap<String, String>,
    pub(crate) end: Vec<u32>,
    pub(crate) begin: Option<u32>,
}

impl Special {
    /// Adds a token that ends an answer, once.
    pub(crate) fn ends_with(&mut self, token: u32) {
        if !self.end.contains(&token) {
            self.end.push(token);
        }
    }
}
