//! What is written of the doors that speak OpenAI's form.

mod answers;
mod chat;
mod completions;
mod embeddings;
mod models;
mod rerank;
mod responses;
mod settings;

use super::{
    operation::{Operation, Tag},
    schema::Schema,
};
use crate::form::Form;

pub(super) use settings::settings;

/// Their heading.
pub(super) const TAG: Tag = Tag {
    name: "OpenAI",
    what: "Conversations, prompts, embeddings and ranking as OpenAI's clients speak them, with vLLM's additions. A field that is not named here is passed over.",
    form: Form::OpenAi,
};

/// The doors.
pub(super) fn operations() -> Vec<Operation> {
    [
        chat::operations(),
        responses::operations(),
        completions::operations(),
        embeddings::operations(),
        rerank::operations(),
        models::operations(),
    ]
    .concat()
}

/// What goes in and out.
pub(super) fn schemas() -> Vec<(&'static str, Schema)> {
    [
        chat::schemas(),
        responses::schemas(),
        completions::schemas(),
        embeddings::schemas(),
        rerank::schemas(),
        models::schemas(),
        answers::schemas(),
    ]
    .concat()
}
