//! How a language model's answer is made, apart from the model itself.
//!
//! A [`Decoder`] turns tokens into logits and knows numbers only. Around it stand the choice of which sequences run in a step, and the blocks of its
//! cache that are theirs; and an [`Author`] for each sequence, which chooses its tokens and tells them to whoever asked.

pub mod answer;
mod author;
mod blocks;
pub mod chat;
mod decoder;
mod refusal;
mod run;
pub mod sample;
mod schedule;
pub mod structure;
#[cfg(test)]
mod testing;
pub mod write;

pub use author::{Author, End, Next};
pub use decoder::{Decoder, DecoderError, DecoderFacts, Logits, Span, Wants};
pub use refusal::Refusal;
pub use run::{Generator, Runner};
pub use schedule::{Figures, Job, Lookup, Priority, Settings, SubmitError};
