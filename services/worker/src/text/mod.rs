//! Text: what happens to it before the model (tokens) and after (a vector, labels, entities).

mod bound;
mod linear_head;
mod pool;
mod tokeniser;
mod vocabulary;

pub(crate) mod characters;
pub(crate) mod entities;
pub(crate) mod pooling;
pub(crate) mod scores;

pub use linear_head::LinearHead;
pub use pool::{Job, TokeniserPool};
#[cfg(test)]
pub(crate) use tokeniser::tests::TINY as TINY_TOKENIZER;
pub use tokeniser::{Place, Source, Tokenised, Tokeniser, Window};
pub(crate) use vocabulary::tokeniser;
