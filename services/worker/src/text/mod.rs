//! Text: what happens to it before the model (tokens) and after (one vector).

mod bound;
mod pool;
mod tokeniser;

pub(crate) mod pooling;

pub use pool::{Job, TokeniserPool};
#[cfg(test)]
pub(crate) use tokeniser::tests::TINY as TINY_TOKENIZER;
pub use tokeniser::{Tokenised, Tokeniser};
