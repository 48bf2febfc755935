//! What the doors that write text have in common: how their bodies are read, what of them becomes settings of ours, and how answers stream.
//!
//! No model is known here: JSON becomes a call of ours, and its pieces become JSON again, one by one, as they come.

pub(crate) mod begun;
pub(crate) mod events;
pub(crate) mod fields;
pub(crate) mod format;
pub(crate) mod one_or_many;
mod read;
pub(crate) mod refused;
pub(crate) mod settings;

pub(crate) use self::{
    begun::begin,
    fields::Fields,
    read::{read, read_json},
    refused::Refused,
    settings::Settings,
};

/// The next message of a conversation.
pub(crate) const CHAT: &str = "/torchmesh.text.v1.GenerationService/Chat";
/// How a prompt goes on.
pub(crate) const GENERATE: &str = "/torchmesh.text.v1.GenerationService/Generate";

/// The pieces of an answer. Dropping them ends the call.
pub(crate) type Pieces<M> = futures_util::stream::BoxStream<'static, Result<M, torchmesh_api::error::ApiError>>;
